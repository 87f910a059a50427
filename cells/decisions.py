"""The user's decisions about rows, read from work/prepare/review.csv and distrusted.

They belong to one archive, which the table names in each line: another archive's are put aside,
and found again when that archive comes back.
"""

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cells.dataset import KEPT, MANUAL
from cells.errors import ReviewError

TABLE = "review.csv"
COLUMNS = ("row", "label", "class", "reason", "score", "why", "suggested", "decision", "archive")
NEEDED = ("row", "decision", "archive")


@dataclass(frozen=True)
class Decision:
    """What one line says: stay or go, and under which label (None: the archive's own).

    text: as the user wrote it. line: where, for messages.
    """

    text: str
    stays: bool
    label: int | None
    line: int


@dataclass(frozen=True)
class Decisions:
    """All decisions about an archive.

    source: the table they were read from, None when there is none.
    content: the bytes of folder/review.csv when it was read, whichever archive it belongs to.
    labels: what its column `label` says, (line, text) by row: not for the user to change.
    notes: cells of the user's own columns by row, in the order of note_columns.
    aside: where the table of another archive has to go before a new one is written.
    """

    source: Path | None = None
    content: bytes = b""
    by_row: dict[int, Decision] = field(default_factory=dict)
    labels: dict[int, tuple[int, str]] = field(default_factory=dict)
    note_columns: tuple[str, ...] = ()
    notes: dict[int, tuple[str, ...]] = field(default_factory=dict)
    aside: Path | None = None

    def key(self) -> list[list[int | None]]:
        """The same for the same decisions, in whatever order and words they were written."""
        return [[row, each.stays, each.label] for row, each in sorted(self.by_row.items())]

    def check(self, labels: np.ndarray) -> None:
        """Hold them against the archive's labels (rows,): every row exists, no label was edited.

        Raises ReviewError.
        """
        for row, decision in self.by_row.items():
            if row >= len(labels):
                raise ReviewError(
                    f"{self.source}, line {decision.line}: row: expected 0 to {len(labels) - 1}, "
                    f"got {row}. Correct or remove the line."
                )
        for row, (line, text) in self.labels.items():
            if row < len(labels) and text != str(labels[row]):
                raise ReviewError(
                    f"{self.source}, line {line}: label: expected the archive's, {labels[row]}, "
                    f"got {text}. Write another label into the column decision."
                )

    def apply(self, dropped: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What stays, and under which label, once the decisions are honoured.

        dropped: (rows,) uint8, what cleaning found. labels: (rows,) int64, the archive's.
        Returns both anew. Raises ReviewError when the decisions do not fit the archive.
        """
        self.check(labels)
        dropped, labels = dropped.copy(), labels.copy()
        for row, decision in self.by_row.items():
            dropped[row] = KEPT if decision.stays else MANUAL
            if decision.label is not None:
                labels[row] = decision.label
        return dropped, labels

    def make_room(self, folder: Path, command: str, report: Callable[[str], None]) -> bool:
        """Before folder/review.csv is written: put aside what belongs to another archive.

        command: the `bcsub prepare` that honours them. Returns False when the user has saved the
        table since it was read, so that writing it would lose decisions.
        """
        table = folder / TABLE
        if (table.read_bytes() if table.is_file() else b"") != self.content:
            report(f"{table}: changed meanwhile, left as it is. Run `{command}` again.")
            return False
        if self.aside is not None:
            os.replace(table, self.aside)
            report(f"{table}: decisions about another archive. Kept as {self.aside.name}")
        if self.source not in (None, table):
            os.replace(self.source, table)
            report(f"{self.source}: decisions about this archive. Taken back into {TABLE}")
        return True


def archive_name(sha256: str) -> str:
    """How the table names an archive; the prefix keeps spreadsheets from reading a number."""
    return f"sha256:{sha256[:12]}"


def read_decisions(folder: Path, sha256: str, classes: Sequence[str]) -> Decisions:
    """Decisions about the archive of that SHA-256, from folder/review.csv or one put aside.

    classes: names in the order of their labels. A file that is not there holds none.
    Raises ReviewError for a table that cannot be read, and for a decision that means nothing.
    """
    table, aside, source = folder / TABLE, None, None
    content = table.read_bytes() if table.is_file() else b""
    kept = _kept_as(folder, archive_name(sha256))
    owner, decided = _owner(table, content)
    if content and owner in (None, archive_name(sha256)):
        source = table
    else:
        aside = _free(_kept_as(folder, owner)) if owner and decided else None
        source = kept if kept.is_file() else None
    if source is None:
        return Decisions(content=content, aside=aside)
    found = _parse(source, content if source == table else source.read_bytes(), classes)
    return replace(found, content=content, aside=aside)


def _kept_as(folder: Path, archive: str) -> Path:
    return folder / f"review.{archive.removeprefix('sha256:')}.csv"


def _free(path: Path) -> Path:
    """`path`, or the first of path-2, path-3, … that is not there yet."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    return free


def _owner(path: Path, content: bytes) -> tuple[str | None, bool]:
    """The archive that a table names (None: nowhere), and whether it holds any decision."""
    owner, decided = None, False
    for line, cells in _lines(path, content) if content else ():
        name = cells["archive"]
        if name and owner not in (None, name):
            raise ReviewError(
                f"{path}, line {line}: archive: expected {owner} as in the lines above, got "
                f"{name}. Keep the lines of one archive, or leave the cell empty."
            )
        owner = name or owner
        decided |= bool(cells["decision"])
    return owner, decided


def _parse(path: Path, content: bytes, classes: Sequence[str]) -> Decisions:
    by_row: dict[int, Decision] = {}
    labels: dict[int, tuple[int, str]] = {}
    notes: dict[int, tuple[str, ...]] = {}
    own: tuple[str, ...] = ()
    for line, cells in _lines(path, content):
        if not cells["row"].isdecimal():
            raise ReviewError(
                f"{path}, line {line}: row: expected a row number of the archive, got "
                f"{cells['row']!r}. Correct or remove the line."
            )
        row = int(cells["row"])
        own = tuple(name for name in cells if name not in COLUMNS)
        if any(cells[name] for name in own):
            notes[row] = tuple(cells[name] for name in own)
        if cells.get("label"):
            labels[row] = (line, cells["label"])
        if cells["decision"]:
            decision = _decision(path, line, cells["decision"], classes)
            before = by_row.setdefault(row, decision)
            if (before.stays, before.label) != (decision.stays, decision.label):
                raise ReviewError(
                    f"{path}, line {line}: row {row}: expected one decision, got {decision.text} "
                    f"here and {before.text} in line {before.line}. Remove one of them."
                )
    return Decisions(path, content, by_row, labels, own, notes)


def _decision(path: Path, line: int, text: str, classes: Sequence[str]) -> Decision:
    word = text.casefold()
    if word in ("keep", "drop"):
        return Decision(text, word == "keep", None, line)
    for names, name in ((list(classes), text), ([name.casefold() for name in classes], word)):
        if name in names:
            return Decision(text, True, names.index(name), line)
    if word.isdecimal() and int(word) < len(classes):
        return Decision(text, True, int(word), line)
    raise ReviewError(
        f"{path}, line {line}: decision: expected keep, drop, a class ({', '.join(classes)}) or "
        f"its number, 0 to {len(classes) - 1}, got {text!r}. Correct the cell, or empty it."
    )


def _lines(path: Path, content: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column, stripped, of every line below the header.

    Raises ReviewError for another encoding or separator, a missing column, a line of other length.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ReviewError(
            f"{path}, line {line}: expected UTF-8 text, got byte 0x{content[error.start]:02x}. "
            'Save it as "CSV UTF-8", separated by commas.'
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(path, header)
        for cells in reader:
            if not any(map(str.strip, cells)):
                continue
            if len(cells) != len(header):
                raise ReviewError(
                    f"{path}, line {reader.line_num}: expected {len(header)} cells, one a column, "
                    f"got {len(cells)}. Write the empty ones too."
                )
            yield reader.line_num, dict(zip(header, map(str.strip, cells), strict=True))
    except csv.Error as error:
        raise ReviewError(
            f"{path}, line {reader.line_num}: expected a table of comma-separated values, got "
            f"something else ({error}). Save it as CSV."
        ) from None


def _check_header(path: Path, header: list[str]) -> None:
    absent = [name for name in NEEDED if name not in header]
    if not absent:
        return
    first = ",".join(header)
    separator = next((s for s in (";", "\t") if s in first), None)
    if separator:
        name = "semicolons" if separator == ";" else "tabs"
        raise ReviewError(
            f"{path}, line 1: expected columns separated by commas, got {name}. "
            'Save it as "CSV UTF-8", separated by commas.'
        )
    raise ReviewError(
        f"{path}, line 1: expected the columns {', '.join(NEEDED)}, got none called "
        f"{', '.join(absent)}. Put them back; `bcsub prepare` writes the others anew."
    )
