"""Write to a temporary file beside the target, then rename: nothing is ever half overwritten."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, unless it is there.

    Raises OSError; PermissionError, too, where the system says that there is no such folder as the
    one to be made: below /proc, which takes none.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), error.filename) from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it replaces `path`, on failure it goes.

    The temporary name keeps the suffix, since image and HDF5 writers look at it.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_h5(path: Path, seal: bytes = b"") -> Iterator[h5py.File]:
    """Yield a new HDF5 file to fill.

    seal: where given, the file begins with it and the SHA-256 of all after its first 512 bytes,
    which HDF5 skips; `model.py` wants its own SEAL there.
    Bytes go through a Python file: where HDF5 writes them itself, a full disk ends the process
    with a segmentation fault instead of an OSError.
    """
    with path.open("w+b") as raw:
        with h5py.File(raw, "w", userblock_size=512 if seal else 0) as file:
            yield file
        if seal:
            raw.seek(512)
            digest = hashlib.file_digest(raw, "sha256").hexdigest()
            raw.seek(0)
            raw.write(seal + digest.encode())  # the rest of these 512 bytes stays zeros


@contextmanager
def replacing_h5(path: Path, seal: bytes = b"") -> Iterator[h5py.File]:
    """Yield an HDF5 file to fill, which replaces `path` in one step. seal: see `new_h5`."""
    with replacing(path) as temporary, new_h5(temporary, seal) as file:
        yield file


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON in one step."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*parts: Any) -> str:
    """16 hex digits that change when any of `parts` (bytes, or anything JSON can hold) changes."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:16]
