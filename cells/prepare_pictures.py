"""Contact sheets of `bcsub prepare`: rows to look at, the classes, the corruptions."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cells.archive import LabelledImages
from cells.contact_sheet import contact_sheet
from cells.corruptions import FAMILIES, SEVERITIES, UNSEEN, apply

PER_SHEET = 120
PER_CLASS = 10


def draw_sheets(
    path: Path,
    images: Callable[[np.ndarray], np.ndarray],
    rows: np.ndarray,
    titles: Sequence[str],
    heading: str,
) -> None:
    """All of `rows` with their titles: on `path`, then path-2, path-3, … of PER_SHEET each.

    images: (n,) row numbers → (n, px, px, 3) uint8. Sheets of an earlier, longer list are removed.
    """
    sheets = max(1, -(-len(rows) // PER_SHEET))
    for number in range(sheets):
        part = slice(number * PER_SHEET, (number + 1) * PER_SHEET)
        target = path if number == 0 else path.with_stem(f"{path.stem}-{number + 1}")
        which = f" (sheet {number + 1} of {sheets})" if sheets > 1 else ""
        contact_sheet(target, images(rows[part]), titles[part], 6, heading + which)
    for old in path.parent.glob(f"{path.stem}-*{path.suffix}"):
        ending = old.stem.rpartition("-")[2]
        if ending.isdecimal() and int(ending) > sheets:
            old.unlink()


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
