"""From the platform's archive to work/dataset.h5, with a page of what was done and why."""

import csv
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cells.archive import LabelledImages, archive_digest, read_archive
from cells.asked import Asked, asked_before
from cells.clean import Cleaning, clean
from cells.competition import Competition
from cells.corruptions import FAMILIES
from cells.dataset import KEPT, MANUAL, REASONS, TEST_PART, write_dataset
from cells.decisions import Decisions, read_decisions
from cells.entries import Review, read_doubts, to_store
from cells.files import make_folder, replacing, write_json
from cells.folds import shares_text, split
from cells.prepare_pictures import draw_classes, draw_shifted
from cells.prepared import Settings, already, changes_since
from cells.review import write_review
from cells.shift import shift_images
from cells.splits import TRAIN_ONLY

SOURCES = "rows.csv"

Report = Callable[[str], None]


@dataclass(frozen=True)
class Rows:
    """What became of an archive's rows: each array (rows,), as in `Dataset`.

    found: before any decision of the user's; all else after them.
    """

    found: Cleaning
    dropped: np.ndarray
    labels: np.ndarray
    part: np.ndarray
    fold: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """(kept,) numbers of those that stay."""
        return np.flatnonzero(self.dropped == KEPT)


@dataclass(frozen=True)
class Shifted:
    """The shifted copies: images (rows, px, px, 3) uint8, family and severity as in `Dataset`.

    Dropped rows are black, of family 0 and severity 0.
    """

    images: np.ndarray
    family: np.ndarray
    severity: np.ndarray
    images_per_s: float


def prepare(
    archive: Path,
    root: Path,
    competition: Competition,
    folds: int | None = None,
    seed: int = 0,
    force: bool = False,
    deep: bool = False,
    report: Report = lambda line: None,
    splits: tuple[str, ...] = TRAIN_ONLY,
    upscale: bool = False,
    shares: tuple[float, float, float] | None = None,
    named: str | None = None,
) -> dict[str, Any]:
    """Clean, split and corrupt an archive, once.

    Writes root/work/dataset.h5 and root/work/prepare/{review.html, review.csv, dropped.png,
    doubtful.png, classes.png, shifted.png, summary.json}, and rows.csv where rows come from files
    or splits; honours the decisions that the user wrote into review.csv. When all is there
    already, made from the same archive with the same settings and decisions, nothing is done and
    the stored summary returned, unless `force`.
    folds: 8 unless said. shares: train, held out and test, in place of folds: see `split`.
    named: what --competition says, for the command that is advised; its name unless said.
    deep: also look for jokes blended over cells or cropped, and for pictures that are no cell.
    report: gets one line a step. splits, upscale: see `read_archive`.
    Returns the summary: rows, kept, dropped {copy, joke, outlier, manual}, manual {kept, dropped,
    relabelled: rows where a decision differs from what was found}, changed {stay, go, relabelled:
    rows that differ from the dataset before; None for a first one}, near_copies (kept rows that
    share a group), test, folds, classes {name: kept}, splits (that the rows come from), warning
    (when hidden images may be among them, else None), note (on other sizes, else None), seconds,
    shift_images_per_s, dataset, review, fingerprint, inputs and archive (a digest of what was read
    of it), asked (the options).
    Raises ArchiveError, ReviewError or DatasetError.
    """
    started = time.perf_counter()
    work = root / "work"
    asked = Asked(
        archive=str(archive),
        competition=named or competition.name,
        folds=folds,
        shares=shares_text(shares) if shares else "",
        seed=seed,
        splits=",".join(splits),
        upscale=upscale,
        deep=deep,
        root=str(root),
    )
    settings = Settings(competition, folds, shares, seed, deep, upscale, asked)
    digest, decisions, inputs = "", Decisions(), ""
    if archive.exists():
        report(f"fingerprint of {archive.name}")
        digest = archive_digest(archive, competition, splits)
        decisions = read_decisions(work / "prepare", digest, competition.classes)
        inputs = settings.inputs(digest, decisions)
    stored = None if force else already(work, competition, inputs)
    if stored is not None:
        _tell(report, stored["warning"], stored["note"])
        report(f"already prepared: {work / 'dataset.h5'} (--force does it again)")
        return stored

    _warn_if_shallower(asked_before(work), asked, report)
    report(f"reading {archive.name}")
    given = read_archive(archive, competition, splits=splits, upscale=upscale)
    _tell(report, given.warning, given.note)
    decisions.check(given.labels)
    summary = _anew(work, given, digest, decisions, settings, report)
    summary["seconds"] = round(time.perf_counter() - started, 2)
    write_json(work / "prepare" / "summary.json", summary)
    return summary


