"""Average probabilities: a member's over views, an ensemble's over members."""

import numpy as np

from cells.errors import EnsembleError


def blend(probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average the members' probabilities.

    probs: (members, images, classes) float32, rows sum to 1.
    weights: (members,), >= 0, any scale.
    Returns (images, classes) float32, rows sum to 1.
    Raises EnsembleError when the lengths differ, a weight is negative or not finite, or every
    weight is 0.
    """
    weights = np.asarray(weights, np.float64)
    if weights.shape != (len(probs),):
        raise EnsembleError(
            f"weights: expected {len(probs)}, one a member, got shape {weights.shape}."
        )
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise EnsembleError(
            f"weights: expected numbers >= 0 and one above 0, got {weights.tolist()}."
        )
    return np.tensordot(weights / weights.sum(), probs, axes=1).astype(np.float32)


def mean_views(probs: np.ndarray, views: tuple[int, ...]) -> np.ndarray:
    """Average one member's probabilities over some of the views.

    probs: (images, views, classes) float32. views: positions on the second axis.
    Returns (images, classes) float32. Raises EnsembleError for no view, or one that is not there.
    """
    if not views or not all(0 <= view < probs.shape[1] for view in views):
        raise EnsembleError(f"views: expected positions below {probs.shape[1]}, got {list(views)}.")
    return probs[:, list(views)].mean(axis=1, dtype=np.float64).astype(np.float32)
