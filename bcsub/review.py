"""`bcsub review`: labels that held-out predictions contradict, onto the page of `bcsub prepare`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bcsub.console import Json, Root, answer, say
from bcsub.quiet import import_tensorflow

MOST_SHOWN = 10  # labels in doubt that are printed; the page has all

Runs = Annotated[
    list[str] | None,
    typer.Argument(help="Runs, or members' names (all their runs). All finished runs unless said."),
]
Preset = Annotated[str | None, typer.Option(help="Only runs of this preset.")]


def review(
    runs: Runs = None, preset: Preset = None, root: Root = Path("."), json: Json = False
) -> None:
    """Find labels in doubt with the members trained so far, and list them for review.

    Looks at rows that members held out: all but the test part when they were trained with every
    fold. The labels in doubt come into work/prepare/review.html and review.csv, where the column
    decision corrects them at the next `bcsub prepare`.
    """

    def work() -> dict[str, Any]:
        import_tensorflow()
        from ensemble.doubts import review_labels

        return review_labels(root, runs or (), preset, remake=_remake, report=say)

    answer(json, work, _show)


def _remake(folder: Path, dataset: Any) -> None:
    from trainers.predict import predict_run

    predict_run(folder, dataset, say)


def _show(console: Console, result: dict[str, Any]) -> None:
    doubted = result["doubted"]
    table = Table(title=f"{len(doubted):,} labels in doubt", title_justify="left")
    table.add_column("row", justify="right")
    table.add_column("label")
    table.add_column("suggested")
    table.add_column("score", justify="right")
    for each in doubted[:MOST_SHOWN]:
        score = f"{each['score']:.2f}"
        table.add_row(str(each["row"]), escape(each["label"]), escape(each["suggested"]), score)
    if len(doubted) > MOST_SHOWN:
        table.add_row("…", "", "", "")
    console.print(table)
    judges = zip(result["members"], result["accuracies"], strict=True)
    named = ", ".join(f"{run} (accuracy {accuracy:.2f})" for run, accuracy in judges)
    lines = [
        f"looked at {result['looked_at']:,} of {result['kept']:,} rows: those held out by {named}",
        f"look at {result['review']}, overrule in {result['table']},",
        f"then: {result['command']}",
    ]
    console.print(escape("\n".join(lines)), highlight=False, soft_wrap=True)
