"""`bcsub pack` and `bcsub emulate`: the zip, and what the platform would say to it."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from bcsub.console import Json, Root, answer, progress
from cells.splits import SPLITS_HELP, parse_splits

CompetitionName = Annotated[
    str | None,
    typer.Option(
        "--competition",
        help="A shipped name or a TOML file; the prepared dataset's, else an2dl2024, unless said.",
    ),
]
Folder = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FOLDER]",
        help="Holds model.py and weights.h5 (`bcsub ensemble --out`); submission/ unless said.",
    ),
]
Name = Annotated[
    str | None, typer.Option(help="The zip's name in dist/; submission-<content> unless said.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace another zip that has this name.")]
Zip = Annotated[
    Path | None,
    typer.Argument(metavar="[ZIP]", help="The zip to run; the newest in dist/ unless said."),
]
Images = Annotated[
    Path | None,
    typer.Option(help="Score on this labelled input instead: whatever `bcsub prepare` reads."),
]
Splits = Annotated[str, typer.Option("--splits", help="Of --images. " + SPLITS_HELP)]
Upscale = Annotated[bool, typer.Option("--upscale", help="Of --images: enlarge what is smaller.")]
Clean = Annotated[bool, typer.Option("--clean", help="Score on the clean test part instead.")]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        help="Seconds for the whole run; the competition's limit, which may be none, unless said.",
    ),
]


def pack(
    folder: Folder = None,
    competition: CompetitionName = None,
    name: Name = None,
    force: Force = False,
    root: Root = Path("."),
    json: Json = False,
) -> None:
    """Zip model.py and weights.h5 of submission/ into dist/, flat and reproducible.

    The same content always gives the same bytes and the same name.
    """

    def work() -> dict[str, Any]:
        from emulator.labelled import competition_of
        from emulator.pack import pack_submission

        asked = competition_of(root, competition)
        chosen = folder or root / "submission"
        return {**pack_submission(chosen, root / "dist", asked, name, force)}

    def show(console: Console, result: dict[str, Any]) -> None:
        there = "" if root == Path(".") else f" --root {root}"
        path, size_mb = result["zip"], result["bytes"] / 1e6
        deadline_s = result["deadline_s"]
        line = f"{path}  {size_mb:.1f} MB"
        line += f"\ndeadline {deadline_s:g} s, from the import of model.py" if deadline_s else ""
        line += f"\nnext: bcsub emulate {path}{there}"
        console.print(escape(line), highlight=False, soft_wrap=True)

    answer(json, work, show)


def emulate(
    zip_path: Zip = None,
    images: Images = None,
    clean: Clean = False,
    splits: Splits = "train",
    upscale: Upscale = False,
    competition: CompetitionName = None,
    time_limit: TimeLimit = None,
    root: Root = Path("."),
    json: Json = False,
) -> None:
    """Run a zip as the platform would: fresh interpreter, nothing of ours, no network; score it.

    It is scored on the shifted test part of the prepared dataset unless said otherwise. What the
    run leaves is in runs/emulated/. The exit code is 0 only for the verdict ok.
    """

    def work() -> dict[str, Any]:
        from emulator.emulate import emulate, new_folder
        from emulator.labelled import choose_set, competition_of
        from emulator.pack import newest_zip

        chosen = zip_path or newest_zip(root / "dist")
        asked = competition_of(root, competition)
        labelled = choose_set(root, asked, images, clean, parse_splits(splits), upscale)
        if labelled.warning:
            _warn(labelled.warning)
        out = new_folder(root / "runs" / "emulated", chosen)
        with progress.status(escape(f"emulating {chosen.name}")) as status:
            result = emulate(
                chosen,
                labelled,
                asked,
                out,
                time_limit,
                report=lambda line: status.update(escape(line)),
            )
        if result.get("warning") and not labelled.warning:
            _warn(result["warning"])
        return {**result, "exit": 0 if result["verdict"] == "ok" else 1}

    answer(json, work, _show_run)


def _warn(line: str) -> None:
    progress.print(f"[yellow]warning[/yellow] {escape(line)}", highlight=False, soft_wrap=True)


def _show_run(console: Console, result: dict[str, Any]) -> None:
    ok = result["verdict"] == "ok"
    color = "green" if ok else "red"
    console.print(
        Panel(
            _summary(result),
            title=f"[bold {color}]{result['verdict']}[/]  {escape(Path(result['zip']).name)}",
            title_align="left",
            border_style=color,
            expand=False,
            padding=(1, 2),
        )
    )
    if ok:
        console.print(_class_table(result["per_class"]))
    # Outside the panel, so that a terminal's border is not copied along with the path.
    console.print(escape(f"files  {result['folder']}"), highlight=False, soft_wrap=True)


def _summary(result: dict[str, Any]) -> Table:
    from emulator.isolation import TEXTS

    grid = Table.grid(padding=(0, 3))
    grid.add_column(style="dim")
    grid.add_column()
    if result["verdict"] == "ok":
        low, high = result["interval"]
        grid.add_row(
            "accuracy", f"[bold]{result['accuracy']:.4f}[/]  95 %: {low:.3f} to {high:.3f}"
        )
    else:
        grid.add_row("error", escape(result["error"]))
    grid.add_row("images", escape(f"{result['images']:,}  {result['set']}"))
    if result["load_s"] is not None:
        grid.add_row("load", f"{result['load_s']:.1f} s")
    if result["predict_s"] is not None:
        per_1000_s = 1000 * result["predict_s"] / result["images"]
        grid.add_row("predict", f"{result['predict_s']:.1f} s  {per_1000_s:.2f} s per 1,000 images")
    if result["peak_mb"] is not None:
        grid.add_row("peak memory", f"{result['peak_mb']:,.0f} MB")
    for package, run in result["versions"].items():
        here = run["here"] or "not installed"
        grid.add_row(package, escape(f"{here} here, {run['platform']} on the platform"))
    grid.add_row("isolation", TEXTS[result["isolation"]])
    return grid


def _class_table(classes: list[dict[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("class")
    for title in ("images", "precision", "recall", "F1"):
        table.add_column(title, justify="right")
    for line in classes:
        table.add_row(
            escape(line["class"]),
            str(line["images"]),
            *(f"{line[key]:.3f}" for key in ("precision", "recall", "f1")),
        )
    return table
