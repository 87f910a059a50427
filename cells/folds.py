"""The test part, the folds over the rest, and the inner rows that training watches.

Every split is stratified by class and keeps groups of near copies whole. scikit-learn's
StratifiedGroupKFold does the same, but takes 20 s for 12,000 groups: here it is a deal of cards.
"""

import numpy as np

from cells.dataset import DROPPED_PART, TEST_PART, TRAIN_PART
from cells.errors import DatasetError

VERSION = 1  # raise it when the same archive and seed would be split otherwise
TEST_FRACTION = 0.1
FOLDS = 8  # unless said


def split(
    labels: np.ndarray,
    groups: np.ndarray,
    kept: np.ndarray,
    folds: int,
    generator: np.random.Generator,
    shares: tuple[float, float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Divide the kept rows into a test part and folds.

    labels, groups: (rows,) integers for the whole archive. kept: row numbers that stay.
    shares: train, held out, test, in place of folds: the held-out share is fold 0, and what only
    ever trains is fold 1.
    Returns part (rows,) int8, one of the *_PART, and fold (rows,) int8, -1 outside the train part.
    Raises DatasetError when a class has too few distinct pictures for that many folds.
    """
    if shares is None and not 2 <= folds <= 100:
        raise DatasetError(f"folds: expected 2 to 100, got {folds}. {FOLDS} is the default.")
    test_fraction = TEST_FRACTION if shares is None else shares[2]
    _check_enough(labels, groups, kept, 1 if shares else folds)
    part = np.full(len(labels), DROPPED_PART, np.int8)
    fold = np.full(len(labels), -1, np.int8)
    part[kept] = TRAIN_PART
    part[inner_rows(labels, groups, kept, generator, test_fraction)] = TEST_PART
    train = np.flatnonzero(part == TRAIN_PART)
    if shares is None:
        fold[train] = _deal(labels[train], groups[train], folds, generator)
    else:
        fold[train] = 1
        held_out = shares[1] / (shares[0] + shares[1])
        fold[inner_rows(labels, groups, train, generator, held_out)] = 0
    return part, fold


def parse_shares(text: str) -> tuple[float, float, float]:
    """TRAIN/HELD-OUT/TEST in per cent, such as 60/36/4, as shares that sum to 1.

    Raises DatasetError for anything else.
    """
    try:
        train, held_out, test = (float(part) / 100 for part in text.split("/"))
    except ValueError:
        train = held_out = test = 0.0
    if min(train, held_out, test) <= 0 or abs(train + held_out + test - 1) > 1e-6:
        raise DatasetError(
            f"--shares: expected TRAIN/HELD-OUT/TEST in per cent that sum to 100, such as 60/36/4, "
            f"got {text!r}."
        )
    return train, held_out, test


def shares_text(shares: tuple[float, float, float]) -> str:
    """What `parse_shares` reads as these shares."""
    return "/".join(f"{100 * share:.10g}" for share in shares)


def inner_rows(
    labels: np.ndarray,
    groups: np.ndarray,
    rows: np.ndarray,
    generator: np.random.Generator,
    fraction: float = 0.1,
) -> np.ndarray:
    """A stratified share of `rows`, near copies kept together.

    labels, groups: (all rows,) integers. rows: (n,) row numbers. fraction: 0 to 1.
    Returns about `fraction` of `rows`, ascending; of a rare class at least one row.
    Raises DatasetError when a class has fewer than two distinct pictures among `rows`.
    """
    rows = np.sort(rows)
    fewest = _rarest(labels[rows], groups[rows])[1]
    if fewest < 2:
        raise DatasetError(
            f"rows: expected at least 2 distinct pictures of each class to divide, got {fewest}. "
            "Use more images."
        )
    wanted = fraction * np.bincount(labels[rows]) + 0.5
    taken = np.zeros(len(wanted), np.int64)
    inner = np.zeros(len(rows), bool)
    shuffled = _shuffled_groups(labels[rows], groups[rows], generator)
    for members, label in shuffled:
        if taken[label] + len(members) <= wanted[label]:
            inner[members] = True
            taken[label] += len(members)
    for members, label in sorted(shuffled, key=lambda group: len(group[0])):
        if taken[label] == 0:  # a rare class, or one of large groups only: its smallest goes
            inner[members] = True
            taken[label] += len(members)
    return rows[inner]


def _check_enough(labels: np.ndarray, groups: np.ndarray, kept: np.ndarray, folds: int) -> None:
    """Raise DatasetError unless each class fills the test part and every fold."""
    absent = np.setdiff1d(labels, labels[kept])
    label, fewest = (int(absent[0]), 0) if len(absent) else _rarest(labels[kept], groups[kept])
    needed = max(round(1 / TEST_FRACTION), folds + 2)
    if fewest < needed:
        raise DatasetError(
            f"folds: expected at least {needed} distinct pictures of each class for {folds} folds "
            f"and a test part, got {fewest} of class {label}. Use more images or fewer --folds."
        )


def _rarest(labels: np.ndarray, groups: np.ndarray) -> tuple[int, int]:
    """The class with the fewest groups, and how many it has."""
    pairs = np.unique(np.stack([labels, groups], axis=1), axis=0)
    classes, counts = np.unique(pairs[:, 0], return_counts=True)
    rarest = int(np.argmin(counts))
    return int(classes[rarest]), int(counts[rarest])


def _deal(
    labels: np.ndarray, groups: np.ndarray, folds: int, generator: np.random.Generator
) -> np.ndarray:
    """Deal groups to folds: each to the fold with the fewest of its class, then the fewest at all.

    labels, groups: (n,) integers. Returns (n,) int8, the fold of each.
    """
    counts = np.zeros((folds, int(labels.max()) + 1), np.int64)
    fold = np.empty(len(labels), np.int8)
    shuffled = _shuffled_groups(labels, groups, generator)
    for members, label in sorted(shuffled, key=lambda group: -len(group[0])):
        number = int(np.lexsort((counts.sum(axis=1), counts[:, label]))[0])
        fold[members] = number
        np.add.at(counts[number], labels[members], 1)
    return fold


def _shuffled_groups(
    labels: np.ndarray, groups: np.ndarray, generator: np.random.Generator
) -> list[tuple[np.ndarray, int]]:
    """Each group's positions and its commonest label, in random order."""
    order = np.argsort(groups, kind="stable")
    _, starts = np.unique(groups[order], return_index=True)
    members = np.split(order, starts[1:])
    return [
        (members[number], int(np.bincount(labels[members[number]]).argmax()))
        for number in generator.permutation(len(members))
    ]
