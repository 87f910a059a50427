"""An npz, the platform's or MedMNIST's: read without pickle, block by block, and distrusted.

Every way in which such a file was ever broken is one line that says what to do about it.
"""

import math
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from cells.competition import Archive
from cells.errors import ArchiveError
from cells.parts import Part, medmnist_keys, numbered
from cells.stack import Stack, read_stack

DAMAGED = (OSError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error)


def npz_parts(path: Path, keys: Archive) -> list[Part]:
    """The npz's parts: one under the competition's keys, or one for each of MedMNIST's splits.

    Raises ArchiveError when the file does not hold such arrays unharmed.
    """
    _check_file(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            if keys.images in archive.files and keys.labels in archive.files:
                return [_part(archive, path, None, keys.images, keys.labels)]
            found = medmnist_keys(archive.files)
            if not found:
                names = ", ".join(map(repr, archive.files)) or "nothing"
                raise ArchiveError(
                    f"{path.name}: expected the arrays {keys.images!r} and {keys.labels!r}, "
                    f"got {names}. Name them under [archive] in the competition file."
                )
            return [_part(archive, path, *each) for each in found]
    except DAMAGED as error:
        raise _damaged(path.name, error) from None


def _damaged(name: str, error: Exception) -> ArchiveError:
    return ArchiveError(f"{name}: damaged ({error}). Download it again.")


def _check_file(path: Path) -> None:
    """Raise ArchiveError unless this is a whole zip."""
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


def _part(
    archive: np.lib.npyio.NpzFile, path: Path, split: str | None, images: str, labels: str
) -> Part:
    if labels not in archive.files:
        raise ArchiveError(f"{path.name}: expected {labels!r} beside {images!r}, got none.")
    stack = _stack(archive, images, path)
    names = numbered(split, stack.shape[0]) if split and stack.shape else None
    return Part(split, _member(archive, labels, path.name), partial(read_stack, stack), names)


def _stack(archive: np.lib.npyio.NpzFile, key: str, path: Path) -> Stack:
    """The array `key`, streamed where its layout allows it, else loaded whole."""
    header = _header(path, key)
    if header is None:
        array = _member(archive, key, path.name)
        return Stack(
            key,
            path.name,
            array.shape,
            array.dtype,
            lambda rows: (array[start : start + rows] for start in range(0, len(array), rows)),
        )
    shape, dtype = header
    return Stack(key, path.name, shape, dtype, partial(_blocks, path, key, shape, dtype))


def _header(path: Path, key: str) -> tuple[tuple[int, ...], np.dtype] | None:
    """Shape and dtype of a plain array in C order; None for one that NumPy must load itself."""
    with zipfile.ZipFile(path) as archive:
        if f"{key}.npy" not in archive.namelist():
            return None
        with archive.open(f"{key}.npy") as file:
            try:
                shape, fortran, dtype = _npy_header(file)
            # a broken header; encrypted, or compressed in a way that zipfile lacks
            except (ValueError, RuntimeError, NotImplementedError):
                return None
    return None if fortran or dtype.hasobject or not shape else (shape, dtype)


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran's order, and dtype. Raises ValueError."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"version {version}")


def _blocks(
    path: Path, key: str, shape: tuple[int, ...], dtype: np.dtype, rows: int
) -> Iterator[np.ndarray]:
    """Rows of a streamed array, at most `rows` at a time. Raises ArchiveError when damaged."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as file:
            _npy_header(file)
            for start in range(0, shape[0], rows):
                block = (min(rows, shape[0] - start), *shape[1:])
                data = file.read(math.prod(block) * dtype.itemsize)
                if len(data) < math.prod(block) * dtype.itemsize:
                    raise ArchiveError(
                        f"{path.name}: {key} is damaged (it ends in row "
                        f"{start + len(data) * block[0] // (math.prod(block) * dtype.itemsize)} "
                        f"of {shape[0]}). Download it again."
                    )
                yield np.frombuffer(data, dtype).reshape(block)
    except DAMAGED as error:
        raise _damaged(path.name, error) from None


def _member(archive: np.lib.npyio.NpzFile, key: str, name: str) -> np.ndarray:
    """One array of the npz. Raises ArchiveError for Python objects and for broken array headers."""
    try:
        array = archive[key]
    # Python objects or a broken header; encrypted, or compressed in a way that zipfile lacks
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
