"""Labels in doubt: where held-out predictions contradict the archive, after cleanlab.

Northcutt et al. 2021, "Confident learning", JAIR 70. Only predictions of rows that a member did not
learn from count: a network agrees with any label that it was trained on.
"""

import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cells.dataset import KEPT, open_dataset
from cells.entries import LabelDoubts, LabelInDoubt
from cells.errors import EnsembleError
from cells.review import open_review, write_review
from ensemble.members import Member
from ensemble.runs import Remake, Report, find_members


def review_labels(
    root: Path,
    wanted: Iterable[str] = (),
    preset: str | None = None,
    *,
    remake: Remake,
    report: Report,
) -> dict[str, Any]:
    """Put the labels that the finished runs doubt on the review page and into its table.

    wanted, preset, remake, report: see `find_members`. Decisions in the table stay as they are.
    Returns members, accuracies (of each, on what it held out), warning (when some are too low, else
    None), looked_at and kept (rows), doubted (row, label, suggested, score of each, the
    most doubtful first), review and table (paths), command (the `bcsub prepare` that honours
    decisions).
    Raises EnsembleError without finished runs of this dataset, DatasetError or ReviewError.
    """
    dataset = open_dataset(root / "work" / "dataset.h5")
    review = open_review(root / "work", dataset)
    members = find_members(root / "runs", dataset, wanted, preset, remake=remake, report=report)
    members = _who_saw_none(members, report)
    rows, probs = held_out(members)
    accuracies = tuple(held_out_accuracy(member, dataset.labels) for member in members)
    kept = int((dataset.dropped == KEPT).sum())
    runs = ", ".join(member.run for member in members)
    report(f"looking at the labels of {len(rows):,} of {kept:,} rows, held out by {runs}")
    doubts = LabelDoubts(
        archive=review.archive,
        classes=dataset.classes,
        members=tuple(member.run for member in members),
        looked_at=len(rows),
        kept=kept,
        rows=labels_in_doubt(rows, probs, dataset.labels[rows], dataset.classes),
        accuracies=accuracies,
    )
    if doubts.warning:
        report(f"warning: {doubts.warning}")
    folder = root / "work" / "prepare"
    write_review(folder, replace(review, doubts=doubts), dataset.images, report)
    return {
        "members": list(doubts.members),
        "accuracies": [round(accuracy, 4) for accuracy in accuracies],
        "warning": doubts.warning,
        "looked_at": doubts.looked_at,
        "kept": doubts.kept,
        "doubted": [
            {
                "row": each.row,
                "label": dataset.classes[dataset.labels[each.row]],
                "suggested": dataset.classes[each.suggested],
                "score": round(each.score, 4),
            }
            for each in doubts.rows
        ],
        "review": str(folder / "review.html"),
        "table": str(folder / "review.csv"),
        "command": review.command,
    }


def _who_saw_none(members: list[Member], report: Report) -> list[Member]:
    """Members without those that may have learnt from the rows they held out."""
    for member in members:
        if member.not_honest:
            report(f"{member.run}: {member.not_honest}. Left out")
    left = [member for member in members if not member.not_honest]
    if not left:
        raise EnsembleError(
            "members: expected some that have not seen their held-out rows, got none. "
            "Train one (`bcsub train NAME`), or adopt one with --trained-on."
        )
    return left


def held_out(members: list[Member]) -> tuple[np.ndarray, np.ndarray]:
    """Rows that at least one member held out, and what those members say about them.

    Returns rows (n,) int64, ascending, and probs (n, classes) float64: the mean over all views of
    the clean image and over the members that held the row out, each member counting once.
    """
    rows = np.unique(np.concatenate([member.rows for member in members]))
    total: np.ndarray | float = 0.0
    voices = np.zeros((len(rows), 1))
    for member in members:
        clean, _ = member.out_of_fold(member.rows)
        where = np.searchsorted(rows, member.rows)
        said = np.zeros((len(rows), clean.shape[2]))
        said[where] = clean.mean(axis=1, dtype=np.float64)
        total = total + said
        voices[where] += 1
    return rows, total / voices


def held_out_accuracy(member: Member, labels: np.ndarray) -> float:
    """How often the mean over all views of the clean image names the label, 0-1.

    labels: (all rows,) integers, of the dataset.
    """
    clean, _ = member.out_of_fold(member.rows)
    return float((clean.mean(axis=1).argmax(axis=1) == labels[member.rows]).mean())


def labels_in_doubt(
    rows: np.ndarray, probs: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]
) -> tuple[LabelInDoubt, ...]:
    """Rows whose label cleanlab finds wrong, the most doubtful first.

    rows: (n,) row numbers. probs: (n, classes), rows sum to 1. labels: (n,) int.
    A row's score is 1 minus cleanlab's quality of its label, the probability given to it.
    """
    from cleanlab.filter import find_label_issues  # three seconds: imported when it is needed
    from cleanlab.rank import get_label_quality_scores

    with warnings.catch_warnings():
        # Of a class with a single row among these nothing can be said; no reason to say so.
        warnings.filterwarnings("ignore", "May not flag all label issues", UserWarning)
        wrong = find_label_issues(labels, probs, n_jobs=1)
    scores = 1 - get_label_quality_scores(labels, probs)
    order = np.flatnonzero(wrong)[np.argsort(-scores[wrong], kind="stable")]
    return tuple(
        LabelInDoubt(
            row=int(rows[i]),
            score=float(scores[i]),
            suggested=int(probs[i].argmax()),
            why=f"members say {classes[probs[i].argmax()]} {probs[i].max():.2f}, "
            f"{classes[labels[i]]} {probs[i, labels[i]]:.2f}",
        )
        for i in order
    )
