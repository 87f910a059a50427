"""What `bcsub train --dry-run` shows: the runs in their order, and how each would be trained."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def show_plan(console: Console, result: dict[str, Any]) -> None:
    """The table over all folds, in 80 columns, then a line for each run."""
    table = Table(
        title="What would run, in this order",
        box=None,
        header_style="dim",
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column("run", overflow="fold")
    for title in ("fold", "state", "images", "batch", "steps", "epochs", "min", "GB"):
        table.add_column(title, justify="left" if title == "state" else "right", no_wrap=True)
    for row in result["runs"]:
        table.add_row(
            row["run"],
            str(row["fold"]),
            _state(row),
            str(row["images"]),
            str(row["batch"]),
            str(row["steps"]),
            " + ".join(map(str, row["epochs"].values())),
            _minutes(row["minutes"]),
            "" if row["memory_mb"] is None else f"{row['memory_mb'] / 1024:.1f}",
        )
    console.print(table)
    for line in dict.fromkeys(_how(row) for row in result["runs"]):
        console.print(escape(line), highlight=False, soft_wrap=True)
    if result["asks_for_yes"]:
        console.print("no GPU here: the full preset is only trained with --yes")


def _state(row: dict[str, Any]) -> str:
    if row["state"] == "begun":
        return f"from epoch {row['next_epoch']}"
    return "finished before" if row["state"] == "finished" else row["state"]


def _minutes(minutes: float | None) -> str:
    if minutes is None:
        return ""
    return "< 1" if minutes < 1 else f"{minutes:.0f}"


def _how(row: dict[str, Any]) -> str:
    from trainers.differences import as_setting

    changed = ", ".join(f"{name}={as_setting(value)}" for name, value in row["differences"].items())
    first = "from scratch" if row["weights"] == "none" else f"weights: {row['weights']}"
    return (
        f"{row['run']}: {row['precision']} on {row['device']}; {first}; "
        f"{'as shipped but ' + changed if changed else 'as shipped'}"
    )
