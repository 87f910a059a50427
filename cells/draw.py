"""An archive in the platform's format without any data: cells drawn by hand, jokes and copies too.

`make demo` and many tests live on it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cells.cell_kinds import KINDS
from cells.clean import JOKE_TIMES
from cells.competition import Competition
from cells.drawn_cells import draw_cells
from cells.errors import ArchiveError, CompetitionError
from cells.files import replacing

LEAST_PER_CLASS = 20  # on average: so that the rarest kind still fills eight folds and a test part
EVERY_COPY = 150  # cells to one exact copy
EVERY_JOKE = 60  # cells to one joke under each label


def draw_archive(
    path: Path, competition: Competition, cells: int = 1200, seed: int = 0, force: bool = False
) -> dict[str, Any]:
    """Write an npz as the platform gives it out, its rows in random order.

    It holds `cells` distinct cells in the real archive's proportions, a few exact copies, one joke
    picture several times under every label, and another one many times under a single label.
    Returns archive (path), rows, cells, copies and jokes (ints).
    Raises ArchiveError when the file exists already (unless `force`), has another ending, or when
    `cells` are too few; CompetitionError for more than eight classes.
    """
    if path.suffix != ".npz":
        raise ArchiveError(f"{path}: expected a name that ends in .npz. Give another name.")
    if path.exists() and not force:
        raise ArchiveError(f"{path}: exists already. Give another name, or --force to replace it.")
    classes, px = len(competition.classes), competition.image_px
    if cells < LEAST_PER_CLASS * classes:
        raise ArchiveError(
            f"cells: expected at least {LEAST_PER_CLASS * classes} for {classes} classes, "
            f"got {cells}. Draw more."
        )
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), _class_counts(classes, cells))
    images = draw_cells(labels, px, generator)
    copied = generator.choice(cells, max(2, round(cells / EVERY_COPY)), replace=False)
    under_all = np.repeat(np.arange(classes), max(5, round(cells / EVERY_JOKE)))
    one_label = min(5, classes - 1)  # the real archive's second joke is a "monocyte"
    under_one = np.full(max(JOKE_TIMES + 4, round(cells / EVERY_JOKE)), one_label)

    labels = np.concatenate([labels, labels[copied], under_all, under_one])
    images = np.concatenate(
        [
            images,
            images[copied],
            np.repeat(_smiley(px)[None], len(under_all), axis=0),
            np.repeat(_fish(px)[None], len(under_one), axis=0),
        ]
    )
    order = generator.permutation(len(labels))
    keys = competition.archive
    arrays = {
        keys.images: _in_range(images[order], keys.pixel_max),
        keys.labels: labels[order].astype(np.uint8)[:, None],
    }
    with replacing(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]  # its stub: only allow_pickle
    return {
        "archive": str(path),
        "rows": len(labels),
        "cells": cells,
        "copies": len(copied),
        "jokes": len(under_all) + len(under_one),
    }


def _class_counts(classes: int, cells: int) -> np.ndarray:
    """(classes,) counts in the real archive's proportions that sum to `cells`."""
    if classes > len(KINDS):
        raise CompetitionError(
            f"classes: expected at most {len(KINDS)}, the kinds of cell that can be drawn, "
            f"got {classes}. Use real images for this competition."
        )
    real = np.array([kind.real_count for kind in KINDS.values()][:classes])
    exact = real * cells / real.sum()
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: cells - counts.sum()]] += 1
    return counts


def _in_range(images: np.ndarray, pixel_max: float) -> np.ndarray:
    return images if pixel_max == 255 else (images * (pixel_max / 255)).astype(np.float32)


# The jokes, in units of the picture's size.


def _smiley(px: int) -> np.ndarray:
    """A face with sunglasses: (px, px, 3) uint8."""
    image = np.full((px, px, 3), (70, 130, 200), np.uint8)
    disc = _pen(image)
    disc((0.5, 0.5), (0.4, 0.4), (250, 210, 60))
    for x in (0.35, 0.65):
        disc((x, 0.42), (0.13, 0.09), (25, 25, 30))
    cv2.line(
        image,
        (round(0.3 * px), round(0.4 * px)),
        (round(0.7 * px), round(0.4 * px)),
        (25, 25, 30),
        2,
    )
    disc((0.5, 0.62), (0.2, 0.14), (160, 40, 40))
    disc((0.5, 0.56), (0.22, 0.11), (250, 210, 60))
    return image


def _fish(px: int) -> np.ndarray:
    """A fish with a hat: (px, px, 3) uint8."""
    image = np.full((px, px, 3), (40, 150, 140), np.uint8)
    disc = _pen(image)
    tail = np.array([[0.68, 0.55], [0.92, 0.38], [0.92, 0.74]])
    cv2.fillPoly(image, [np.rint(tail * px).astype(np.int32)], (230, 110, 40), cv2.LINE_AA)
    disc((0.45, 0.55), (0.32, 0.2), (245, 130, 50))
    disc((0.28, 0.5), (0.05, 0.05), (255, 255, 255))
    disc((0.27, 0.5), (0.025, 0.025), (10, 10, 10))
    hat = np.array([[0.3, 0.36], [0.62, 0.36], [0.46, 0.1]])
    cv2.fillPoly(image, [np.rint(hat * px).astype(np.int32)], (120, 40, 140), cv2.LINE_AA)
    return image


def _pen(image: np.ndarray) -> Callable[..., None]:
    """Draw filled ellipses on `image`: centre and radii in units of its size, then the colour."""

    def disc(
        centre: tuple[float, float], radii: tuple[float, float], colour: tuple[int, int, int]
    ) -> None:
        (x, y), (a, b) = (
            np.rint(np.multiply(pair, len(image) * 16)).astype(int).tolist()
            for pair in (centre, radii)
        )
        cv2.ellipse(image, (x, y), (a, b), 0, 0, 360, colour, -1, cv2.LINE_AA, 4)

    return disc
