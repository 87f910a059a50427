"""From the platform's archive to work/dataset.h5, with a page of what was done and why."""

import csv
import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from cells import clean as cleaning
from cells import folds as splitting
from cells import shift as shifting
from cells.archive import LabelledImages, archive_digest, read_archive
from cells.clean import Cleaning, clean
from cells.competition import Competition
from cells.dataset import KEPT, MANUAL, REASONS, TEST_PART, open_dataset, write_dataset
from cells.decisions import Decisions, read_decisions
from cells.entries import Changes, Review, compare, read_doubts, to_store
from cells.errors import DatasetError
from cells.files import fingerprint, replacing, write_json
from cells.folds import split
from cells.prepare_pictures import draw_classes, draw_shifted
from cells.review import write_review
from cells.shift import FAMILIES, shift_images
from cells.splits import TRAIN_ONLY

ROWS = "rows.csv"
PRODUCTS = (
    *("review.html", "review.csv", "dropped.png", "doubtful.png"),
    *("classes.png", "shifted.png"),
)

Report = Callable[[str], None]


def prepare(
    archive: Path,
    root: Path,
    competition: Competition,
    folds: int = 8,
    seed: int = 0,
    force: bool = False,
    deep: bool = False,
    report: Report = lambda line: None,
    splits: tuple[str, ...] = TRAIN_ONLY,
    upscale: bool = False,
    shares: tuple[float, float, float] | None = None,
) -> dict[str, Any]:
    """Clean, split and corrupt an archive, once.

    Writes root/work/dataset.h5 and root/work/prepare/{review.html, review.csv, dropped.png,
    doubtful.png, classes.png, shifted.png, summary.json}, and rows.csv where rows come from files
    or splits; honours the decisions that the user wrote into review.csv. When all is there
    already, made from the same archive with the same settings and decisions, nothing is done and
    the stored summary returned, unless `force`.
    shares: train, held out and test, in place of folds: see `split`.
    deep: also look for jokes blended over cells or cropped, and for pictures that are no cell.
    report: gets one line a step. splits, upscale: see `read_archive`.
    Returns the summary: rows, kept, dropped {copy, joke, outlier, manual}, manual {kept, dropped,
    relabelled: rows where a decision differs from what was found}, changed {stay, go, relabelled:
    rows that differ from the dataset before; None for a first one}, near_copies (kept rows that
    share a group), test, folds, classes {name: kept}, splits (that the rows come from), warning
    (when hidden images may be among them, else None), note (on other sizes, else None), seconds,
    shift_images_per_s, dataset, review, fingerprint, inputs and archive (a digest of what was read
    of it).
    Raises ArchiveError, ReviewError or DatasetError.
    """
    started = time.perf_counter()
    work = root / "work"
    digest, inputs, decisions = "", "", Decisions()
    divided = shares or folds
    if archive.exists():
        report(f"fingerprint of {archive.name}")
        digest = archive_digest(archive, competition, splits)
        decisions = read_decisions(work / "prepare", digest, competition.classes)
        inputs = _inputs(digest, competition, divided, seed, deep, upscale, decisions)
    stored = None if force else _already(work, competition, inputs)
    if stored is not None:
        _tell(report, stored["warning"], stored["note"])
        report(f"already prepared: {work / 'dataset.h5'} (--force does it again)")
        return stored

    report(f"reading {archive.name}")
    given = read_archive(archive, competition, splits=splits, upscale=upscale)
    _tell(report, given.warning, given.note)
    decisions.check(given.labels)
    report(f"looking for copies and jokes among {len(given.labels):,} rows")
    found = clean(given.images, given.labels, deep, report)
    dropped, labels = decisions.apply(found.dropped, given.labels)
    changes = _changes(work, digest, dropped, labels)
    kept = np.flatnonzero(dropped == KEPT)
    part, fold = split(labels, found.group, kept, folds, np.random.default_rng(seed), shares)
    folds = 1 if shares else folds

    report(f"corrupting a copy of each of {len(kept):,} images")
    began = time.perf_counter()
    shifted, of_shift = _shift(given.images, part, fold, seed)
    shift_images_per_s = len(kept) / (time.perf_counter() - began)
    report("pictures and tables")
    decided = replace(given, labels=labels)
    draw_classes(work / "prepare" / "classes.png", decided, kept, competition.classes)
    draw_shifted(work / "prepare" / "shifted.png", decided, kept)
    doubts = read_doubts(work / "prepare", digest, competition.classes)
    review = Review(digest, competition.classes, given.labels, found, decisions, doubts, changes)
    write_review(work / "prepare", review, given.images.__getitem__, report)
    _write_rows(work / "prepare" / ROWS, given, competition)
    report(f"writing {work / 'dataset.h5'}")
    identity = _identity(digest, competition, divided, seed, (dropped, labels, found.group))
    rows = {"labels": labels, "dropped": dropped, "group": found.group, "part": part, "fold": fold}
    write_dataset(
        work / "dataset.h5",
        competition,
        identity,
        folds,
        tuple(FAMILIES),
        given.images,
        shifted,
        rows | of_shift,
        to_store(found, given.labels),
    )
    summary = _summary(found, given.labels, dropped, labels, competition)
    summary |= {
        "changed": asdict(changes) if changes else None,
        "test": int((part == TEST_PART).sum()),
        "splits": list(given.splits),
        "warning": given.warning,
        "note": given.note,
        "folds": folds,
        "dataset": str(work / "dataset.h5"),
        "review": str(work / "prepare" / "review.html"),
        "fingerprint": identity,
        "inputs": inputs,
        "archive": digest,
        "shift_images_per_s": round(shift_images_per_s),
        "seconds": round(time.perf_counter() - started, 2),
    }
    write_json(work / "prepare" / "summary.json", summary)
    return summary


