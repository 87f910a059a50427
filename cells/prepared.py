"""What `prepare` left in work/ before: whether it may stay, and what differs from it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cells import clean as cleaning
from cells import folds as splitting
from cells import shift as shifting
from cells.asked import Asked
from cells.competition import Competition
from cells.dataset import KEPT, Dataset, open_dataset
from cells.decisions import Decisions
from cells.entries import Changes, compare
from cells.errors import DatasetError
from cells.files import fingerprint

PRODUCTS = (
    *("review.html", "review.csv", "dropped.png", "doubtful.png"),
    *("classes.png", "shifted.png"),
)


@dataclass(frozen=True)
class Settings:
    """How an archive is to be prepared: see `prepare`.

    asked: the same as the user said it. Raises DatasetError for both folds and shares.
    """

    competition: Competition
    folds_asked: int | None
    shares: tuple[float, float, float] | None
    seed: int
    deep: bool
    upscale: bool
    asked: Asked

    def __post_init__(self) -> None:
        if self.shares and self.folds_asked is not None:
            raise DatasetError(
                f"--shares: divides in place of folds, got --folds {self.folds_asked} too. Leave "
                "one of them out."
            )

    @property
    def folds(self) -> int:
        """Into how many the train part is dealt, unless there are shares."""
        return splitting.FOLDS if self.folds_asked is None else self.folds_asked

    @property
    def held_out_parts(self) -> int:
        """How many of the folds are ever held out."""
        return 1 if self.shares else self.folds

    def inputs(self, digest: str, decisions: Decisions) -> str:
        """Changes with anything that may change what is prepared; the same: nothing is to be done.

        digest: of the archive.
        """
        versions = (cleaning.VERSION, splitting.VERSION, shifting.VERSION)
        return fingerprint(
            *(digest, self._of_the_data(), self.shares or self.folds, self.seed, versions),
            *(self.deep, self.upscale, decisions.key()),
        )

    def identity(
        self, digest: str, dropped: np.ndarray, labels: np.ndarray, group: np.ndarray
    ) -> str:
        """Changes with anything that changes an image, a label, the split or the shifted copies.

        A decision that changes nothing, such as to keep what stays anyway, leaves the identity as
        it is, and trained members with it. How the platform calls a model is left out for the same
        reason.
        """
        stays = dropped == KEPT
        rows_bytes = [each.tobytes() for each in (stays, labels[stays], group[stays])]
        versions = (splitting.VERSION, shifting.VERSION)
        return fingerprint(
            *(digest, self._of_the_data(), self.shares or self.folds, self.seed, versions),
            *rows_bytes,
        )

    def _of_the_data(self) -> dict[str, Any]:
        data = {"classes": self.competition.classes, "image_px": self.competition.image_px}
        return data | self.competition.archive.model_dump()


def already(work: Path, competition: Competition, inputs: str) -> dict[str, Any] | None:
    """The stored summary, if everything in `work` was made from the same inputs."""
    stored = _stored(work)
    if stored is None:
        return None
    summary, dataset = stored
    same = summary.get("fingerprint") == dataset.fingerprint and summary.get("inputs") == inputs
    whole = all((work / "prepare" / name).is_file() for name in PRODUCTS)
    if not (same and whole and dataset.competition == competition):
        return None
    places = {"dataset": work / "dataset.h5", "review": work / "prepare" / "review.html"}
    return summary | {name: str(path) for name, path in places.items()}


def changes_since(
    work: Path, digest: str, dropped: np.ndarray, labels: np.ndarray
) -> Changes | None:
    """What differs from the dataset in `work`; None without one of the same archive."""
    stored = _stored(work)
    if stored is None:
        return None
    summary, before = stored
    if summary.get("archive") != digest or len(before.labels) != len(labels):
        return None
    return compare(before, dropped, labels)


def _stored(work: Path) -> tuple[dict[str, Any], Dataset] | None:
    """Summary and dataset in `work`; None when one of them is absent or damaged."""
    try:
        summary = json.loads((work / "prepare" / "summary.json").read_text())
        return summary, open_dataset(work / "dataset.h5")
    except (OSError, ValueError, DatasetError):
        return None
