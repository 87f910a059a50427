"""What cleaning finds: jokes and strangers planted among cells, and how many of them it dropped.

    python -m cells.planted [ARCHIVE.npz] --seed 0 --seed 1

prints a table of the kinds for each seed. Without an archive the cells are drawn; with one, as
many of the rows that plain cleaning keeps are taken from it. What is planted is of
cells/held_out_pictures.py; with --development, of cells/joke_pictures.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import psutil
import typer
from rich.console import Console
from rich.table import Table

from cells.archive import LabelledImages, read_archive
from cells.brushes import Draw
from cells.cell_kinds import KINDS
from cells.clean import clean
from cells.competition import DEFAULT, load_competition
from cells.dataset import JOKE, KEPT
from cells.drawn_cells import draw_cells
from cells.held_out_pictures import HELD_OUT
from cells.joke_pictures import DEVELOPMENT

JOKES = 5  # different pictures; each stands under a label of its own
CELL, STRANGER = "cell", "stranger"


@dataclass(frozen=True)
class Planted:
    """Cells with pictures planted among them, in random order.

    images: (rows, px, px, 3) uint8. labels: (rows,) int64.
    kind: (rows,) str, CELL, STRANGER or a key of CHANGES. picture: (rows,) str, what was drawn.
    """

    images: np.ndarray
    labels: np.ndarray
    kind: np.ndarray
    picture: np.ndarray


def re_encoded(joke: np.ndarray, cell: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Through JPEG at a quality of 30 to 90."""
    quality = int(generator.integers(30, 91))
    _, code = cv2.imencode(".jpg", joke, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))


