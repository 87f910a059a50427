"""The public sources: downloaded whole into published/, handed out by split, the training one only.

What was published stays as it is, for its checksum and for another choice of splits later.
"""

import errno
import shutil
import zipfile
from pathlib import Path
from typing import Any

from cells.competition import Archive
from cells.download import Progress, Report, download
from cells.errors import FetchError
from cells.files import replacing, sha256
from cells.npz import npz_parts
from cells.sources import SOURCES, Folders, MedMnist
from cells.splits import TRAIN_ONLY, hidden_warning
from cells.unpack_folders import count_unpacked, unpack_folders

PUBLISHED = "published"
DEFAULT_PX = 128  # the smallest of MedMNIST's sizes that a 96 px competition need not enlarge
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def fetch(
    name: str,
    out: Path,
    px: int | None = None,
    splits: tuple[str, ...] = TRAIN_ONLY,
    report: Report = lambda line: None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Download the source `name` into out/published/, and write its `splits` beside it.

    px: of MedMNIST's npz, 128 unless said. What is there already is not done again.
    Returns source, path (what `bcsub prepare` takes), splits, images, sha256 (of the published
    file), licence, citation, page. Raises FetchError, one line.
    """
    if name not in SOURCES:
        raise FetchError(f"source: expected one of {', '.join(SOURCES)}, got {name!r}.")
    if "unsplit" in splits:
        raise FetchError(
            f"--splits: expected some of train, val, test, got unsplit: {name} is split."
        )
    source = SOURCES[name]
    warning = hidden_warning(name, splits)
    if warning:
        report(f"warning: {warning}")
    try:
        if isinstance(source, MedMnist):
            size = DEFAULT_PX if px is None else px
            published, path, images = _fetch_npz(source, out, size, splits, report, progress)
        else:
            if px is not None:
                raise FetchError(f"--px: {name} comes in one size, got {px}. Leave it out.")
            published, path, images = _fetch_folders(name, source, out, splits, report, progress)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise FetchError(
            f"{out}: {error.strerror}. Make room, or choose another folder with --out; the same "
            "command goes on."
        ) from None
    return {
        "source": name,
        "path": str(path),
        "splits": list(splits),
        "images": images,
        "sha256": sha256(published),
        "licence": source.licence,
        "citation": list(source.citation),
        "page": source.page,
    }


def _fetch_npz(
    source: MedMnist,
    out: Path,
    px: int,
    splits: tuple[str, ...],
    report: Report,
    progress: Progress,
) -> tuple[Path, Path, int]:
    """The published npz, the one with only the arrays of `splits`, and how many images it has."""
    if px not in source.downloads:
        sizes = ", ".join(map(str, source.downloads))
        raise FetchError(f"--px: expected one of {sizes}, got {px}.")
    wanted = source.downloads[px]
    report(f"{wanted.filename} from {source.page}")
    published = download(wanted, out / PUBLISHED, report, progress)
    path = out / f"{published.stem}_{'_'.join(splits)}.npz"
    if not path.exists():
        report(f"taking {', '.join(splits)} out of it: {path}")
        _copy_splits(published, path, splits)
    images = sum(len(part.labels) for part in npz_parts(path, Archive()))
    expected = sum(source.images[split] for split in splits)
    if images != expected:
        raise FetchError(
            f"{path}: expected {expected:,} images, got {images:,}. Remove it and fetch again."
        )
    return published, path, images


def _copy_splits(published: Path, path: Path, splits: tuple[str, ...]) -> None:
    """Copy the arrays of `splits` from one npz into another, piece by piece."""
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(published) as given,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as taken,
    ):
        for key in (f"{split}_{what}.npy" for split in splits for what in ("images", "labels")):
            with given.open(key) as read, taken.open(key, "w", force_zip64=True) as write:
                shutil.copyfileobj(read, write, 1 << 20)


def _fetch_folders(
    name: str,
    source: Folders,
    out: Path,
    splits: tuple[str, ...],
    report: Report,
    progress: Progress,
) -> tuple[Path, Path, int]:
    """The published zip, the folder with the pictures of `splits`, and how many these are."""
    path = out / f"{name}_{'_'.join(splits)}"
    report(f"{source.download.filename} from {source.page}")
    published = download(source.download, out / PUBLISHED, report, progress)
    if not path.exists():
        report(f"{source.like.filename}, which says what split a picture is in")
        reference = download(source.like, out / PUBLISHED, report, progress)
        report(f"sorting {sum(source.images.values()):,} pictures into splits: {path}")
        unpack_folders(published, reference, source, path, splits, report)
    return published, path, count_unpacked(path, splits)
