"""The three contact sheets of `bcsub prepare`: what was dropped, the classes, the corruptions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cells.archive import LabelledImages
from cells.clean import Cleaning
from cells.contact_sheet import contact_sheet
from cells.dataset import COPY
from cells.shift import FAMILIES, SEVERITIES, UNSEEN, apply

MOST_DROPPED = 64
PER_CLASS = 10


def draw_dropped(path: Path, given: LabelledImages, found: Cleaning) -> None:
    """Every distinct dropped picture once: why it went, how often it is there, where."""
    rows = np.flatnonzero(found.dropped)
    first = np.where(found.copy_of[rows] < 0, rows, found.copy_of[rows])
    distinct, position = np.unique(first, return_index=True)
    commonest = np.argsort(-found.times[distinct], kind="stable")[:MOST_DROPPED]
    titles = []
    for number in commonest:
        row, times = int(distinct[number]), int(found.times[distinct[number]])
        if found.dropped[rows[position[number]]] == COPY:
            titles.append(f"copy, {times} times\nrow {row} stays")
        else:
            labels = np.unique(given.labels[rows[first == row]])
            which = "label" if len(labels) == 1 else "labels"
            numbers = ", ".join(map(str, labels)) if len(labels) < 4 else f"0 to {labels[-1]}"
            titles.append(f"joke, {times:,} times\nrow {row}, {which} {numbers}")
    heading = f"{len(rows):,} rows dropped, {len(distinct)} distinct pictures"
    if len(distinct) > MOST_DROPPED:
        heading += f" (the {MOST_DROPPED} commonest)"
    contact_sheet(path, given.images[distinct[commonest]], titles, 5, heading)


def draw_classes(
    path: Path, given: LabelledImages, kept: np.ndarray, classes: Sequence[str]
) -> None:
    """Evenly spaced kept images of each class, a row a class."""
    counts = np.bincount(given.labels[kept], minlength=len(classes))
    columns = int(min(PER_CLASS, counts.min()))
    chosen = []
    for label in range(len(classes)):
        rows = kept[given.labels[kept] == label]
        chosen.append(rows[np.linspace(0, len(rows) - 1, columns).astype(int)])
    names = [f"{name}  ({count:,})" for name, count in zip(classes, counts, strict=True)]
    heading = f"{len(kept):,} images stay"
    contact_sheet(path, given.images[np.concatenate(chosen)], None, columns, heading, names)


def draw_shifted(path: Path, given: LabelledImages, kept: np.ndarray) -> None:
    """Every family at every severity, each on a kept image of another class than the last."""
    examples = []
    for label in np.unique(given.labels[kept]):
        rows = kept[given.labels[kept] == label]
        examples.append(given.images[rows[len(rows) // 2]])
    out = []
    for number, name in enumerate(FAMILIES):
        image, other = (examples[(number + ahead) % len(examples)] for ahead in (0, 1))
        out.append(image)
        out.extend(
            apply(name, image, severity, np.random.default_rng(number), other)
            for severity in SEVERITIES
        )
    names = [f"{name} *" if name in UNSEEN else name for name in FAMILIES]
    columns = ("clean", *(f"severity {severity}" for severity in SEVERITIES))
    heading = "The families of corruption (* in no training policy)"
    contact_sheet(path, np.stack(out), None, len(columns), heading, names, columns)
