"""A run as a member of an ensemble, and all members brought onto the same rows.

The fold models of one run make one member: each row's probabilities come from the one model that
did not see it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cells.dataset import Dataset
from cells.errors import EnsembleError
from submission.model import VIEWS

VIEW_NAMES = tuple(VIEWS)


@dataclass(frozen=True)
class FoldModel:
    """One trained network, what it predicts on rows it never saw, and on the test part.

    rows: (n,) int64. clean, shifted: (n, views, classes) float32; test_clean, test_shifted:
    (test rows, views, classes) float32. fingerprint: member.h5's.
    """

    folder: Path
    fold: int
    fingerprint: str
    rows: np.ndarray
    clean: np.ndarray
    shifted: np.ndarray
    test_clean: np.ndarray
    test_shifted: np.ndarray


@dataclass(frozen=True)
class Member:
    """One run: a recipe and the models of its finished folds, in the order of the folds.

    not_honest: why scores on its rows cannot be trusted (an adopted model may have learnt from
    them), else "".
    """

    run: str
    name: str
    preset: str
    models: tuple[FoldModel, ...]
    not_honest: str = ""

    @property
    def rows(self) -> np.ndarray:
        """Rows that some model of this run held out, ascending: (n,) int64."""
        return np.sort(np.concatenate([model.rows for model in self.models]))

    def out_of_fold(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Clean and shifted probabilities of `rows`, each from the one model that did not see it.

        rows: (n,), all of them in `self.rows`. Returns two (n, views, classes) float32.
        """
        all_rows = np.concatenate([model.rows for model in self.models])
        order = np.argsort(all_rows)
        where = order[np.searchsorted(all_rows, rows, sorter=order)]
        clean = np.concatenate([model.clean for model in self.models])
        shifted = np.concatenate([model.shifted for model in self.models])
        return clean[where], shifted[where]

    def on_test(self) -> tuple[np.ndarray, np.ndarray]:
        """Clean and shifted probabilities of the test part: the mean of the fold models.

        That is what the bundle does with an image nobody has seen.
        """
        clean = np.mean([model.test_clean for model in self.models], axis=0)
        return clean, np.mean([model.test_shifted for model in self.models], axis=0)


@dataclass(frozen=True)
class Aligned:
    """All members on the rows that every one of them held out, and on the test part.

    rows, labels, groups, families: (n,) int. clean, shifted: (members, n, views, classes) float32.
    test_labels: (m,). test_clean, test_shifted: (members, m, views, classes).
    models: (members,) int, how many networks each member is.
    """

    rows: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    families: np.ndarray
    clean: np.ndarray
    shifted: np.ndarray
    test_labels: np.ndarray
    test_clean: np.ndarray
    test_shifted: np.ndarray
    models: np.ndarray

    def on(self, mask: np.ndarray) -> "Aligned":
        """Only the rows of `mask` (rows,) bool; the test part as it is."""
        return replace(
            self,
            rows=self.rows[mask],
            labels=self.labels[mask],
            groups=self.groups[mask],
            families=self.families[mask],
            clean=self.clean[:, mask],
            shifted=self.shifted[:, mask],
        )


def align(members: list[Member], dataset: Dataset) -> Aligned:
    """Bring the members onto the rows that all of them held out.

    Raises EnsembleError when there is no such row.
    """
    rows = members[0].rows
    for member in members[1:]:
        rows = np.intersect1d(rows, member.rows)
    if not len(rows):
        held = "; ".join(f"{member.run} folds {_folds(member)}" for member in members)
        raise EnsembleError(
            f"members: expected rows that all of them held out, got none ({held}). "
            "Name runs that share a fold, or train them with the same --folds."
        )
    held_out = [member.out_of_fold(rows) for member in members]
    test = [member.on_test() for member in members]
    return Aligned(
        rows=rows,
        labels=dataset.labels[rows],
        groups=dataset.group[rows],
        families=dataset.shift_family[rows],
        clean=np.stack([clean for clean, _ in held_out]),
        shifted=np.stack([shifted for _, shifted in held_out]),
        test_labels=dataset.labels[dataset.test_rows()],
        test_clean=np.stack([clean for clean, _ in test]),
        test_shifted=np.stack([shifted for _, shifted in test]),
        models=np.array([len(member.models) for member in members]),
    )


def _folds(member: Member) -> str:
    return ", ".join(str(model.fold) for model in member.models)
