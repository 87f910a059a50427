"""submission/ → dist/submission-<8 hex digits of its content>.zip: flat, reproducible."""

import json
from pathlib import Path
from typing import TypedDict
from zipfile import ZIP_STORED, ZipFile, ZipInfo, is_zipfile

import h5py

from cells.competition import Competition
from cells.errors import SubmissionError
from cells.files import fingerprint, replacing, sha256

# The earliest moment that a zip can express: the same content gives the same bytes on every day.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_CHUNK_BYTES = 1 << 20


class Packed(TypedDict):
    """What `pack_submission` wrote, or found already written."""

    zip: str
    bytes: int
    deadline_s: float | None


def pack_submission(
    folder: Path,
    out: Path,
    competition: Competition,
    name: str | None = None,
    force: bool = False,
) -> Packed:
    """Zip model.py and weights.h5 of `folder`, and an empty metadata where the platform wants one.

    Nothing else of the folder goes in. Entries are stored, not deflated: float16 weights shrink by
    7 % only, at 30 MB/s, and deflated bytes differ from one zlib to the next.
    name: the zip's name in `out`; by default submission-<content>.zip. Packing the same content
    again gives the same zip, and makes it the newest one, which `bcsub emulate` takes.
    Raises SubmissionError when a file is missing or unreadable, the bundle is for other classes,
    another image size, answer or deadline, the zip is over the platform's limit, or another zip has
    the name and `force` is not set.
    """
    deadline_s = _check_folder(folder, competition)
    contents = {file: folder / file for file in ("model.py", "weights.h5")}
    digests = {file: sha256(path) for file, path in contents.items()}
    empty = ["metadata"] if competition.platform.metadata else []
    target = out / (_zip_name(name) if name else f"submission-{_short(digests, empty)}.zip")
    with replacing(target) as temporary:
        _write(temporary, contents, empty)
        _check_limit(target, temporary, competition.platform.size_limit_mb)
        if target.exists() and not force and sha256(target) != sha256(temporary):
            raise SubmissionError(
                f"{target}: another zip already has this name. Pass --force to replace it, "
                "or another --name."
            )
    return {"zip": str(target), "bytes": target.stat().st_size, "deadline_s": deadline_s}


def newest_zip(out: Path) -> Path:
    """The zip in `out` that was packed last. Raises SubmissionError without one."""
    zips = sorted(filter(_holds_model, out.glob("*.zip")), key=lambda path: path.stat().st_mtime)
    if not zips:
        raise SubmissionError(f"{out}: no zip with a model.py. Run `bcsub pack` first.")
    return zips[-1]


def _holds_model(path: Path) -> bool:
    """Whether it is a submission: not data, and not half written."""
    if not is_zipfile(path):
        return False
    with ZipFile(path) as archive:
        return "model.py" in archive.namelist()


def _short(digests: dict[str, str], empty: list[str]) -> str:
    return fingerprint(digests, empty)[:8]


def _zip_name(name: str) -> str:
    if Path(name).name != name or name in (".", ".."):
        raise SubmissionError(f"--name: expected a file name without a folder, got {name!r}.")
    return name if name.endswith(".zip") else f"{name}.zip"


def _check_folder(folder: Path, competition: Competition) -> float | None:
    """The bundle's deadline in seconds, if it has one."""
    model, weights = folder / "model.py", folder / "weights.h5"
    if not model.is_file():
        raise SubmissionError(
            f"{model}: no such file. Run `bcsub ensemble`, which puts it beside the weights."
        )
    if not weights.is_file():
        raise SubmissionError(f"{weights}: no such file. Run `bcsub ensemble` first.")
    try:
        with h5py.File(weights) as file:
            attributes = dict(file.attrs)
    except OSError as error:
        raise SubmissionError(
            f"{weights}: not a readable HDF5 file ({error}). Run `bcsub ensemble` again."
        ) from None
    # Only a bundle of ours says for which classes it is; other people's weights pass unasked.
    if attributes.get("kind") == "bundle":
        _check_bundle(weights, attributes, competition)
        return competition.platform.deadline_s
    return None


def _check_bundle(weights: Path, attributes: dict, competition: Competition) -> None:
    classes = tuple(json.loads(attributes["classes"]))
    image_px = int(attributes["image_px"])
    if classes != competition.classes:
        raise SubmissionError(
            f"{weights}: expected the {len(competition.classes)} classes of {competition.name}, "
            f"got {len(classes)}: {', '.join(classes)}. Pass the --competition it was made for."
        )
    if image_px != competition.image_px:
        raise SubmissionError(
            f"{weights}: expected images of {competition.image_px} px ({competition.name}), "
            f"got {image_px} px. Pass the --competition it was made for."
        )
    platform = competition.platform
    for key, asked, absent in (
        ("answer", platform.answer, "labels"),
        ("deadline_s", platform.deadline_s, None),
        ("bfloat16", platform.bfloat16, False),
    ):
        if attributes.get(key, absent) != asked:
            raise SubmissionError(
                f"{weights}: expected {key} {asked} ({competition.name}), "
                f"got {attributes.get(key, absent)}. Run `bcsub prepare` and `bcsub ensemble` with "
                "that competition, or pass the --competition it was made for."
            )


def _check_limit(target: Path, written: Path, limit_mb: float | None) -> None:
    size_mb = written.stat().st_size / 1e6
    if limit_mb is not None and size_mb > limit_mb:
        raise SubmissionError(
            f"{target.name}: expected at most {limit_mb:g} MB, got {size_mb:.1f} MB. "
            "Run `bcsub ensemble` with fewer or smaller members."
        )


def _write(target: Path, contents: dict[str, Path], empty: list[str]) -> None:
    with ZipFile(target, "w", ZIP_STORED) as archive:
        for name in sorted([*contents, *empty]):
            entry = ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, whatever the machine: the bytes must not depend on it
            entry.external_attr = 0o644 << 16
            if name in empty:
                archive.writestr(entry, b"")
                continue
            entry.file_size = contents[name].stat().st_size
            with contents[name].open("rb") as source, archive.open(entry, "w") as sink:
                while chunk := source.read(_CHUNK_BYTES):
                    sink.write(chunk)
