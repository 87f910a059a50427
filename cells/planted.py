"""What cleaning finds: an archive with known jokes and strangers among its cells, and the recall.

    python -m cells.planted [ARCHIVE.npz] --seed 0

prints a table of the kinds. Without an archive the cells are drawn; with one, that many of the rows
that plain cleaning keeps are taken. The pictures planted are of the held-out family
(cells/joke_pictures.py) unless --development is given.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cells.cell_kinds import KINDS
from cells.clean import clean
from cells.dataset import JOKE, KEPT, OUTLIER
from cells.drawn_cells import draw_cells
from cells.joke_pictures import DEVELOPMENT, HELD_OUT, Draw

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
    return cv2.imdecode(code, cv2.IMREAD_COLOR)


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

    cells: (n, px, px, 3) uint8. labels: (n,) integers. pictures: what is drawn, by name.
    Each of `jokes` pictures stands under one label of its own, changed in every copy: none is
    byte-identical to another. A stranger is a picture of its own under any label.
    """
    names = generator.permutation(list(pictures))
    classes = np.unique(labels)
    chosen = [str(names[number % len(names)]) for number in range(jokes)]
    originals = [pictures[name](cells, generator) for name in chosen]
    under = [int(classes[number % len(classes)]) for number in generator.permutation(jokes)]
    images, given, kinds, drawn = [], [], [], []
    for number in range(count):
        kind = (*CHANGES, STRANGER)[number % (len(CHANGES) + 1)]
        turn = number // (len(CHANGES) + 1)
        if kind == STRANGER:
            name = str(names[turn % len(names)])
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


def _rounded(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
