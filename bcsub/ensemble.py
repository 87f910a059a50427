"""`bcsub ensemble`: runs → views and weights → the bundle that is uploaded."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bcsub.console import Json, Root, answer, say
from bcsub.quiet import import_tensorflow

Runs = Annotated[
    list[str] | None,
    typer.Argument(help="Runs, or members' names (all their runs). All finished runs unless said."),
]
Preset = Annotated[str | None, typer.Option(help="Only runs of this preset.")]
Weights = Annotated[str, typer.Option(help="auto, uniform, simplex (log loss) or greedy.")]
Views = Annotated[str, typer.Option(help="auto, none, or all eight flips and quarter turns.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder of the bundle; ROOT/submission unless said.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of the cross-fitting's parts and the bootstrap.")]


def ensemble(
    runs: Runs = None,
    preset: Preset = None,
    weights: Weights = "auto",
    views: Views = "auto",
    out: Out = None,
    seed: Seed = 0,
    root: Root = Path("."),
    json: Json = False,
) -> None:
    """Weight the finished runs, choose honestly, and write the bundle into submission/.

    All candidates are scored on held-out images with cross-fitted weights; the simplest one within
    one standard error of the best is shipped, unless --weights or --views say otherwise. The page
    is runs/ensemble/report.html.
    """

    def work() -> dict[str, Any]:
        import_tensorflow()
        from ensemble.make import make_ensemble

        return make_ensemble(
            root, runs or (), preset, weights, views, out, seed, remake=_remake, report=say
        )

    answer(json, work, _show)


def _remake(folder: Path, dataset: Any) -> None:
    from trainers.predict import predict_run

    predict_run(folder, dataset, say)


def _show(console: Console, result: dict[str, Any]) -> None:
    if not console.is_terminal:  # a pipe has no width of its own, and 80 columns fold the names
        console.width = max(console.width, 120)
    console.print(_candidates(result))
    lines = [f"shipped  {result['reason']}"]
    lines += [
        f"score    {result['shifted_accuracy']:.4f} shifted, {result['clean_accuracy']:.4f} clean: "
        "held-out images that neither weights nor choice saw"
    ]
    lines += [f"warning  {line}" for line in result["not_honest"]]
    lines += [f"weight   {weight:.4f}  {run}" for run, weight in result["weights"].items()]
    lines += [f"bundle   {result['bundle']}  {result['bundle_mb']:.1f} MB  {result['fingerprint']}"]
    if result["deadline_s"]:
        first = ", ".join(result["order"][:3])
        lines += [f"deadline {result['deadline_s']:g} s; first of the passes: {first}"]
    lines += [f"kept     {path}" for path in result["kept"]]
    lines += [f"report   {result['report']}", f"next: {result['next'][0]}"]
    lines += ["`bcsub review` lists the labels that these members doubt"]
    console.print(escape("\n".join(lines)), highlight=False, soft_wrap=True)


def _candidates(result: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("", no_wrap=True)
    for title in ("views", "passes", "shifted", "difference ± se", "log loss", "clean"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("test\nshifted", "test\nclean"):
        table.add_column(title, justify="right", no_wrap=True, style="dim")
    for row in result["candidates"]:
        mark = "▶" if row["shipped"] else " "
        table.add_row(
            f"{mark} {escape(row['who'])}",
            row["views"],
            str(row["passes"]),
            f"{row['shifted_accuracy']:.4f}",
            "best" if row["best"] else f"{row['difference']:+.4f} ± {row['se']:.4f}",
            f"{row['shifted_log_loss']:.3f}",
            f"{row['clean_accuracy']:.4f}",
            f"{row['test_shifted_accuracy']:.4f}",
            f"{row['test_clean_accuracy']:.4f}",
            style="bold green" if row["shipped"] else None,
        )
    return table
