"""Three ways to weight members: uniform, greedy selection, and the optimum of the log loss.

All take probs (members, images, classes), rows sum to 1, and labels (images,), and give weights
(members,) >= 0 that sum to 1. They raise EnsembleError when shapes differ or a value is not finite.
"""

import numpy as np
from scipy.optimize import minimize

from cells.errors import EnsembleError
from ensemble.scores import TINY, accuracy, log_loss

GREEDY_ROUNDS = 25
LEAST_WEIGHT = 1e-3  # a member below this costs its passes and moves no label


def uniform_weights(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The same weight for every member."""
    _check(probs, labels)
    return np.full(len(probs), 1 / len(probs))


def simplex_weights(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The weights >= 0 of sum 1 with the lowest log loss of the blend.

    With p[m, i] = member m's probability of image i's label, f(w) = -mean_i log(sum_m w_m p[m, i])
    is convex, so the local optimum that SLSQP finds from its analytic gradient is the optimum;
    `optimality_gap` says how near it came.
    """
    true = _true_probs(probs, labels)
    members = len(true)

    def loss_and_gradient(weights: np.ndarray) -> tuple[float, np.ndarray]:
        blended = np.maximum(weights @ true, TINY)
        return -float(np.log(blended).mean()), -(true / blended).mean(axis=1)

    found = minimize(
        loss_and_gradient,
        np.full(members, 1 / members),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * members,
        constraints={
            "type": "eq",
            "fun": lambda weights: weights.sum() - 1,
            "jac": lambda weights: np.ones(members),
        },
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    weights = np.clip(found.x, 0, 1)
    return weights / weights.sum()


def optimality_gap(probs: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """How far, at most, the log loss at `weights` lies above the optimum, in nats; >= 0.

    The Frank-Wolfe gap of f above (Jaggi 2013, ICML): f(w) - f* <= max_m -g_m + w.g, and here
    w.g = -1, so the bound is max_m mean_i(p[m, i] / blend_i) - 1. It needs no trust in a solver.
    """
    true = _true_probs(probs, labels)
    return max(0.0, float((true / (weights @ true)).mean(axis=1).max() - 1))


def greedy_weights(
    probs: np.ndarray, labels: np.ndarray, rounds: int = GREEDY_ROUNDS
) -> np.ndarray:
    """Greedy ensemble selection with replacement (Caruana et al. 2004, ICML).

    Each round adds the member that makes the average most accurate; ties go to the lower log loss,
    then to the earlier member. The best round's counts become the weights.
    """
    _check(probs, labels)
    total = np.zeros(probs.shape[1:], np.float64)
    picked: list[int] = []
    scores: list[tuple[float, float]] = []
    for count in range(1, rounds + 1):
        blends = [(total + member) / count for member in probs]
        trials = [(accuracy(each, labels), -log_loss(each, labels)) for each in blends]
        best = max(range(len(probs)), key=trials.__getitem__)
        total += probs[best]
        picked.append(best)
        scores.append(trials[best])
    stop = max(range(rounds), key=scores.__getitem__) + 1
    return np.bincount(picked[:stop], minlength=len(probs)) / stop


def without_crumbs(weights: np.ndarray) -> np.ndarray:
    """`weights` (members,) of sum 1 with those below LEAST_WEIGHT set to 0, scaled to sum 1."""
    kept = np.where(weights < LEAST_WEIGHT, 0.0, weights)
    return kept / kept.sum()


WEIGHTINGS = {"uniform": uniform_weights, "greedy": greedy_weights, "simplex": simplex_weights}


def _true_probs(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Every member's probability of the label, at least TINY: (members, images) float64."""
    _check(probs, labels)
    return np.maximum(probs[:, np.arange(len(labels)), labels].astype(np.float64), TINY)


def _check(probs: np.ndarray, labels: np.ndarray) -> None:
    if probs.ndim != 3 or not len(probs) or probs.shape[1:2] != labels.shape or not len(labels):
        raise EnsembleError(
            "probs: expected (members, images, classes) with one label an image, "
            f"got {probs.shape} and labels {labels.shape}."
        )
    for number, member in enumerate(probs):
        if not np.isfinite(member).all():
            raise EnsembleError(
                f"probs: expected numbers, got NaN or infinity from member {number}. "
                "Train it again."
            )
