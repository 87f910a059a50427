"""work/prepare/: the page review.html, the table review.csv that overrules, and contact sheets.

Thousands of rows may show one picture: a page, unlike the table, shows each picture once.
"""

import base64
import csv
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from cells.asked import asked_before
from cells.dataset import KEPT, REASONS, Dataset
from cells.decisions import COLUMNS, TABLE, archive_name, read_decisions
from cells.entries import (
    LABELS_IN_DOUBT,
    MOST_DOUBTFUL,
    ORDER,
    Changes,
    Entry,
    Review,
    entries,
    from_store,
    read_doubts,
)
from cells.errors import DatasetError
from cells.files import replacing, write_text
from cells.pages import page_template
from cells.prepare_pictures import draw_sheets

PICTURES_MB = 12  # of pictures on one page, so that any browser opens it
PICTURE_PX = 96  # larger images are shown smaller
JPEG_QUALITY = 88
RANGES = 8  # runs of row numbers that are spelt out

Images = Callable[[np.ndarray], np.ndarray]


def open_review(work: Path, dataset: Dataset) -> Review:
    """What `bcsub prepare` wrote into `work`, to write it again with more.

    Raises DatasetError when it was not written for this dataset, ReviewError for wrong decisions.
    """
    folder, command = work / "prepare", asked_before(work).command()
    try:
        summary = json.loads((folder / "summary.json").read_text())
    except (OSError, ValueError):
        summary = {}
    if summary.get("fingerprint") != dataset.fingerprint or "archive" not in summary:
        raise DatasetError(
            f"{folder / 'summary.json'}: expected one of dataset {dataset.fingerprint}, got "
            f"{summary.get('fingerprint', 'none')}. Run `{command}` again."
        )
    archive, changed = summary["archive"], summary["changed"]
    found, labels = from_store(dataset.path)
    decisions = read_decisions(folder, archive, dataset.classes)
    decisions.check(labels)
    doubts = read_doubts(folder, archive, dataset.classes)
    changes = Changes(**changed) if changed else None
    return Review(archive, dataset.classes, labels, found, decisions, doubts, changes, command)


def write_review(
    folder: Path, review: Review, images: Images, report: Callable[[str], None]
) -> None:
    """Write review.html, review.csv, dropped*.png and doubtful*.png into `folder`.

    Labels in doubt are stored as well, so that the next `bcsub prepare` lists them too.

    images: (n,) row numbers → (n, px, px, 3) uint8. report: told of a table that was put aside, or
    left alone since the user saved it meanwhile.
    """
    if review.doubts is not None:
        write_text(folder / LABELS_IN_DOUBT, review.doubts.model_dump_json(indent=2) + "\n")
    listed = entries(review)
    if review.decisions.make_room(folder, review.command, report):
        _write_table(folder / TABLE, review, listed)
    shown = cards(listed, review.classes)
    write_text(folder / "review.html", _page(review, shown, images))
    for name, stays, what in (
        ("dropped", False, "dropped"),
        ("doubtful", True, "in doubt that stay"),
    ):
        chosen = [card for card in shown if card.stays == stays]
        heading = f"{sum(card.times for card in chosen):,} rows {what}, {len(chosen):,} pictures"
        rows = np.array([card.row for card in chosen], np.int64)
        draw_sheets(folder / f"{name}.png", images, rows, [card.title for card in chosen], heading)


def _write_table(path: Path, review: Review, listed: list[Entry]) -> None:
    """review.csv: our columns, then the user's own."""
    classes, decisions = review.classes, review.decisions
    empty = ("",) * len(decisions.note_columns)
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        table.writerow((*COLUMNS, *decisions.note_columns))
        for each in listed:
            suggested = "" if each.suggested is None else classes[each.suggested]
            table.writerow(
                (
                    *(each.row, each.label, classes[each.label], each.reason),
                    *(f"{each.score:.4f}", each.why, suggested, each.decision),
                    archive_name(review.archive),
                    *decisions.notes.get(each.row, empty),
                )
            )


