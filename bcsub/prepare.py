"""`bcsub prepare` and `bcsub draw`: from an archive to a dataset, and an archive drawn by hand."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bcsub.console import Json, Root, answer, say
from cells.competition import DEFAULT

CompetitionName = Annotated[
    str, typer.Option("--competition", help="A shipped competition's name, or a TOML file.")
]


def prepare(
    archive: Annotated[Path, typer.Argument(help="The platform's npz: images and labels.")],
    competition: CompetitionName = DEFAULT,
    folds: Annotated[
        int, typer.Option(min=2, max=100, help="Folds over all but the test part.")
    ] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Decides test part, folds and corruptions.")] = 0,
    root: Root = Path("."),
    force: Annotated[
        bool, typer.Option("--force", help="Do it again even if nothing changed.")
    ] = False,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help="Also find jokes blended over cells or cropped, and pictures that are no cell.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Clean an archive, fix test part, folds and shifted copies: work/dataset.h5.

    Drops exact copies and joke pictures, keeps near copies in one fold, and shows what it did in
    work/prepare/ (contact sheets, a CSV).
    """

    def work() -> dict[str, Any]:
        from cells.competition import load_competition
        from cells.prepare import prepare as prepare_archive

        chosen = load_competition(competition)
        return prepare_archive(archive, root, chosen, folds, seed, force, deep, say)

    answer(json, work, _show_prepared)


def _show_prepared(console: Console, result: dict[str, Any]) -> None:
    table = Table(title=f"{result['kept']:,} of {result['rows']:,} rows stay")
    table.add_column("class")
    table.add_column("images", justify="right")
    for name, count in result["classes"].items():
        table.add_row(name, f"{count:,}")
    table.add_section()
    table.add_row("exact copies, dropped", f"{result['dropped']['copy']:,}")
    table.add_row("jokes, dropped", f"{result['dropped']['joke']:,}")
    table.add_row("near copies, kept in one fold", f"{result['near_copies']:,}")
    table.add_row("test part", f"{result['test']:,}")
    console.print(table)
    console.print(
        f"{result['dataset']} ({result['folds']} folds; {result['seconds']:.1f} s, shifting "
        f"{result['shift_images_per_s']:,} images/s); pictures and CSV beside it in prepare/",
        highlight=False,
        soft_wrap=True,
    )


def draw(
    out: Annotated[Path, typer.Argument(help="The npz to write.")],
    cells: Annotated[
        int, typer.Option(min=1, help="Distinct cells; copies and jokes come on top.")
    ] = 1200,
    seed: Annotated[int, typer.Option(min=0, help="Decides what is drawn.")] = 0,
    competition: CompetitionName = DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    json: Json = False,
) -> None:
    """Draw an archive in the platform's format: cells, a few copies, two jokes.

    For trying everything out without data. It is read like a real one: `bcsub prepare OUT.npz`.
    """

    def work() -> dict[str, Any]:
        from cells.competition import load_competition
        from cells.draw import draw_archive

        say(f"drawing {cells:,} cells")
        return draw_archive(out, load_competition(competition), cells, seed, force)

    answer(json, work, _show_drawn)


def _show_drawn(console: Console, result: dict[str, Any]) -> None:
    console.print(
        f"{result['archive']}: {result['rows']:,} rows, {result['cells']:,} cells, "
        f"{result['copies']} copies, {result['jokes']} jokes",
        highlight=False,
        soft_wrap=True,
    )
