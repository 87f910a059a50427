"""Unzip a submission as the platform would; refuse a zip that could do harm or would fail there."""

import re
import shutil
import stat
import zlib
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from cells.competition import Platform
from cells.errors import SubmissionError

# What zipfile raises: no zip, damaged, cut off, not readable, an unknown compression, encrypted.
_UNREADABLE = (BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


def unpack(zip_path: Path, folder: Path, platform: Platform) -> None:
    """Extract the submission `zip_path` into the empty `folder`.

    Raises SubmissionError, one line, when it is no zip, is damaged, encrypted or over the size
    limit, holds a link or a path that leads out of the folder, or has no model.py (or metadata,
    where the platform asks for one) at its root.
    """
    _check_size(zip_path, platform.size_limit_mb)
    try:
        with ZipFile(zip_path) as archive:
            entries = archive.infolist()
            for entry in entries:
                _check_entry(zip_path, entry)
            _check_root(zip_path, [entry.filename for entry in entries], platform)
            _check_room(zip_path, entries, folder)
            archive.extractall(folder)
    except _UNREADABLE as error:
        raise SubmissionError(
            f"{zip_path.name}: not a zip that can be unpacked ({error}). Run `bcsub pack` again."
        ) from None


def _check_size(zip_path: Path, limit_mb: float | None) -> None:
    size_mb = zip_path.stat().st_size / 1e6
    if limit_mb is not None and size_mb > limit_mb:
        raise SubmissionError(
            f"{zip_path.name}: expected at most {limit_mb:g} MB, got {size_mb:.1f} MB. "
            "Ship fewer or smaller members."
        )


def _check_entry(zip_path: Path, entry: ZipInfo) -> None:
    name = entry.filename
    # Some Windows tools write backslashes; as a separator they can climb out just as well.
    parts = re.split(r"[/\\]", name)
    if parts[0] == "" or re.match(r"[A-Za-z]:", name):
        raise SubmissionError(f"{zip_path.name}: {name!r} is an absolute path. Zip relative names.")
    if ".." in parts:
        raise SubmissionError(
            f"{zip_path.name}: {name!r} leads out of the folder. Zip plain names."
        )
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise SubmissionError(
            f"{zip_path.name}: {name!r} is a symbolic link. Zip the file that it points to."
        )
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise SubmissionError(f"{zip_path.name}: {name!r} is not a plain file. Zip plain files.")
    if entry.flag_bits & 0x1:
        raise SubmissionError(f"{zip_path.name}: {name!r} is encrypted. Zip without a password.")


def _check_root(zip_path: Path, names: list[str], platform: Platform) -> None:
    if "model.py" not in names:
        nested = [name for name in names if re.split(r"[/\\]", name)[-1] == "model.py"]
        if nested:
            raise SubmissionError(
                f"{zip_path.name}: expected model.py at the root, got {nested[0]}. "
                "Zip the files themselves, not their folder."
            )
        held = ", ".join(sorted(names)[:3]) or "nothing"
        raise SubmissionError(
            f"{zip_path.name}: expected model.py at the root, got {held}. Run `bcsub pack`."
        )
    if platform.metadata and "metadata" not in names:
        raise SubmissionError(
            f"{zip_path.name}: expected an empty file metadata beside model.py, got none. "
            "Pack it for this competition: `bcsub pack --competition`."
        )


def _check_room(zip_path: Path, entries: list[ZipInfo], folder: Path) -> None:
    """A zip bomb says how large it is; Python's reader never writes more than that."""
    unpacked_mb = sum(entry.file_size for entry in entries) / 1e6
    free_mb = shutil.disk_usage(folder).free / 1e6
    if unpacked_mb > free_mb:
        raise SubmissionError(
            f"{zip_path.name}: unpacks to {unpacked_mb:.0f} MB, and {free_mb:.0f} MB are free. "
            "Free some disk, or set TMPDIR to a larger one."
        )
