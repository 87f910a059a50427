"""A folder that holds one folder for each class, perhaps inside folders for each split."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cells.competition import Competition
from cells.encoded import decode_all
from cells.errors import ArchiveError
from cells.fitting import Fit
from cells.parts import Part, Pixels
from cells.splits import SPLITS, split_named

# What systems leave behind, beside everything that begins with a dot.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
LEFTOVERS = {"thumbs.db", "desktop.ini", "__macosx"}
MOST_NAMED = 5
TABLE = "splits.csv"  # lies in a folder that `bcsub fetch` sorted


@dataclass(frozen=True)
class Found:
    """A file of a class. name: its path below the folder, with slashes."""

    name: str
    label: int
    split: str | None


def folder_parts(path: Path, competition: Competition) -> list[Part]:
    """The folder's parts, one for each of its splits, or one; files in the order of their names.

    Raises ArchiveError when folders are no classes, when a file lies outside of them, or when
    some lie in split folders and others do not.
    """
    files = find_files(path, competition)
    parts = []
    for split in (*SPLITS, None):
        chosen = [file for file in files if file.split == split]
        if chosen:
            names = tuple(file.name for file in chosen)
            labels = np.array([file.label for file in chosen], np.int64)
            parts.append(Part(split, labels, partial(_read, path, names), names))
    return parts


def folder_digest(path: Path, competition: Competition, splits: tuple[str, ...]) -> str:
    """SHA-256 of names and contents of the files that `splits` hold, 64 hex digits."""
    digest = hashlib.sha256()
    for file in find_files(path, competition):
        if file.split is None or file.split in splits:
            with (path / file.name).open("rb") as opened:
                content = hashlib.file_digest(opened, "sha256").hexdigest()
            digest.update(f"{len(file.name)} {file.name} {content}\n".encode())
    return digest.hexdigest()


def find_files(path: Path, competition: Competition) -> list[Found]:
    """Every file of the classes, sorted by name. Raises ArchiveError as `folder_parts` does.

    A text beside the folders is nobody's image and is passed over; an image there is not.
    """
    names = sorted(each.relative_to(path).as_posix() for each in _walk(path))
    names = [name for name in names if "/" in name or name.casefold().endswith(IMAGE_SUFFIXES)]
    inside = _wrapper(names, competition)
    found, strangers, loose = [], [], []
    for name in names:
        folders = name.removeprefix(inside).split("/")[:-1]
        label, split = _place(folders, competition)
        if label is not None:
            found.append(Found(name, label, split))
        elif folders:
            strangers.append("/".join(folders[: 2 if split_named(folders[0]) else 1]))
        else:
            loose.append(name)
    _check(path, competition, found, sorted(set(strangers)), loose)
    return found


def plain(name: str) -> str:
    """A class's name without case, spaces, dashes, underscores."""
    return re.sub(r"[\s_-]+", "", name).casefold()


def _place(folders: list[str], competition: Competition) -> tuple[int | None, str | None]:
    """Class and split that a file's folders mean; either may be None.

    The split's folder lies above the class's or anywhere below it; other folders below the class
    (a patient, a slide) mean nothing.
    """
    split = None
    rest = list(folders)
    if len(rest) > 1 and _label(rest[0], competition) is None:
        split = split_named(rest[0])
        rest = rest[1:] if split else rest
    label = _label(rest[0], competition) if rest else None
    if label is not None and split is None:
        split = next((word for each in rest[1:] if (word := split_named(each))), None)
    return label, split


def _label(folder: str, competition: Competition) -> int | None:
    """Class that a folder's name means: the class's name, one of [archive.folders], a number."""
    classes = {plain(name): label for label, name in enumerate(competition.classes)}
    for other, name in competition.archive.folders.items():
        classes.setdefault(plain(other), competition.classes.index(name))
    name = plain(folder)
    for each in (name, name.removesuffix("s")):
        if each in classes:
            return classes[each]
    if name.isascii() and name.isdigit() and int(name) < len(competition.classes):
        return int(name)
    return None


def _walk(path: Path) -> Iterator[Path]:
    """Files below `path`, but for hidden ones and what systems leave behind."""
    for each in path.iterdir():
        if each.name.startswith(".") or each.name.casefold() in LEFTOVERS:
            continue
        if each.is_dir():
            yield from _walk(each)
        elif each.is_file():
            yield each


def _wrapper(names: list[str], competition: Competition) -> str:
    """`outer/` when everything lies in that one folder, as an unpacked zip often does."""
    tops = {name.split("/")[0] for name in names}
    deep = all(name.count("/") >= 2 for name in names)
    if len(tops) != 1 or not deep:
        return ""
    top = tops.pop()
    means_something = split_named(top) or _label(top, competition) is not None
    return "" if means_something else f"{top}/"


def _check(
    path: Path,
    competition: Competition,
    found: list[Found],
    strangers: list[str],
    loose: list[str],
) -> None:
    """Raise ArchiveError for what is no class, lies in none, or in a split only now and then."""
    wanted = f"one folder per class ({', '.join(competition.classes)})"
    if strangers:
        raise ArchiveError(
            f"{path}: expected {wanted}, got {_few(strangers)} too. Take it out, or name it under "
            "[archive.folders] in the competition file."
        )
    if loose and found:
        raise ArchiveError(
            f"{path}: expected images in {wanted}, got {_few(loose)} beside them. Take it out."
        )
    if not found:
        what = _few(loose) if loose else "no file at all"
        raise ArchiveError(f"{path}: expected {wanted}, got {what}.")
    whole = [file.name for file in found if file.split is None]
    if whole and len(whole) < len(found):
        other = next(file.name for file in found if file.split)
        raise ArchiveError(
            f"{path}: expected all images in folders train, val, test, or none, got {other} and "
            f"{whole[0]}. Put the rest into one of them."
        )


def _few(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _read(path: Path, names: tuple[str, ...], fit: Fit) -> Pixels:
    return decode_all(str(path), names, lambda row: (path / names[row]).read_bytes(), fit)