def _anew(
    work: Path,
    given: LabelledImages,
    digest: str,
    decisions: Decisions,
    settings: Settings,
    report: Report,
) -> dict[str, Any]:
    """Make all of `work` but the summary; returns that, without the seconds."""
    make_folder(work / "prepare")  # where it cannot be, before minutes of work
    rows = _sort(given, decisions, settings, report)
    changes = changes_since(work, digest, rows.dropped, rows.labels)
    report(f"corrupting a copy of each of {len(rows.kept):,} images")
    shifted = _shift(given.images, rows, settings.seed)
    report("pictures and tables")
    classes = settings.competition.classes
    doubts = read_doubts(work / "prepare", digest, classes)
    command = settings.asked.command()
    review = Review(digest, classes, given.labels, rows.found, decisions, doubts, changes, command)
    _show(work / "prepare", given, rows, review, report)
    report(f"writing {work / 'dataset.h5'}")
    identity = settings.identity(digest, rows.dropped, rows.labels, rows.found.group)
    _write(work / "dataset.h5", given, rows, shifted, settings, identity)
    return _counts(rows, given.labels, classes) | {
        "changed": asdict(changes) if changes else None,
        "test": int((rows.part == TEST_PART).sum()),
        "splits": list(given.splits),
        "warning": given.warning,
        "note": given.note,
        "folds": settings.held_out_parts,
        "dataset": str(work / "dataset.h5"),
        "review": str(work / "prepare" / "review.html"),
        "fingerprint": identity,
        "inputs": settings.inputs(digest, decisions),
        "archive": digest,
        "asked": asdict(settings.asked),
        "shift_images_per_s": round(shifted.images_per_s),
    }


def _warn_if_shallower(before: Asked, now: Asked, report: Report) -> None:
    if before.deep and not now.deep:
        report(
            "warning: the dataset before was cleaned with --deep, this one is not: what only that "
            f"finds comes back, and members may go out of date. As before: {before.command()}"
        )


def _tell(report: Report, warning: str | None, note: str | None) -> None:
    if warning:
        report(f"warning: {warning}")
    if note:
        report(note)


def _sort(given: LabelledImages, decisions: Decisions, settings: Settings, report: Report) -> Rows:
    """Clean, overrule, and divide what stays into parts and folds."""
    report(f"looking for copies and jokes among {len(given.labels):,} rows")
    found = clean(given.images, given.labels, settings.deep, report)
    dropped, labels = decisions.apply(found.dropped, given.labels)
    kept = np.flatnonzero(dropped == KEPT)
    generator = np.random.default_rng(settings.seed)
    part, fold = split(labels, found.group, kept, settings.folds, generator, settings.shares)
    return Rows(found, dropped, labels, part, fold)


def _shift(images: np.ndarray, rows: Rows, seed: int) -> Shifted:
    """The shifted copy of every kept image.

    Part by part and fold by fold, since the blend family mixes images of one call.
    """
    began = time.perf_counter()
    shifted = np.zeros_like(images)
    family = np.zeros(len(images), np.uint8)
    severity = np.zeros(len(images), np.uint8)
    folds = range(int(rows.fold.max()) + 1)
    where = [rows.part == TEST_PART, *(rows.fold == number for number in folds)]
    for each in map(np.flatnonzero, where):
        shifted[each], family[each], severity[each] = shift_images(images, each, seed)
    images_per_s = len(rows.kept) / (time.perf_counter() - began)
    return Shifted(shifted, family, severity, images_per_s)


def _show(folder: Path, given: LabelledImages, rows: Rows, review: Review, report: Report) -> None:
    """Write pictures and tables into `folder`."""
    decided = replace(given, labels=rows.labels)
    draw_classes(folder / "classes.png", decided, rows.kept, review.classes)
    draw_shifted(folder / "shifted.png", decided, rows.kept)
    write_review(folder, review, given.images.__getitem__, report)
    _write_sources(folder / SOURCES, given, review.classes)


def _write_sources(path: Path, given: LabelledImages, classes: tuple[str, ...]) -> None:
    """rows.csv: which file, or which number in which split, a row is. Gone where rows say it."""
    if given.names is None:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("row", "label", "class", "source"))
        for row, (label, name) in enumerate(zip(given.labels.tolist(), given.names, strict=True)):
            table.writerow((row, label, classes[label], name))


def _write(
    path: Path,
    given: LabelledImages,
    rows: Rows,
    shifted: Shifted,
    settings: Settings,
    identity: str,
) -> None:
    write_dataset(
        path,
        settings.competition,
        identity,
        settings.held_out_parts,
        tuple(FAMILIES),
        given.images,
        shifted.images,
        {
            "labels": rows.labels,
            "dropped": rows.dropped,
            "group": rows.found.group,
            "part": rows.part,
            "fold": rows.fold,
            "shift_family": shifted.family,
            "shift_severity": shifted.severity,
        },
        to_store(rows.found, given.labels),
    )


def _counts(rows: Rows, given_labels: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """Of what stayed and what went, and what decisions had to do with it."""
    kept = rows.kept
    sizes = np.bincount(rows.found.group[kept])
    counts = np.bincount(rows.labels[kept], minlength=len(classes))
    went = np.bincount(rows.dropped, minlength=len(REASONS)).tolist()
    return {
        "rows": len(rows.labels),
        "kept": len(kept),
        "dropped": dict(zip(REASONS[1:], went[1:], strict=True)),
        "manual": {
            "kept": int((rows.found.dropped[kept] != KEPT).sum()),
            "dropped": went[MANUAL],
            "relabelled": int((rows.labels != given_labels).sum()),
        },
        "near_copies": int(sizes[sizes > 1].sum()),
        "classes": dict(zip(classes, counts.tolist(), strict=True)),
    }
