"""Which rows of a dataset a model has learnt from, when it was trained somewhere else.

What counts is the picture and not its number: an exact copy, and every near copy of it, was seen
too.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cells.dataset import TRAIN_PART, Dataset, open_dataset
from cells.errors import RunError


@dataclass(frozen=True)
class HeldOut:
    """What is known of the rows that a member's score stands on.

    state: "unseen", "seen" (some of them were learnt from) or "unknown". seen, of: how many of
    the held-out and test rows were learnt from, and how many there are.
    """

    state: str
    seen: int = 0
    of: int = 0

    def __str__(self) -> str:
        if self.state == "seen":
            return f"learnt from {self.seen:,} of the {self.of:,} rows that it is scored on"
        if self.state == "unknown":
            return "held-out unknown: nobody said which rows it learnt from"
        return "scored on rows that it has not seen"


def learnt_images(trained_on: Path, dataset: Dataset, fold: int) -> np.ndarray:
    """The images that a model was trained on: (n, px, px, 3) uint8.

    trained_on: a dataset.h5 (of this fingerprint: its rows without `fold`; another: all that it
    trains on), or a list of rows of this dataset's archive, as .npy or as text, a number a line
    (of a CSV the column `row`).
    Raises RunError for a list that is none, DatasetError for a dataset that is damaged.
    """
    if trained_on.suffix.lower() in (".h5", ".hdf5"):
        other = open_dataset(trained_on)
        if other.competition.image_px != dataset.competition.image_px:
            raise RunError(
                f"{trained_on}: expected images of {dataset.competition.image_px} px, as this "
                f"dataset has, got {other.competition.image_px}. Name the rows instead."
            )
        same = other.fingerprint == dataset.fingerprint
        return other.images(
            other.train_rows(fold) if same else np.flatnonzero(other.part == TRAIN_PART)
        )
    return dataset.images(_listed(trained_on, len(dataset.labels)))


def held_out(dataset: Dataset, fold: int, learnt: np.ndarray | None) -> HeldOut:
    """How much of the fold's held-out rows and of the test part was among the images `learnt`.

    learnt: (n, px, px, 3) uint8, or None where nobody knows.
    """
    scored = np.concatenate([dataset.held_out_rows(fold), dataset.test_rows()])
    if learnt is None:
        return HeldOut("unknown", 0, len(scored))
    digests = {digest(image) for image in learnt}
    rows = np.flatnonzero(dataset.group >= 0)
    images = dataset.images(rows)
    met = [row for row, image in zip(rows, images, strict=True) if digest(image) in digests]
    seen = int(np.isin(dataset.group[scored], dataset.group[met]).sum())
    return HeldOut("seen" if seen else "unseen", seen, len(scored))


def digest(image: np.ndarray) -> bytes:
    """What two images share only when they are the same, pixel for pixel."""
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _listed(path: Path, count: int) -> np.ndarray:
    """Row numbers in a file: (n,) int64, each once."""
    try:
        if path.suffix.lower() == ".npy":
            rows = np.load(path, allow_pickle=False).ravel()
        else:
            lines = [line.split(",") for line in path.read_text().split("\n") if line.strip()]
            column = 0
            if lines and not lines[0][0].strip().isdigit():
                column = [word.strip() for word in lines.pop(0)].index("row")
            rows = np.array([int(line[column]) for line in lines])
    except (OSError, ValueError, IndexError) as error:
        raise RunError(
            f"--trained-on: expected a dataset.h5 or a list of rows, got {path} ({error}). "
            "Write one row number of the archive a line, or leave --trained-on out."
        ) from None
    if not len(rows) or rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= count:
        got = f"{rows.min()} to {rows.max()}" if len(rows) else "none"
        raise RunError(
            f"--trained-on: expected rows 0 to {count - 1}, got {got} ({path}). "
            "Name rows of the archive that was prepared here."
        )
    return np.unique(rows).astype(np.int64)
