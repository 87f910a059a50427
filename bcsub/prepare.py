"""`bcsub prepare` and `bcsub draw`: from an archive to a dataset, and an archive drawn by hand."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bcsub.console import Json, Root, answer, say
from bcsub.quiet import import_tensorflow
from cells.competition import DEFAULT
from cells.splits import SPLITS_HELP, parse_splits

MOST_NAMED = 6  # rows in the table that a command prints

CompetitionName = Annotated[
    str, typer.Option("--competition", help="A shipped competition's name, or a TOML file.")
]

Splits = Annotated[str, typer.Option("--splits", help=SPLITS_HELP)]
Upscale = Annotated[
    bool, typer.Option("--upscale", help="Enlarge images that are smaller than the competition's.")
]


def prepare(
    archive: Annotated[
        Path,
        typer.Argument(
            help="The platform's npz, MedMNIST's, HDF5, or a folder of one folder per class."
        ),
    ],
    competition: CompetitionName = DEFAULT,
    folds: Annotated[
        int | None,
        typer.Option(min=2, max=100, help="Folds over all but the test part; 8 unless said."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides test part, folds and corruptions.")] = 0,
    shares: Annotated[
        str,
        typer.Option(
            help="TRAIN/HELD-OUT/TEST in per cent, such as 60/36/4, in place of folds: one "
            "held-out part, which is fold 0."
        ),
    ] = "",
    splits: Splits = "train",
    upscale: Upscale = False,
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

    Drops exact copies and joke pictures, and with --deep also jokes blended over cells or cropped,
    and what is no cell. Keeps near copies in one fold, and shows what it did in
    work/prepare/review.html. Fill the column decision of review.csv there (keep, drop, or another
    label) and run it again with the same options: decisions overrule.

    A folder's folders hold JPEG, PNG, BMP or TIFF and are named after the classes, in any case, or
    by their numbers; they may lie in train/, val/ and test/. HDF5 holds pixels, or encoded pictures
    of variable length, and labels. Other sizes are cropped and resized as the competition file
    says.
    """

    def work() -> dict[str, Any]:
        if deep:  # a network is taught
            import_tensorflow()
        from cells.competition import load_competition
        from cells.folds import parse_shares
        from cells.prepare import prepare as prepare_archive

        return prepare_archive(
            archive,
            root,
            load_competition(competition),
            folds=folds,
            seed=seed,
            force=force,
            deep=deep,
            report=say,
            splits=parse_splits(splits),
            upscale=upscale,
            shares=parse_shares(shares) if shares else None,
            named=competition,
        )

    answer(json, work, _show_prepared)


def _show_prepared(console: Console, result: dict[str, Any]) -> None:
    table = Table(title=f"{result['kept']:,} of {result['rows']:,} rows stay")
    table.add_column("class")
    table.add_column("images", justify="right")
    for name, count in result["classes"].items():
        table.add_row(name, f"{count:,}")
    table.add_section()
    dropped, manual, changed = result["dropped"], result["manual"], result["changed"]
    table.add_row("exact copies, dropped", f"{dropped['copy']:,}")
    table.add_row("jokes, dropped", f"{dropped['joke']:,}")
    table.add_row("outliers, dropped", f"{dropped['outlier']:,}")
    if any(manual.values()):
        table.add_section()
        table.add_row("by your decision: kept", f"{manual['kept']:,}")
        table.add_row("by your decision: dropped", f"{manual['dropped']:,}")
        table.add_row("by your decision: another label", f"{manual['relabelled']:,}")
    if changed and any(changed.values()):
        table.add_section()
        for name, which in (
            ("since the dataset before: stay now", changed["stay"]),
            ("since the dataset before: go now", changed["go"]),
            ("since the dataset before: another label", changed["relabelled"]),
        ):
            table.add_row(f"{name}{_rows(which)}", f"{len(which):,}")
    table.add_section()
    table.add_row("near copies, kept in one fold", f"{result['near_copies']:,}")
    table.add_row("test part", f"{result['test']:,}")
    console.print(table)
    folds = "fold" if result["folds"] == 1 else "folds"
    console.print(
        f"{result['dataset']} ({result['folds']} {folds}; {result['seconds']:.1f} s, shifting "
        f"{result['shift_images_per_s']:,} images/s)\nlook at {result['review']}; overrule in "
        "review.csv beside it",
        highlight=False,
        soft_wrap=True,
    )


def _rows(rows: list[int]) -> str:
    """A second line that names the first few rows."""
    named = ", ".join(map(str, rows[:MOST_NAMED])) + (" …" if len(rows) > MOST_NAMED else "")
    return f"\n  row {named}" if rows else ""


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
