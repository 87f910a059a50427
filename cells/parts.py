"""What every reader of an input gives: one part for each of its splits, read when it is chosen."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from cells.fitting import Fit
from cells.splits import SPLITS

Pixels = tuple[np.ndarray, Counter[tuple[int, int]]]


@dataclass(frozen=True)
class Part:
    """Labelled pictures of one split.

    split: train, val or test; None where the input has no splits. labels: as they are stored.
    read(fit): (n, px, px, 3) uint8, and how many pictures came in which (height, width).
    names: (n,) where each row comes from; None where its number says it all.
    """

    split: str | None
    labels: np.ndarray
    read: Callable[[Fit], Pixels]
    names: tuple[str, ...] | None = None


def medmnist_keys(found: Collection[str]) -> list[tuple[str, str, str]]:
    """(split, images, labels) for each split that `found` holds under MedMNIST's names."""
    keys = [(split, f"{split}_images", f"{split}_labels") for split in SPLITS]
    return [(split, images, labels) for split, images, labels in keys if images in found]


def numbered(split: str, rows: int) -> tuple[str, ...]:
    """Names for rows that have only a number within their split."""
    return tuple(f"{split}/{row}" for row in range(rows))
