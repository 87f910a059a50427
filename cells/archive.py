"""A labelled input: the platform's npz, MedMNIST's, HDF5, or a folder of one folder per class.

Each reader gives parts; here the splits are chosen, the pictures read, and the labels checked.
"""

import hashlib
import zipfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from cells.class_folders import TABLE, folder_digest, folder_parts
from cells.competition import Competition
from cells.errors import ArchiveError
from cells.files import sha256
from cells.fitting import Fit
from cells.hdf5 import SUFFIXES, hdf5_parts
from cells.npz import npz_parts
from cells.parts import Part
from cells.splits import TRAIN_ONLY, chosen_splits, held_out_folder, hidden_warning
from cells.stack import choose


@dataclass(frozen=True)
class LabelledImages:
    """images: (n, px, px, 3) uint8, 0-255. labels: (n,) int64, indices into the classes.

    names: (n,) the file, or split and number, of each row; None where the row number says it all.
    splits: those the rows come from; none where the input has no splits.
    warning: one line when hidden images may be among them. note: one line on sizes.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...] | None = None
    splits: tuple[str, ...] = ()
    warning: str | None = None
    note: str | None = None


def read_archive(
    path: Path,
    competition: Competition,
    every_class: bool = True,
    splits: tuple[str, ...] = TRAIN_ONLY,
    upscale: bool = False,
) -> LabelledImages:
    """Read a labelled input.

    Integer and float pixels in 0..`pixel_max` are accepted and become 0-255. Pictures of another
    size become the competition's as its file says; smaller ones only with `upscale`.
    every_class: whether each of the competition's classes must occur (not so for a scored set).
    splits: which splits are read of an input that has some; see `cells.splits`.
    Raises ArchiveError, one line, for anything that is not as the competition says.
    """
    name = path.absolute().name
    parts = _parts(path, competition)
    if every_class and path.is_dir() and not any(part.split for part in parts):
        own = held_out_folder(path)  # nobody trains on it unasked; who scores on it may
        parts = [replace(part, split=own) for part in parts]
    chosen = chosen_splits(name, [part.split for part in parts if part.split], splits)
    taken = [part for part in parts if part.split is None or part.split in chosen]
    unsplit = not chosen
    fit = Fit(competition, upscale, guarded=every_class and unsplit and "unsplit" not in splits)
    sizes: Counter[tuple[int, int]] = Counter()
    images, labels = [], []
    for part in taken:
        pixels, counts = part.read(fit)
        images.append(pixels)
        labels.append(_checked_labels(name, part.labels, len(pixels), competition))
        sizes += counts
    together = np.concatenate(labels)
    if not len(together):
        raise ArchiveError(f"{name}: expected images, got none.")
    if every_class:
        _check_every_class(name, together, competition)
    if unsplit and any(fit.whole_view(*size) for size in sizes):
        chosen = ("unsplit",)
    return LabelledImages(
        images[0] if len(images) == 1 else np.concatenate(images),
        together,
        _names(taken),
        chosen,
        hidden_warning(name, chosen) or _foreign_splits(path, chosen, fit, sizes),
        fit.note(sizes),
    )


def archive_digest(path: Path, competition: Competition, splits: tuple[str, ...]) -> str:
    """64 hex digits that change with the input's content and the rows that are read of it.

    That of a file whose training split is read is its SHA-256.
    """
    content = folder_digest(path, competition, splits) if path.is_dir() else sha256(path)
    if splits == TRAIN_ONLY:
        return content
    return hashlib.sha256(f"{content} {' '.join(splits)}".encode()).hexdigest()


def _parts(path: Path, competition: Competition) -> list[Part]:
    if not path.exists():
        raise ArchiveError(
            f"{path}: no such file. Give the path of the platform's npz, or of another input that "
            "`bcsub prepare --help` names."
        )
    if path.is_dir():
        return folder_parts(path, competition)
    called_hdf5 = path.suffix.casefold() in SUFFIXES and not zipfile.is_zipfile(path)
    if called_hdf5 or h5py.is_hdf5(path):
        return hdf5_parts(path, competition)
    return npz_parts(path, competition.archive)


def _foreign_splits(
    path: Path, chosen: tuple[str, ...], fit: Fit, sizes: Counter[tuple[int, int]]
) -> str | None:
    """One line when whole views of the source were split by we know not whom."""
    if not chosen or (path / TABLE).is_file() or not any(fit.whole_view(*size) for size in sizes):
        return None
    return (
        f"{path.name}: whole views of the public source in train/, not sorted by `bcsub fetch "
        "pbc`. Unless that folder follows BloodMNIST's splits, hidden images may be among them."
    )


def _names(parts: list[Part]) -> tuple[str, ...] | None:
    names = [part.names for part in parts]
    return None if None in names else tuple(name for each in names for name in each or ())


def _checked_labels(
    name: str, labels: np.ndarray, images: int, competition: Competition
) -> np.ndarray:
    """(n,) int64. Raises ArchiveError for another length, shape, dtype or range."""
    classes = competition.classes
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        hint = "Take the argmax of one-hot labels" if labels.ndim == 2 else "Flatten them"
        raise ArchiveError(
            f"labels: expected shape (n,) or (n, 1), got {labels.shape} ({name}). {hint}."
        )
    if len(labels) != images:
        raise ArchiveError(
            f"labels: expected {images} values for {images} images, got {len(labels)} ({name}). "
            "Export the archive again."
        )
    if labels.dtype.kind not in "uif":
        raise ArchiveError(
            f"labels: expected integers, got dtype {labels.dtype} ({name}). "
            f"Save class numbers 0 to {len(classes) - 1}."
        )
    if labels.dtype.kind == "f":
        bad = ~np.isfinite(labels) | (labels != np.rint(labels))
        if bad.any():
            row = int(np.argmax(bad))
            raise ArchiveError(
                f"labels: expected integers, got {labels[row]:g} in row {row} ({name}). "
                f"Save class numbers 0 to {len(classes) - 1}."
            )
    bad = (labels < 0) | (labels >= len(classes))
    if bad.any():
        row = int(np.argmax(bad))
        raise ArchiveError(
            f"labels: expected 0 to {len(classes) - 1} for {len(classes)} classes, got "
            f"{labels[row]:g} in row {row} ({name}). {choose(competition)}"
        )
    return labels.astype(np.int64)


def _check_every_class(name: str, labels: np.ndarray, competition: Competition) -> None:
    """Raise ArchiveError for a class without a single row."""
    classes = competition.classes
    absent = np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 0)
    if len(absent):
        raise ArchiveError(
            f"labels: expected all {len(classes)} classes, got no image of class {absent[0]}, "
            f"{classes[absent[0]]} ({name}). {choose(competition)}"
        )