def _tell(report: Report, warning: str | None, note: str | None) -> None:
    if warning:
        report(f"warning: {warning}")
    if note:
        report(note)


def _write_rows(path: Path, given: LabelledImages, competition: Competition) -> None:
    """rows.csv: which file, or which number in which split, a row is. Gone where rows say it."""
    if given.names is None:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("row", "label", "class", "source"))
        for row, (label, name) in enumerate(zip(given.labels.tolist(), given.names, strict=True)):
            table.writerow((row, label, competition.classes[label], name))


def _inputs(
    digest: str,
    competition: Competition,
    divided: int | tuple[float, float, float],
    seed: int,
    deep: bool,
    upscale: bool,
    decisions: Decisions,
) -> str:
    """Changes with anything that may change what is prepared; the same: nothing is to be done."""
    versions = (cleaning.VERSION, splitting.VERSION, shifting.VERSION)
    data = _of_the_data(competition)
    return fingerprint(digest, data, divided, seed, versions, deep, upscale, decisions.key())


def _identity(
    digest: str,
    competition: Competition,
    divided: int | tuple[float, float, float],
    seed: int,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> str:
    """Changes with anything that changes an image, a label, the split or the shifted copies.

    rows: dropped, labels, group. A decision that changes nothing, such as to keep what stays
    anyway, leaves the identity as it is, and trained members with it.
    How the platform calls a model is left out for the same reason.
    """
    dropped, labels, group = rows
    stays = dropped == KEPT
    rows_bytes = [each.tobytes() for each in (stays, labels[stays], group[stays])]
    versions = (splitting.VERSION, shifting.VERSION)
    data = _of_the_data(competition)
    return fingerprint(digest, data, divided, seed, versions, *rows_bytes)


def _of_the_data(competition: Competition) -> dict[str, Any]:
    data = {"classes": competition.classes, "image_px": competition.image_px}
    return data | competition.archive.model_dump()


def _already(work: Path, competition: Competition, inputs: str) -> dict[str, Any] | None:
    """The stored summary, if everything in `work` was made from the same inputs."""
    try:
        summary = json.loads((work / "prepare" / "summary.json").read_text())
        dataset = open_dataset(work / "dataset.h5")
    except (OSError, ValueError, DatasetError):
        return None
    same = summary.get("fingerprint") == dataset.fingerprint and summary.get("inputs") == inputs
    whole = all((work / "prepare" / name).is_file() for name in PRODUCTS)
    if not (same and whole and dataset.competition == competition):
        return None
    places = {"dataset": work / "dataset.h5", "review": work / "prepare" / "review.html"}
    return summary | {name: str(path) for name, path in places.items()}


def _changes(work: Path, digest: str, dropped: np.ndarray, labels: np.ndarray) -> Changes | None:
    """What differs from the dataset in `work`; None without one of the same archive."""
    try:
        summary = json.loads((work / "prepare" / "summary.json").read_text())
        before = open_dataset(work / "dataset.h5")
    except (OSError, ValueError, DatasetError):
        return None
    if summary.get("archive") != digest or len(before.labels) != len(labels):
        return None
    return compare(before, dropped, labels)


def _shift(
    images: np.ndarray, part: np.ndarray, fold: np.ndarray, seed: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The shifted copy of every kept image, and the dataset's rows that say how it was made.

    Dropped rows stay black, of family 0 and severity 0.

    Part by part and fold by fold, since the blend family mixes images of one call.
    """
    shifted = np.zeros_like(images)
    family = np.zeros(len(images), np.uint8)
    severity = np.zeros(len(images), np.uint8)
    where = [part == TEST_PART, *(fold == number for number in range(int(fold.max()) + 1))]
    for rows in map(np.flatnonzero, where):
        shifted[rows], family[rows], severity[rows] = shift_images(images, rows, seed)
    return shifted, {"shift_family": family, "shift_severity": severity}


def _summary(
    found: Cleaning,
    given_labels: np.ndarray,
    dropped: np.ndarray,
    labels: np.ndarray,
    competition: Competition,
) -> dict[str, Any]:
    """Counts of what stayed and what went, and what decisions had to do with it."""
    kept = np.flatnonzero(dropped == KEPT)
    sizes = np.bincount(found.group[kept])
    counts = np.bincount(labels[kept], minlength=len(competition.classes))
    went = np.bincount(dropped, minlength=len(REASONS)).tolist()
    return {
        "rows": len(labels),
        "kept": len(kept),
        "dropped": dict(zip(REASONS[1:], went[1:], strict=True)),
        "manual": {
            "kept": int((found.dropped[kept] != KEPT).sum()),
            "dropped": went[MANUAL],
            "relabelled": int((labels != given_labels).sum()),
        },
        "near_copies": int(sizes[sizes > 1].sum()),
        "classes": dict(zip(competition.classes, counts.tolist(), strict=True)),
    }
