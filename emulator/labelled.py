"""What a submission is scored on: a part of the dataset, or any labelled input."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cells.archive import read_archive
from cells.asked import asked_before
from cells.competition import DEFAULT, Competition, load_competition
from cells.dataset import TRAIN_PART, Dataset, open_dataset
from cells.errors import DatasetError
from cells.learnt import digest
from cells.splits import TRAIN_ONLY


@dataclass(frozen=True)
class Labelled:
    """A set to score on.

    name: what it is, for people. images: (n, px, px, 3) uint8, 0-255. labels: (n,) int64.
    rows: (n,) int64, the row numbers of the archive or file it came from.
    warning: one line when a score on it says nothing about the platform's, else None.
    own: whether it is a part of the dataset that members were trained on.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    warning: str | None = None
    own: bool = False


def competition_of(root: Path, name: str | None) -> Competition:
    """The competition `name`; by default that of the dataset in `root`, else the package's default.

    Raises CompetitionError for an unknown name, DatasetError for a damaged dataset.
    """
    if name is not None:
        return load_competition(name)
    dataset = _prepared(root)
    return dataset.competition if dataset else load_competition(DEFAULT)


def choose_set(
    root: Path,
    competition: Competition,
    images: Path | None = None,
    clean: bool = False,
    splits: tuple[str, ...] = TRAIN_ONLY,
    upscale: bool = False,
) -> Labelled:
    """What `bcsub emulate` scores on: `images`, else a test part of the dataset in `root`.

    Raises DatasetError or ArchiveError, one line, when it is missing or does not fit.
    """
    if images is None:
        return dataset_part(open_dataset(_dataset_path(root)), competition, clean)
    if clean:
        raise DatasetError("--clean: chooses a part of the dataset, got --images too. Drop one.")
    return read_labelled(images, competition, _prepared(root), splits, upscale)


def _dataset_path(root: Path) -> Path:
    return root / "work" / "dataset.h5"


def _prepared(root: Path) -> Dataset | None:
    path = _dataset_path(root)
    return open_dataset(path) if path.is_file() else None


def dataset_part(dataset: Dataset, competition: Competition, clean: bool = False) -> Labelled:
    """The test part of a prepared dataset: its shifted copy, or with `clean` the images themselves.

    Raises DatasetError when the dataset is of another competition or has no test part.
    """
    of, asked = dataset.competition, competition
    before = asked_before(dataset.path.parent)
    if (of.classes, of.image_px) != (asked.classes, asked.image_px):
        other = replace(before, competition=DEFAULT)
        raise DatasetError(
            f"{dataset.path}: expected {len(asked.classes)} classes at {asked.image_px} px "
            f"({asked.name}), got {len(of.classes)} at {of.image_px} px ({of.name}). "
            f"Leave --competition out, or run `{other.command()}` with it."
        )
    rows = dataset.test_rows()
    if not len(rows):
        raise DatasetError(
            f"{dataset.path}: no row is in the test part. Run `{before.command()}` again."
        )
    images = dataset.images(rows) if clean else dataset.shifted(rows)
    name = "clean test part" if clean else "shifted test part"
    return Labelled(name, images, dataset.labels[rows].astype(np.int64), rows, own=True)


def read_labelled(
    path: Path,
    competition: Competition,
    dataset: Dataset | None = None,
    splits: tuple[str, ...] = TRAIN_ONLY,
    upscale: bool = False,
) -> Labelled:
    """Read any labelled input that `bcsub prepare` reads; a class may be missing from it.

    dataset: where given, images that are exact copies of its training rows set `warning`; so do
    splits in which hidden images may be.
    Raises ArchiveError, one line, for anything that is not such an input.
    """
    held = read_archive(path, competition, every_class=False, splits=splits, upscale=upscale)
    images = held.images
    copies = training_copies(images, dataset) if dataset else 0
    warning = held.warning
    if copies:
        warning = (
            f"{path.name}: {copies} of {len(images)} images are exact copies of training rows; "
            "this score is too high. Score on images that no member has learnt."
        )
    return Labelled(path.name, images, held.labels, np.arange(len(images)), warning)


def training_copies(images: np.ndarray, dataset: Dataset) -> int:
    """How many of `images` (n, px, px, 3) uint8 are, pixel for pixel, in the train part."""
    if images.shape[1] != dataset.competition.image_px:
        return 0
    learnt = {digest(image) for image in dataset.images(np.flatnonzero(dataset.part == TRAIN_PART))}
    return sum(digest(image) in learnt for image in images)
