"""HDF5: arrays of pixels, or encoded pictures of variable length, each with its labels."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from cells.class_folders import plain
from cells.competition import Competition
from cells.encoded import decode_all
from cells.errors import ArchiveError
from cells.fitting import Fit
from cells.parts import Part, Pixels, medmnist_keys, numbered
from cells.stack import Stack, read_stack

SUFFIXES = (".h5", ".hdf5", ".hdf")
IMAGES = ("images", "jpeg", "jpg", "png", "encoded")
LABELS = ("labels", "label")


def hdf5_parts(path: Path, competition: Competition) -> list[Part]:
    """The file's parts: under the competition's keys or usual ones, or MedMNIST's splits.

    Raises ArchiveError when it is no HDF5, does not hold such datasets, or names other classes.
    """
    keys = competition.archive
    if not h5py.is_hdf5(path):
        with path.open("rb") as file:
            kind = "another kind of file" if file.read(1) else "an empty one"
        raise ArchiveError(
            f"{path.name}: expected an HDF5 file, got {kind}. Download it again, or write it with "
            "h5py."
        )
    try:
        with h5py.File(path) as file:
            _check_classes(path, file, competition)
            found = [name for name in file if isinstance(file[name], h5py.Dataset)]
            images = next((key for key in (keys.images, *IMAGES) if key in found), None)
            labels = next((key for key in (keys.labels, *LABELS) if key in found), None)
            if images and labels:
                return [_part(path, file, None, images, labels)]
            parts = medmnist_keys(found)
            if not parts or any(key not in found for _, _, key in parts):
                names = ", ".join(map(repr, found)) or "nothing"
                raise ArchiveError(
                    f"{path.name}: expected the datasets {keys.images!r} and {keys.labels!r}, "
                    f"got {names}. Name them under [archive] in the competition file."
                )
            return [_part(path, file, *each) for each in parts]
    except (OSError, RuntimeError, KeyError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ArchiveError:
    text = " ".join(str(error).split())
    return ArchiveError(f"{path.name}: damaged ({text}). Download it again.")


def _check_classes(path: Path, file: h5py.File, competition: Competition) -> None:
    """Raise ArchiveError when the file's attribute `classes` is not the competition's list."""
    if "classes" not in file.attrs:
        return
    stored = file.attrs["classes"]
    named = [each.decode() if isinstance(each, bytes) else str(each) for each in stored]
    if list(map(plain, named)) != list(map(plain, competition.classes)):
        raise ArchiveError(
            f"{path.name}: expected the classes {', '.join(competition.classes)}, got "
            f"{', '.join(named)}. The competition is {competition.name}; choose another with "
            "--competition."
        )


def _part(path: Path, file: h5py.File, split: str | None, images: str, labels: str) -> Part:
    dataset = file[images]
    shape: tuple[int, ...] = dataset.shape or ()
    names = numbered(split, shape[0]) if split and shape else None
    if h5py.check_vlen_dtype(dataset.dtype) == np.uint8 and len(shape) == 1:
        read = partial(_decode, path, images, shape[0])
        return Part(split, np.asarray(file[labels][()]), read, names)
    stack = Stack(images, path.name, shape, dataset.dtype, partial(_blocks, path, images))
    return Part(split, np.asarray(file[labels][()]), partial(read_stack, stack), names)


def _decode(path: Path, key: str, rows: int, fit: Fit) -> Pixels:
    names = [f"row {row}" for row in range(rows)]
    try:
        with h5py.File(path) as file:
            dataset = file[key]
            return decode_all(path.name, names, lambda row: bytes(dataset[row]), fit)
    except (OSError, RuntimeError, KeyError) as error:
        raise _damaged(path, error) from None


def _blocks(path: Path, key: str, rows: int) -> Iterator[np.ndarray]:
    try:
        with h5py.File(path) as file:
            dataset = file[key]
            for start in range(0, len(dataset), rows):
                yield dataset[start : start + rows]
    except (OSError, RuntimeError, KeyError) as error:
        raise _damaged(path, error) from None