@dataclass(frozen=True)
class Card:
    """One picture on the page, and the rows that show it and were treated alike.

    row: one of them. rows, labels: as text. title: for contact sheets.
    """

    row: int
    times: int
    reason: str
    rows: str
    labels: str
    score: str
    why: str
    suggested: str
    decision: str
    stays: bool
    title: str


def cards(listed: list[Entry], classes: tuple[str, ...]) -> list[Card]:
    """The entries with each picture once a reason and decision, in the order of `entries`."""

    def alike(each: Entry) -> tuple[int, int, str, bool]:
        return ORDER.index(each.reason), each.first, each.decision.casefold(), each.stays

    together = [list(group) for _, group in groupby(sorted(listed, key=alike), alike)]
    together.sort(key=lambda group: (ORDER.index(group[0].reason), -group[0].score, group[0].row))
    return [_card(group, classes) for group in together]


def _card(group: list[Entry], classes: tuple[str, ...]) -> Card:
    first = group[0]
    counts = Counter(each.label for each in group)
    labels = [
        classes[label] + (f" x{n:,}" if len(counts) > 1 else "") for label, n in counts.items()
    ]
    times = f" x{len(group):,}" if len(group) > 1 else ""
    suggested = "" if first.suggested is None else classes[first.suggested]
    label = classes[first.label] if len(counts) == 1 else f"{len(counts)} labels"
    further = [f"suggested: {suggested}"] if suggested else []
    further += [f"decision: {first.decision}"] if first.decision else []
    return Card(
        row=first.row,
        times=len(group),
        reason=first.reason,
        rows=spans([each.row for each in group]),
        labels=", ".join(labels),
        score=f"{first.score:.2f}",
        why=first.why,
        suggested=suggested,
        decision=first.decision,
        stays=first.stays,
        title="\n".join(
            (f"{first.reason} {first.score:.2f}{times}", f"row {first.row}, {label}", *further)
        ),
    )


def spans(rows: list[int]) -> str:
    """Row numbers, ascending, as runs: "3, 7-9"; of many runs the first RANGES, and the count."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and row == runs[-1][1] + 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    texts = [str(low) if low == high else f"{low}-{high}" for low, high in runs[:RANGES]]
    return ", ".join(texts) + (f" … ({len(rows):,} rows)" if len(runs) > RANGES else "")


def _page(review: Review, shown: list[Card], images: Images) -> str:
    """The page as HTML, pictures inside; beyond PICTURES_MB only rows are named."""
    pictures, left = {}, PICTURES_MB * 1e6
    for start in range(0, len(shown), 256):
        rows = np.array([card.row for card in shown[start : start + 256]], np.int64)
        for row, image in zip(rows.tolist(), images(rows), strict=True):
            uri = _data_uri(image)
            left -= len(uri)
            if left < 0:
                break
            pictures[row] = uri
        if left < 0:
            break
    stays = review.found.dropped == KEPT
    for row, decision in review.decisions.by_row.items():
        stays[row] = decision.stays
    found = Counter(REASONS[code] for code in review.found.dropped if code)
    return page_template("cells", "review.html").render(
        archive=archive_name(review.archive),
        classes=review.classes,
        rows=len(stays),
        kept=int(stays.sum()),
        found=found,
        decisions=review.decisions.by_row,
        command=review.command,
        doubts=review.doubts,
        changes=review.changes,
        spans=spans,
        sections=[(reason, [card for card in shown if card.reason == reason]) for reason in ORDER],
        pictures=pictures,
        most_doubtful=MOST_DOUBTFUL,
    )


def _data_uri(image: np.ndarray) -> str:
    """(px, px, 3) uint8 RGB → a JPEG of at most PICTURE_PX, as text."""
    if len(image) > PICTURE_PX:
        image = cv2.resize(image, (PICTURE_PX, PICTURE_PX), interpolation=cv2.INTER_AREA)
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
