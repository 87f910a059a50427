"""A zip of whole views without splits, unpacked by the splits of smaller versions of its pictures.

A picture that is like none of them might be hidden or not: it is never unpacked.
"""

import csv
import os
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from cells.class_folders import LEFTOVERS, TABLE
from cells.competition import Archive, Competition, Originals
from cells.encoded import decode_all
from cells.errors import FetchError
from cells.fitting import Fit
from cells.match_splits import THUMB_PX, match_splits
from cells.npz import npz_parts
from cells.sources import Folders

MOST_UNMATCHED = 0.05  # of the pictures; more, and the two are not the same data set


@dataclass(frozen=True)
class _Picture:
    member: str
    folder: str
    split: str | None
    likeness: float


def unpack_folders(
    published: Path,
    reference: Path,
    source: Folders,
    path: Path,
    splits: tuple[str, ...],
    report: Callable[[str], None],
) -> None:
    """Write path/SPLIT/FOLDER/PICTURE for each of `splits`, and path/splits.csv for all pictures.

    published: the zip. reference: MedMNIST's npz of the same pictures. `path` appears when it is
    whole. Raises FetchError when the zip is not what was published or is of other pictures.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(published) as archive:
            pictures = _pictures(archive, reference, source)
            _check_matched(published, reference, pictures)
            report(_summary(pictures))
            for picture in pictures:
                if picture.split in splits:
                    _unpack(archive, picture, unfinished)
        _write_table(unfinished / TABLE, pictures)
        os.rename(unfinished, path)
    except zipfile.BadZipFile as error:
        raise FetchError(f"{published}: damaged ({error}). Remove it and fetch again.") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def count_unpacked(path: Path, splits: tuple[str, ...]) -> int:
    """How many pictures of `splits` lie in `path`. Raises FetchError for any other folder."""
    try:
        with (path / TABLE).open(newline="", encoding="utf-8") as file:
            return sum(line["split"] in splits for line in csv.DictReader(file))
    except (FileNotFoundError, KeyError):
        raise FetchError(
            f"{path}: expected {TABLE} in it, got a folder that was not fetched. Take it away, or "
            "choose another place with --out."
        ) from None


def _pictures(archive: zipfile.ZipFile, reference: Path, source: Folders) -> list[_Picture]:
    """Every picture of the zip with its split, class by class."""
    fit = _thumbnails(source)
    parts = npz_parts(reference, Archive())
    known = {str(part.split): (part.read(fit)[0], part.labels.ravel()) for part in parts}
    found = []
    for label, folder in enumerate(source.folders):
        members = _members(archive, folder)
        if len(members) != source.images[folder]:
            raise FetchError(
                f"{archive.filename}: expected {source.images[folder]:,} pictures in {folder}, got "
                f"{len(members):,}. Remove the file and fetch again."
            )
        read = partial(_read, archive, members)
        thumbs, _ = decode_all(str(archive.filename), members, read, fit)
        alike = {split: images[labels == label] for split, (images, labels) in known.items()}
        split, likeness = match_splits(thumbs, alike)
        found += [
            _Picture(*each)
            for each in zip(members, [folder] * len(members), split, likeness.tolist(), strict=True)
        ]
    return found


def _thumbnails(source: Folders) -> Fit:
    """Brings whole views and their smaller versions to the size at which they are compared."""
    middle = Originals(from_px=source.crop_px, crop_px=source.crop_px)
    archive = Archive(resize="bicubic", originals=middle)
    return Fit(
        Competition(
            name="thumbnails",
            title="",
            classes=source.folders,
            image_px=THUMB_PX,
            archive=archive,
        )
    )


def _members(archive: zipfile.ZipFile, folder: str) -> list[str]:
    """Names of the pictures in `folder`, sorted, without what macOS left in the zip."""
    members = []
    for info in archive.infolist():
        parts = PurePosixPath(info.filename).parts
        left = any(part.startswith(".") or part.casefold() in LEFTOVERS for part in parts)
        if not info.is_dir() and not left and len(parts) > 1 and parts[-2] == folder:
            members.append(info.filename)
    return sorted(members)


def _read(archive: zipfile.ZipFile, members: list[str], number: int) -> bytes:
    return archive.read(members[number])


def _check_matched(published: Path, reference: Path, pictures: list[_Picture]) -> None:
    unmatched = sum(picture.split is None for picture in pictures)
    if unmatched > MOST_UNMATCHED * len(pictures):
        raise FetchError(
            f"{published.name}: expected the pictures of {reference.name}, got {unmatched:,} of "
            f"{len(pictures):,} that are like none of them. Which are hidden cannot be told: "
            "nothing was unpacked."
        )


def _summary(pictures: list[_Picture]) -> str:
    counts = Counter(picture.split or "in none, left out" for picture in pictures)
    return ", ".join(f"{count:,} {split}" for split, count in counts.most_common())


def _unpack(archive: zipfile.ZipFile, picture: _Picture, folder: Path) -> None:
    target = folder / str(picture.split) / picture.folder / PurePosixPath(picture.member).name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(archive.read(picture.member))


def _write_table(path: Path, pictures: list[_Picture]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("file", "folder", "split", "likeness"))
        for picture in pictures:
            name = PurePosixPath(picture.member).name
            table.writerow((name, picture.folder, picture.split or "", f"{picture.likeness:.4f}"))
