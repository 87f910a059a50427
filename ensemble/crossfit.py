"""Scores that never see the rows their weights were fitted on, and how sure a difference is."""

from collections.abc import Callable

import numpy as np

from cells.errors import EnsembleError
from ensemble.blend import blend

PARTS = 5
RESAMPLES = 2000
_CHUNK = 200  # resamples drawn at once: memory stays at _CHUNK x groups

Fit = Callable[[np.ndarray, np.ndarray], np.ndarray]


def deal_parts(
    labels: np.ndarray, groups: np.ndarray, parts: int, rng: np.random.Generator
) -> np.ndarray:
    """Deal whole groups into parts, class by class, in random order.

    labels, groups: (rows,) int; a group counts under its first row's label.
    Returns (rows,) int, 0..parts-1; fewer parts when there are fewer groups.
    Raises EnsembleError for fewer than two groups: then no row could be left out.
    """
    _, first, group_of_row = np.unique(groups, return_index=True, return_inverse=True)
    if len(first) < 2:
        raise EnsembleError(
            f"held-out rows: expected at least 2 groups to cross-fit weights, got {len(first)}."
        )
    order = rng.permutation(len(first))
    order = order[np.argsort(labels[first][order], kind="stable")]
    part_of_group = np.empty(len(first), np.int64)
    part_of_group[order] = np.arange(len(first)) % min(parts, len(first))
    return part_of_group[group_of_row]


def crossfit(
    fit: Fit, shifted: np.ndarray, clean: np.ndarray, labels: np.ndarray, parts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Blend every part with weights fitted on the other parts' shifted predictions.

    fit: (probs (members, n, classes), labels (n,)) -> weights (members,).
    shifted, clean: (members, rows, classes). labels, parts: (rows,) int.
    Returns the blended (shifted, clean), each (rows, classes) float32.
    """
    out_shifted, out_clean = np.empty_like(shifted[0]), np.empty_like(clean[0])
    for part in np.unique(parts):
        left_out = parts == part
        weights = fit(shifted[:, ~left_out], labels[~left_out])
        out_shifted[left_out] = blend(shifted[:, left_out], weights)
        out_clean[left_out] = blend(clean[:, left_out], weights)
    return out_shifted, out_clean


def bootstrap_se(
    differences: np.ndarray,
    groups: np.ndarray,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> np.ndarray:
    """Standard error of mean paired differences, by a bootstrap that draws whole groups.

    differences: (comparisons, rows), e.g. 1, 0 or -1 for right or wrong against the other's.
    groups: (rows,) int; rows of one group are near copies and come or stay away together.
    Returns (comparisons,), >= 0. Source: Davison & Hinkley 1997, section 3.8.
    """
    _, group_of_row = np.unique(groups, return_inverse=True)
    sizes = np.bincount(group_of_row).astype(np.float64)
    sums = np.array([np.bincount(group_of_row, weights=row) for row in differences])
    means = []
    for start in range(0, resamples, _CHUNK):
        draws = min(_CHUNK, resamples - start)
        counts = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=draws)
        means.append(counts @ sums.T / (counts @ sizes)[:, None])
    return np.concatenate(means).std(axis=0, ddof=1)