def noisy(joke: np.ndarray, cell: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """With a sensor's noise, sd 5 to 30."""
    return _rounded(joke + generator.normal(0, generator.uniform(5, 30), joke.shape))


def brightened(joke: np.ndarray, cell: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Brighter or darker: a factor of .65 to 1.4, then up to 30 more or less."""
    return _rounded(joke * generator.uniform(0.65, 1.4) + generator.uniform(-30, 30))


def cropped(joke: np.ndarray, cell: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A square of 60 to 92 % of its side, enlarged to the full size again."""
    px = len(joke)
    side = round(generator.uniform(0.6, 0.92) * px)
    top, left = generator.integers(0, px - side + 1, 2)
    part = joke[top : top + side, left : left + side]
    return cv2.resize(part, (px, px), interpolation=cv2.INTER_LINEAR)


def blended(joke: np.ndarray, cell: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Half and half over a cell."""
    return _rounded(0.5 * joke + 0.5 * cell)


CHANGES: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]] = {
    "re-encoded": re_encoded,
    "noisy": noisy,
    "brightened": brightened,
    "cropped": cropped,
    "blended": blended,
}


def plant(
    cells: np.ndarray,
    labels: np.ndarray,
    count: int,
    pictures: Mapping[str, Draw],
    generator: np.random.Generator,
    jokes: int = JOKES,
) -> Planted:
    """Plant `count` pictures, as many of each kind, among cells.

    cells: (n, px, px, 3) uint8. labels: (n,) integers. pictures: what is drawn, by name;
    more than `jokes`, since strangers are of other kinds.
    Each of `jokes` pictures stands under one label of its own, changed in every copy: none is
    byte-identical to another. A stranger is a picture of its own under any label.
    """
    names = generator.permutation(list(pictures))
    others = [str(name) for name in names[jokes:]]  # strangers are of other kinds than the jokes
    classes = np.unique(labels)
    chosen = [str(name) for name in names[:jokes]]
    originals = [pictures[name](cells, generator) for name in chosen]
    under = [int(classes[number % len(classes)]) for number in generator.permutation(jokes)]
    images, given, kinds, drawn = [], [], [], []
    for number in range(count):
        kind = (*CHANGES, STRANGER)[number % (len(CHANGES) + 1)]
        turn = number // (len(CHANGES) + 1)
        if kind == STRANGER:
            name = others[turn % len(others)]
            images.append(pictures[name](cells, generator))
            given.append(int(generator.choice(classes)))
        else:
            joke, name = turn % jokes, chosen[turn % jokes]
            cell = cells[generator.integers(len(cells))]
            images.append(CHANGES[kind](originals[joke], cell, generator))
            given.append(under[joke])
        kinds.append(kind)
        drawn.append(name)
    order = generator.permutation(len(cells) + count)
    return Planted(
        images=np.concatenate([cells, images])[order],
        labels=np.concatenate([labels, given]).astype(np.int64)[order],
        kind=np.array([CELL] * len(cells) + kinds)[order],
        picture=np.array([""] * len(cells) + drawn)[order],
    )


def recall(planted: Planted, dropped: np.ndarray) -> dict[str, tuple[int, int, int]]:
    """For each kind how many there are, how many were dropped, and how many of those as jokes.

    dropped: (rows,) uint8, of the cleaning. Of CELL, what was dropped is what was lost.
    """
    out = {}
    for kind in (*CHANGES, STRANGER, CELL):
        verdicts = dropped[planted.kind == kind]
        jokes = int((verdicts == JOKE).sum())
        out[kind] = (len(verdicts), int((verdicts != KEPT).sum()), jokes)
    return out


def drawn_sample(count: int, px: int, generator: np.random.Generator) -> LabelledImages:
    """Drawn cells in the real archive's proportions."""
    counts = np.array([kind.real_count for kind in KINDS.values()], float)
    labels = generator.choice(len(counts), count, p=counts / counts.sum())
    return LabelledImages(draw_cells(labels, px, generator), labels)


def kept_sample(archive: Path, count: int, generator: np.random.Generator) -> LabelledImages:
    """`count` of the rows that plain cleaning keeps, or all when there are fewer."""
    given = read_archive(archive, load_competition(DEFAULT))
    kept = clean(given.images, given.labels).kept
    rows = generator.choice(kept, min(count, len(kept)), replace=False)
    return LabelledImages(given.images[rows], given.labels[rows])


def table(
    archive: Annotated[Path | None, typer.Argument(help="Take its cells; else draw some.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="May be given several times.")] = None,
    cells: Annotated[int, typer.Option(min=400, help="Cells in the archive.")] = 3000,
    count: Annotated[int, typer.Option(min=12, help="Pictures planted, of six kinds.")] = 300,
    development: Annotated[bool, typer.Option(help="Plant what the limits were set on.")] = False,
    deep: Annotated[bool, typer.Option(help="With --no-deep, hashes alone.")] = True,
) -> None:
    """Plant jokes and strangers among cells, clean, and print how many of each kind were found."""
    for each in seed or [0]:
        generator = np.random.default_rng(each)
        sample = (
            drawn_sample(cells, 96, generator)
            if archive is None
            else kept_sample(archive, cells, generator)
        )
        pictures = DEVELOPMENT if development else HELD_OUT
        planted = plant(sample.images, sample.labels, count, pictures, generator)
        before = psutil.Process().cpu_times()
        found = clean(planted.images, planted.labels, deep)
        after = psutil.Process().cpu_times()
        seconds = after.user - before.user + after.system - before.system
        where = "drawn cells" if archive is None else archive.name
        _print(f"{where}, seed {each}, {seconds:.0f} s of CPU", planted, found.dropped)


def _print(title: str, planted: Planted, dropped: np.ndarray) -> None:
    out = Table("kind", "rows", "dropped", "share", "as jokes", title=title)
    for kind, (rows, gone, jokes) in recall(planted, dropped).items():
        out.add_row(kind, f"{rows:,}", f"{gone:,}", f"{gone / rows:.4f}", f"{jokes:,}")
    missed = planted.picture[(planted.kind != CELL) & (dropped == KEPT)]
    names, counts = np.unique(missed, return_counts=True)
    if len(names):
        pairs = zip(names.tolist(), counts.tolist(), strict=True)
        out.caption = "missed: " + ", ".join(f"{times} {name}" for name, times in pairs)
    Console().print(out)


def _rounded(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    typer.run(table)
