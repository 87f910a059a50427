"""`bcsub members`: all runs, their scores, and what is different about their recipes."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bcsub.console import Json, Root, answer
from bcsub.quiet import import_tensorflow
from cells.errors import RecipeError

SORTED_BY = {  # word of --sort: field; accuracies best first
    "run": "run",
    "clean": "clean_accuracy",
    "shifted": "shifted_accuracy",
    "minutes": "minutes",
    "mb": "size_mb",
}
BEST_FIRST = ("clean", "shifted")


def members(
    sort: Annotated[str, typer.Option(help=f"{', '.join(SORTED_BY)}; accuracies best first.")] = (
        "run"
    ),
    root: Root = Path("."),
    as_json: Json = False,
) -> None:
    """List all runs under runs/: scores on the held-out folds, and recipes where not as shipped.

    Also those that are unfinished, damaged, or of another dataset. Accuracies and epochs are means
    over the finished folds, minutes and MB are sums.
    """

    def work() -> dict[str, Any]:
        if sort not in SORTED_BY:
            raise RecipeError(f"--sort: expected {', '.join(SORTED_BY)}, got {sort!r}.")
        import_tensorflow()
        from bcsub.listing import list_members

        result = list_members(root)
        return {**result, "members": _sorted(result["members"], sort)}

    answer(as_json, work, _show)


def _sorted(rows: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    """Rows by a column, those without a value last."""
    key = SORTED_BY[sort]
    known = [row for row in rows if row[key] is not None]
    known.sort(key=lambda row: row[key], reverse=sort in BEST_FIRST)
    return known + [row for row in rows if row[key] is None]


def _show(console: Console, result: dict[str, Any]) -> None:
    if not result["members"]:
        console.print("no runs yet: bcsub train NAME")
        return
    if not console.is_terminal:  # a pipe has no width of its own, and 80 columns fold the names
        console.width = max(console.width, 120)
    console.print(_table(result["members"]))
    for row in result["members"]:
        for line in _lines(row):
            console.print(escape(line), highlight=False, soft_wrap=True)
    if result["dataset"] is None:
        console.print("no dataset here, so that nothing was checked against it")


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Members, on their held-out folds", box=None, header_style="dim")
    table.add_column("run", overflow="fold")
    for title in ("folds", "state", "clean", "shifted", "epochs", "min", "MB", "seed"):
        table.add_column(title, justify="left" if title == "state" else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            escape(row["run"]),
            ",".join("?" if fold["fold"] is None else str(fold["fold"]) for fold in row["folds"]),
            row["state"],
            _figure(row["clean_accuracy"], ".4f"),
            _figure(row["shifted_accuracy"], ".4f"),
            _figure(row["epochs"], ".4g"),
            _figure(row["minutes"], ".1f"),
            _figure(row["size_mb"], ".1f"),
            _figure(row["seed"], "d"),
            style=None if row["state"] == "finished" else "yellow",
        )
    return table


def _lines(row: dict[str, Any]) -> list[str]:
    """What does not fit into a table: differences, and what to do about unfinished folds."""
    lines = [row["differences_text"]] if row["differences_text"] else []
    for fold in row["folds"]:
        if fold["state"] == "unfinished":
            goes_on = "the same command goes on"
            lines.append(f"fold {fold['fold']}: {fold['detail']}: {goes_on}")
        elif fold["detail"]:
            lines.append(f"fold {fold['fold']}: {fold['detail']}")
    if row["not_honest"]:
        lines.append(f"not honest: {row['not_honest']}")
    if row["command"]:
        lines.append(row["command"])
    return [f"{row['run']}: {line}" for line in lines]


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
