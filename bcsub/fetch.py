"""`bcsub fetch`: the public sources, with licence and citation, the training split only."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from bcsub.console import Json, answer, progress, say
from cells.asked import Asked
from cells.splits import PUBLISHED, WHY_TRAIN, parse_splits

Name = Annotated[str, typer.Argument(metavar="bloodmnist|pbc", help="The source.")]
Out = Annotated[Path, typer.Option("--out", help="The folder that it is written to.")]
Px = Annotated[
    int | None,
    typer.Option(
        "--px",
        help="Size of BloodMNIST's images: 28, 64, 128 or 224; 128 unless said. Smaller ones than "
        "the competition's are refused by prepare unless it is told --upscale.",
    ),
]
Splits = Annotated[
    str,
    typer.Option(
        "--splits", help=f"Splits to hand out, of {', '.join(PUBLISHED)}, by commas. {WHY_TRAIN}"
    ),
]


def fetch(
    name: Name,
    out: Out = Path("data"),
    px: Px = None,
    splits: Splits = "train",
    json: Json = False,
) -> None:
    """Download a public source of blood cells: bloodmnist, an npz, or pbc, whole views in folders.

    Only the training split is handed out, for `bcsub prepare`; a broken download goes on when the
    command is run again. PBC's pictures carry no split: each gets that of the BloodMNIST picture it
    is, and one that is like none is left out.
    """

    def work() -> dict[str, Any]:
        from cells.fetch import fetch as fetch_source

        chosen = parse_splits(splits, PUBLISHED)
        with _bar() as show:
            return fetch_source(name, out, px, chosen, say, show)

    answer(json, work, _show)


@contextmanager
def _bar() -> Iterator[Any]:
    """A function of bytes done and bytes in all that draws a bar on standard error.

    Only from the first bytes on, and only on a terminal: a bar that never was leaves a blank line.
    """
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=progress, transient=True, disable=not progress.is_interactive)
    task = bar.add_task("download", total=None, visible=False)

    def show(done: int, total: int | None) -> None:
        bar.start()
        bar.update(task, completed=done, total=total, visible=done != total)

    try:
        yield show
    finally:
        bar.stop()


def _show(console: Console, result: dict[str, Any]) -> None:
    lines = [
        f"{result['images']:,} images ({', '.join(result['splits'])}): {result['path']}",
        f"licence {result['licence']}, {result['page']}; whoever publishes with them cites:",
        *(f"  {each}" for each in result["citation"]),
        f"next: {Asked(result['path'], splits=','.join(result['splits'])).command()}",
    ]
    console.print(escape("\n".join(lines)), highlight=False, soft_wrap=True)
