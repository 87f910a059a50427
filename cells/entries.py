"""Which rows a person should look at: everything dropped, the most doubtful kept, labels in doubt.

`cells/review.py` shows them on a page, in a table and on contact sheets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from cells.asked import Asked
from cells.clean import Cleaning
from cells.dataset import KEPT, MANUAL, REASONS, Dataset, read_found
from cells.decisions import Decisions

MOST_DOUBTFUL = 100  # kept rows that are shown although nothing was done about them
RELIABLE = 0.8  # accuracy below which a member is wrong far more often than an archive's labels
LABELS_IN_DOUBT = "labels_in_doubt.json"
LABEL, DOUBTFUL = "label", "doubtful"  # why a row is listed that cleaning kept
ORDER = (LABEL, DOUBTFUL, "outlier", "joke", "copy", REASONS[MANUAL])


class LabelInDoubt(BaseModel):
    """A row whose label the members doubt. score: 0-1, 1 when they give the label no chance."""

    model_config = ConfigDict(frozen=True)
    row: int
    score: float
    suggested: int
    why: str


class LabelDoubts(BaseModel):
    """Labels in doubt, and from whose predictions; belongs to one archive and its classes.

    archive: SHA-256. looked_at: rows with held-out predictions, out of `kept`. accuracies: of each
    member on the rows that it held out, 0-1; none in a file of an earlier version.
    """

    model_config = ConfigDict(frozen=True)
    archive: str
    classes: tuple[str, ...]
    members: tuple[str, ...]
    looked_at: int
    kept: int
    rows: tuple[LabelInDoubt, ...]
    accuracies: tuple[float, ...] = ()

    @property
    def judges(self) -> str:
        """The members, and how often each is right."""
        if not self.accuracies:
            return ", ".join(self.members)
        pairs = zip(self.members, self.accuracies, strict=True)
        return ", ".join(f"{member} (accuracy {accuracy:.2f})" for member, accuracy in pairs)

    @property
    def warning(self) -> str | None:
        """One line when members are wrong so often that their doubts say little."""
        weak = [accuracy for accuracy in self.accuracies if accuracy < RELIABLE]
        if not weak:
            return None
        return (
            f"{len(weak)} of {len(self.accuracies)} members are right about less than "
            f"{RELIABLE:.2f} of what they held out, at worst {min(weak):.2f}: many of these doubts "
            "are their own errors. Train longer, or ask only good ones: bcsub review RUN"
        )


@dataclass(frozen=True)
class Changes:
    """Rows that differ from the dataset prepared before: stay now, go now, have another label."""

    stay: list[int]
    go: list[int]
    relabelled: list[int]


@dataclass(frozen=True)
class Review:
    """All that is reviewed. labels: (rows,) int64, the archive's own. found: before decisions.

    changes: None for a first dataset. doubts: None before any member was asked. command: what
    honours the decisions.
    """

    archive: str
    classes: tuple[str, ...]
    labels: np.ndarray
    found: Cleaning
    decisions: Decisions
    doubts: LabelDoubts | None
    changes: Changes | None
    command: str = Asked().command()


@dataclass(frozen=True)
class Entry:
    """A row to look at. label: the archive's. reason: one of ORDER. score: 0-1, most doubtful 1.

    suggested: the label that members prefer, or None. decision: as the user wrote it, or "".
    stays: after the decision. first: the first row with the very same picture.
    """

    row: int
    label: int
    reason: str
    score: float
    why: str
    suggested: int | None
    decision: str
    stays: bool
    first: int


def entries(review: Review) -> list[Entry]:
    """Every row to look at once, in the order in which it is shown: ORDER, then doubt, then row."""
    found = review.found
    doubts = {each.row: each for each in review.doubts.rows} if review.doubts else {}
    kept = found.kept
    ranked = kept[np.argsort(-found.doubt[kept], kind="stable")][:MOST_DOUBTFUL]
    doubtful = set(ranked[found.doubt[ranked] > 0].tolist())
    listed = {*np.flatnonzero(found.dropped).tolist(), *doubtful, *doubts}
    listed |= set(review.decisions.by_row) | set(review.decisions.notes)
    out = []
    for row in listed & set(range(len(found.dropped))):
        decision = review.decisions.by_row.get(row)
        doubt = doubts.get(row)
        reason = REASONS[found.dropped[row]] or (DOUBTFUL if row in doubtful else REASONS[MANUAL])
        # Rows that are far from the most doubtful have a reason too, which would say little.
        why = found.why[row] if found.dropped[row] != KEPT or row in doubtful else ""
        score = float(found.doubt[row])
        if doubt is not None:
            why = "; ".join(filter(None, (doubt.why, why)))
            score = doubt.score
            reason = LABEL if found.dropped[row] == KEPT else reason
        out.append(
            Entry(
                row=row,
                label=int(review.labels[row]),
                reason=reason,
                score=score,
                why=why,
                suggested=doubt.suggested if doubt else None,
                decision=decision.text if decision else "",
                stays=decision.stays if decision else bool(found.dropped[row] == KEPT),
                first=int(found.copy_of[row]) if found.copy_of[row] >= 0 else row,
            )
        )
    return sorted(out, key=lambda each: (ORDER.index(each.reason), -each.score, each.row))


def read_doubts(folder: Path, sha256: str, classes: Sequence[str]) -> LabelDoubts | None:
    """The labels in doubt that `bcsub review` found in this archive; None for another's, or none.

    A damaged file counts as none: it is made again in seconds.
    """
    try:
        doubts = LabelDoubts.model_validate_json((folder / LABELS_IN_DOUBT).read_bytes())
    except (OSError, ValidationError):
        return None
    return doubts if (doubts.archive, doubts.classes) == (sha256, tuple(classes)) else None


def compare(before: Dataset, dropped: np.ndarray, labels: np.ndarray) -> Changes:
    """What differs from the dataset prepared before from the same archive.

    dropped: (rows,) uint8. labels: (rows,) int64; both with decisions.
    """
    stayed, stays = before.dropped == KEPT, dropped == KEPT
    return Changes(
        stay=np.flatnonzero(stays & ~stayed).tolist(),
        go=np.flatnonzero(stayed & ~stays).tolist(),
        relabelled=np.flatnonzero(stays & stayed & (labels != before.labels)).tolist(),
    )


def to_store(found: Cleaning, labels: np.ndarray) -> dict[str, np.ndarray]:
    """What `write_dataset` keeps of cleaning, so that a page can be made without it."""
    return {
        "labels": labels,
        "dropped": found.dropped,
        "copy_of": found.copy_of,
        "times": found.times,
        "group": found.group,
        "doubt": found.doubt,
        "why": np.array(found.why, object),
    }


def from_store(path: Path) -> tuple[Cleaning, np.ndarray]:
    """What `to_store` was given, read back from a dataset. Raises DatasetError."""
    stored = read_found(path)
    labels, why = stored.pop("labels"), tuple(stored.pop("why"))
    return Cleaning(**stored, why=why), labels
