"""`bcsub train` and `bcsub predict`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bcsub.console import Json, Root, answer
from bcsub.planned import show_plan
from bcsub.quiet import import_tensorflow
from cells.errors import RecipeError


def train(
    names: Annotated[
        list[str] | None, typer.Argument(help="Members, such as custom-cnn convnext-small.")
    ] = None,
    everyone: Annotated[
        bool, typer.Option("--all", help="All members that have the asked preset.")
    ] = False,
    preset: Annotated[
        str, typer.Option(help="full (a GPU), cpu (2 cores, half an hour each), demo (a minute).")
    ] = "full",
    folds: Annotated[
        int, typer.Option(min=1, help="Fold-models of each member; 1 holds out fold 0 only.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, order and augmentation.")] = 0,
    tag: Annotated[str, typer.Option(help="A word added to the run's name.")] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="field=value of the recipe, such as whole.epochs=40."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="A local file of ImageNet weights for the member.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Train the full preset even without a GPU.")
    ] = False,
    log: Annotated[
        list[str] | None,
        typer.Option(help="tensorboard (unless said), mlflow, wandb, a --log for each; or none."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would run; write and download nothing.")
    ] = False,
    measure: Annotated[
        bool,
        typer.Option(
            "--trial/--no-trial",
            help="Before a long run, or a dry one, try a few steps: its length and memory.",
        ),
    ] = True,
    root: Root = Path("."),
    as_json: Json = False,
) -> None:
    """Train members; a finished run is not trained again, an interrupted one goes on."""

    def work() -> dict[str, Any]:
        import_tensorflow()
        from bcsub.training import Asked, plan_members, train_members

        if bool(names) == everyone:
            raise RecipeError("train: name members or say --all, and not both.")
        asked = Asked(root, names or [], preset, folds, seed, tag, settings or [], weights)
        if dry_run:
            return plan_members(asked, log or [], yes, measure)
        return {"members": train_members(asked, log or [], yes, measure)}

    def show(console: Console, result: dict[str, Any]) -> None:
        if dry_run:
            show_plan(console, result)
            return
        console.print(_scores(result["members"]))
        console.print(_over_classes(result["members"], root / "runs"))
        console.print("next: bcsub ensemble")

    answer(as_json, work, show)


def predict(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Run folders (runs/RUN/fold-K); all stale ones unless said."),
    ] = None,
    root: Root = Path("."),
    as_json: Json = False,
) -> None:
    """Remake the held-out and test predictions of finished runs with today's runtime."""

    def work() -> dict[str, Any]:
        import_tensorflow()
        from bcsub.training import predict_folders

        return {"runs": predict_folders(root, folders or [])}

    def show(console: Console, result: dict[str, Any]) -> None:
        for run in result["runs"]:
            console.print(f"{run}: predictions remade", highlight=False, soft_wrap=True)
        if not result["runs"]:
            console.print("nothing to do: no finished run has predictions that no longer fit")

    answer(as_json, work, show)


def _scores(members: list[dict[str, Any]]) -> Table:
    table = _table("Members, on the held-out fold", "clean", "shifted", "epochs", "min", "img/s")
    for row in members:
        table.add_row(
            row["run"],
            str(row["fold"]),
            f"{row['clean_accuracy']:.4f}",
            f"{row['shifted_accuracy']:.4f}",
            str(row["epochs"]),
            f"{row['seconds'] / 60:.1f}",
            f"{row['images_per_s']:.0f}",
        )
    return table


def _over_classes(members: list[dict[str, Any]], runs: Path) -> Table:
    """Precision, recall and F1, mean ± sd over the classes; each class stands in report.json."""
    table = _table("Mean ± sd over the classes", "images", "precision", "recall", "F1")
    for row in members:
        report = json.loads((runs / row["run"] / f"fold-{row['fold']}" / "report.json").read_text())
        who = row["run"], str(row["fold"])
        for part, scores in report.items():
            figures = [
                f"{scores['mean'][key]:.3f} ± {scores['sd'][key]:.3f}"
                for key in ("precision", "recall", "f1")
            ]
            table.add_row(*who, part, *figures)
            who = "", ""
    return table


def _table(title: str, *columns: str) -> Table:
    """A table whose first two columns are run and fold."""
    table = Table(title=title, pad_edge=False)
    # where it is narrow a long run's name goes on in the next line, and no figure is cut
    table.add_column("run", overflow="fold")
    for column in ("fold", *columns):
        table.add_column(column, justify="right", no_wrap=True)
    return table
