"""The platform's archive: an npz of images and labels, read without pickle and distrusted.

Every way in which such a file was ever broken is one line that says what to do about it.
"""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cells.competition import Competition
from cells.errors import ArchiveError

CHUNK = 512  # images looked at together, so that a float archive is never copied whole


@dataclass(frozen=True)
class LabelledImages:
    """images: (n, px, px, 3) uint8, 0-255. labels: (n,) int64, indices into the classes."""

    images: np.ndarray
    labels: np.ndarray


def read_archive(path: Path, competition: Competition, every_class: bool = True) -> LabelledImages:
    """Read a labelled archive in the platform's format.

    Integer and float pixels in 0..`pixel_max` are accepted and become 0-255.
    every_class: whether each of the competition's classes must occur (not so for a scored set).
    Raises ArchiveError, one line, for anything that is not as the competition says.
    """
    keys = competition.archive
    images, labels = _load(path, (keys.images, keys.labels))
    images = _checked_images(path.name, images, competition)
    labels = _checked_labels(path.name, labels, len(images), competition, every_class)
    return LabelledImages(images, labels)


def _load(path: Path, keys: tuple[str, str]) -> list[np.ndarray]:
    """The arrays under `keys`. Raises ArchiveError when the file does not hold them unharmed."""
    if not path.exists():
        raise ArchiveError(f"{path}: no such file. Give the path of the platform's npz.")
    if not path.is_file():
        raise ArchiveError(f"{path}: expected an npz file, got a folder.")
    if path.stat().st_size == 0:
        raise ArchiveError(
            f"{path.name}: expected an npz file, got an empty one. Download it again."
        )
    with path.open("rb") as file:
        start = file.read(6)
    if not start.startswith(b"PK"):
        kind = "a single array (npy)" if start == b"\x93NUMPY" else "another kind of file"
        raise ArchiveError(
            f"{path.name}: expected an npz file, got {kind}. Write it with numpy.savez."
        )
    if not zipfile.is_zipfile(path):
        raise ArchiveError(
            f"{path.name}: truncated, its end is missing ({path.stat().st_size} bytes came). "
            "Download it again."
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            for key in keys:
                if key not in archive.files:
                    found = ", ".join(map(repr, archive.files)) or "nothing"
                    raise ArchiveError(
                        f"{path.name}: expected the arrays {keys[0]!r} and {keys[1]!r}, "
                        f"got {found}. Name them under [archive] in the competition file."
                    )
            return [_member(archive, key, path.name) for key in keys]
    except (OSError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise ArchiveError(f"{path.name}: damaged ({error}). Download it again.") from None


def _member(archive: np.lib.npyio.NpzFile, key: str, name: str) -> np.ndarray:
    """One array of the npz. Raises ArchiveError for Python objects and for broken array headers."""
    try:
        array = archive[key]
    except (ValueError, RuntimeError, NotImplementedError) as error:
        if "pickle" in str(error) or "Object arrays" in str(error):
            raise ArchiveError(
                f"{key}: expected numbers, got Python objects, which are never loaded "
                f"({name}). Save plain arrays: numpy.savez with dtype uint8."
            ) from None
        raise ArchiveError(f"{name}: {key} is damaged ({error}). Download it again.") from None
    if not isinstance(array, np.ndarray):
        raise ArchiveError(
            f"{key}: expected an array written by numpy.savez, got raw bytes ({name})."
        )
    return array


def _checked_images(name: str, images: np.ndarray, competition: Competition) -> np.ndarray:
    """(n, px, px, 3) uint8, 0-255. Raises ArchiveError for another shape, dtype or range."""
    px, top = competition.image_px, competition.archive.pixel_max
    if images.ndim != 4 or images.shape[1:] != (px, px, 3) or len(images) == 0:
        raise ArchiveError(
            f"images: expected shape (n, {px}, {px}, 3) with n > 0, got {images.shape} ({name}). "
            f"The competition is {competition.name}; choose another with --competition."
        )
    if images.dtype == np.uint8 and top == 255:
        highest = int(images.max())
        if highest <= 1:
            raise _too_dark(name, highest, top)
        return images
    if images.dtype.kind not in "uif":
        raise ArchiveError(
            f"images: expected integers or floats, got dtype {images.dtype} ({name}). "
            "Save them as uint8."
        )
    _check_range(name, images, top)
    out = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), CHUNK):
        block = images[start : start + CHUNK].astype(np.float64)
        out[start : start + CHUNK] = np.rint(block * (255 / top))
    return out


def _check_range(name: str, images: np.ndarray, top: float) -> None:
    """Raise ArchiveError unless all pixels are finite, in 0..top and not all within 0-1."""
    highest = -np.inf
    for start in range(0, len(images), CHUNK):
        block = images[start : start + CHUNK]
        bad = ~np.isfinite(block).all(axis=(1, 2, 3))
        if bad.any():
            row = start + int(np.argmax(bad))
            what = "NaN" if np.isnan(images[row]).any() else "infinity"
            raise ArchiveError(
                f"images: expected finite numbers, got {what} in row {row} ({name}). "
                "Repair or remove the row and export the archive again."
            )
        low, high = float(block.min()), float(block.max())
        if low < 0 or high > top:
            row = start + int(np.argmax(((block < 0) | (block > top)).any(axis=(1, 2, 3))))
            got = float(images[row].min()) if images[row].min() < 0 else float(images[row].max())
            raise ArchiveError(
                f"images: expected values 0 to {top:g}, got {got:g} in row {row} ({name}). "
                "Set pixel_max in the competition file, or export the archive again."
            )
        highest = max(highest, high)
    if top > 1 and highest <= 1:
        raise _too_dark(name, highest, top)


def _too_dark(name: str, highest: float, top: float) -> ArchiveError:
    return ArchiveError(
        f"images: expected values 0 to {top:g}, got none above {highest:g} ({name}). "
        f"If scaled to 0-1, multiply by {top:g} or set pixel_max = 1 in the competition file."
    )


def _checked_labels(
    name: str, labels: np.ndarray, images: int, competition: Competition, every_class: bool
) -> np.ndarray:
    """(n,) int64. Raises ArchiveError for another length, shape, dtype, range, an absent class."""
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
            f"{labels[row]:g} in row {row} ({name}). The competition is {competition.name}; "
            "choose another with --competition."
        )
    labels = labels.astype(np.int64)
    absent = [c for c, count in enumerate(np.bincount(labels, minlength=len(classes))) if not count]
    if every_class and absent:
        raise ArchiveError(
            f"labels: expected all {len(classes)} classes, got no image of class {absent[0]}, "
            f"{classes[absent[0]]} ({name}). The competition is {competition.name}; "
            "choose another with --competition."
        )
    return labels
