"""From the platform's archive to work/dataset.h5, with pictures of what was done and why."""

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cells import clean as cleaning
from cells import folds as splitting
from cells import shift as shifting
from cells.archive import LabelledImages, read_archive
from cells.clean import Cleaning, clean
from cells.competition import Competition
from cells.dataset import COPY, JOKE, REASONS, TEST_PART, open_dataset, write_dataset
from cells.errors import DatasetError
from cells.files import fingerprint, replacing, sha256, write_json
from cells.folds import split
from cells.prepare_pictures import draw_classes, draw_dropped, draw_shifted
from cells.shift import FAMILIES, shift_images

PRODUCTS = ("dropped.csv", "dropped.png", "classes.png", "shifted.png")

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
) -> dict[str, Any]:
    """Clean, split and corrupt an archive, once.

    Writes root/work/dataset.h5 and root/work/prepare/{dropped.csv, dropped.png, classes.png,
    shifted.png, summary.json}. When they are there already, made from the same archive with the
    same settings, nothing is done and the stored summary returned, unless `force`.
    deep: also look for jokes blended over cells or cropped, and for pictures that are no cell.
    report: gets one line a step.
    Returns the summary: rows, kept, dropped {copy, joke}, near_copies (kept rows that share a
    group), test, folds, classes {name: kept}, seconds, shift_images_per_s, dataset, fingerprint.
    Raises ArchiveError or DatasetError.
    """
    started = time.perf_counter()
    work = root / "work"
    if archive.is_file():
        report(f"fingerprint of {archive.name}")
    identity = _identity(archive, competition, folds, seed, deep) if archive.is_file() else ""
    stored = None if force else _already(work, competition, identity)
    if stored is not None:
        report(f"already prepared: {work / 'dataset.h5'} (--force does it again)")
        return stored

    report(f"reading {archive.name}")
    given = read_archive(archive, competition)
    report(f"looking for copies and jokes among {len(given.labels):,} rows")
    found = clean(given.images, given.labels, deep, report)
    generator = np.random.default_rng(seed)
    part, fold = split(given.labels, found.group, found.kept, folds, generator)

    report(f"corrupting a copy of each of {len(found.kept):,} images")
    began = time.perf_counter()
    shifted, family, severity = _shift(given.images, part, fold, seed)
    shift_images_per_s = len(found.kept) / (time.perf_counter() - began)
    report("pictures and tables")
    _write_pictures(work / "prepare", given, found, competition)
    report(f"writing {work / 'dataset.h5'}")
    write_dataset(
        work / "dataset.h5",
        competition,
        identity,
        folds,
        tuple(FAMILIES),
        given.images,
        shifted,
        {
            "labels": given.labels,
            "dropped": found.dropped,
            "group": found.group,
            "part": part,
            "fold": fold,
            "shift_family": family,
            "shift_severity": severity,
        },
    )
    summary = _summary(given, found, competition)
    summary |= {
        "test": int((part == TEST_PART).sum()),
        "folds": folds,
        "dataset": str(work / "dataset.h5"),
        "fingerprint": identity,
        "shift_images_per_s": round(shift_images_per_s),
        "seconds": round(time.perf_counter() - started, 2),
    }
    write_json(work / "prepare" / "summary.json", summary)
    return summary


def _identity(archive: Path, competition: Competition, folds: int, seed: int, deep: bool) -> str:
    """Changes with anything that changes an image, a label, the split or the shifted copies.

    How the platform calls a model is left out: it must not make trained members stale.
    """
    data = {"classes": competition.classes, "image_px": competition.image_px}
    data |= competition.archive.model_dump()
    versions = (cleaning.VERSION, splitting.VERSION, shifting.VERSION)
    return fingerprint(sha256(archive), data, folds, seed, versions, deep)


def _already(work: Path, competition: Competition, identity: str) -> dict[str, Any] | None:
    """The stored summary, if everything in `work` was made from the same inputs."""
    try:
        summary = json.loads((work / "prepare" / "summary.json").read_text())
        dataset = open_dataset(work / "dataset.h5")
    except (OSError, ValueError, DatasetError):
        return None
    same = summary.get("fingerprint") == dataset.fingerprint == identity
    same &= "shift_images_per_s" in summary  # not so before that was measured
    whole = all((work / "prepare" / name).is_file() for name in PRODUCTS)
    if not (same and whole and dataset.competition == competition):
        return None
    return summary | {"dataset": str(work / "dataset.h5")}


def _shift(
    images: np.ndarray, part: np.ndarray, fold: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The shifted copy of every kept image, family and severity; dropped rows stay black, 0 and 0.

    Part by part and fold by fold, since the blend family mixes images of one call.
    """
    shifted = np.zeros_like(images)
    family = np.zeros(len(images), np.uint8)
    severity = np.zeros(len(images), np.uint8)
    where = [part == TEST_PART, *(fold == number for number in range(int(fold.max()) + 1))]
    for rows in map(np.flatnonzero, where):
        shifted[rows], family[rows], severity[rows] = shift_images(images, rows, seed)
    return shifted, family, severity


def _summary(given: LabelledImages, found: Cleaning, competition: Competition) -> dict[str, Any]:
    """Counts of what stayed and what went."""
    kept = found.kept
    sizes = np.bincount(found.group[kept])
    counts = np.bincount(given.labels[kept], minlength=len(competition.classes))
    return {
        "rows": len(given.labels),
        "kept": len(kept),
        "dropped": {
            "copy": int((found.dropped == COPY).sum()),
            "joke": int((found.dropped == JOKE).sum()),
        },
        "near_copies": int(sizes[sizes > 1].sum()),
        "classes": dict(zip(competition.classes, counts.tolist(), strict=True)),
    }


def _write_pictures(
    folder: Path, given: LabelledImages, found: Cleaning, competition: Competition
) -> None:
    """dropped.csv and the three contact sheets."""
    with (
        replacing(folder / "dropped.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        table.writerow(("row", "label", "class", "reason", "copy_of", "times"))
        for row in np.flatnonzero(found.dropped).tolist():
            label, first = int(given.labels[row]), int(found.copy_of[row])
            reason = REASONS[found.dropped[row]]
            table.writerow(
                (
                    row,
                    label,
                    competition.classes[label],
                    reason,
                    "" if first < 0 else first,
                    int(found.times[row]),
                )
            )
    draw_dropped(folder / "dropped.png", given, found)
    draw_classes(folder / "classes.png", given, found.kept, competition.classes)
    draw_shifted(folder / "shifted.png", given, found.kept)
