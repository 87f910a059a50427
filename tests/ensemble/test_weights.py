import numpy as np
import pytest

from cells.errors import EnsembleError
from ensemble.scores import log_loss
from ensemble.weights import (
    greedy_weights,
    optimality_gap,
    simplex_weights,
    uniform_weights,
    without_crumbs,
)


def two_class(*true: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Members by their probability of the label, which is 0 everywhere."""
    p = np.array(true, np.float64)
    return np.stack([p, 1 - p], axis=-1), np.zeros(p.shape[1], np.int64)


def test_uniform():
    assert uniform_weights(*two_class([0.1], [0.9], [0.5])).tolist() == [1 / 3] * 3


def test_simplex_gives_all_to_a_perfect_member():
    probs, labels = two_class([1.0, 1.0, 1.0], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(simplex_weights(probs, labels), [1, 0], atol=1e-6)


def test_simplex_splits_between_mirror_images():
    probs, labels = two_class([0.9, 0.2, 0.9, 0.2], [0.2, 0.9, 0.2, 0.9])
    np.testing.assert_allclose(simplex_weights(probs, labels), [0.5, 0.5], atol=1e-6)


def test_simplex_finds_an_interior_optimum():
    # A gives .8 on three rows and .2 on two, B the reverse. With w on A and q = 3/5,
    # f = -q log(.2 + .6w) - (1 - q) log(.8 - .6w); f' = 0 at w = (q - .2) / .6 = 2/3.
    probs, labels = two_class([0.8, 0.8, 0.8, 0.2, 0.2], [0.2, 0.2, 0.2, 0.8, 0.8])
    np.testing.assert_allclose(simplex_weights(probs, labels), [2 / 3, 1 / 3], atol=1e-5)


def test_simplex_is_optimal_among_many_members():
    rng = np.random.default_rng(3)
    probs = rng.dirichlet(np.ones(5), size=(20, 400)).astype(np.float32)
    labels = rng.integers(0, 5, 400)
    weights = simplex_weights(probs, labels)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    assert optimality_gap(probs, labels, weights) < 1e-5


def test_simplex_survives_a_member_that_is_surely_wrong():
    probs, labels = two_class([0.0, 1.0], [0.5, 0.5])
    # f = -(log(w.0 + (1-w)/2) + log(w + (1-w)/2)) / 2 is lowest at w = 0
    np.testing.assert_allclose(simplex_weights(probs, labels), [0, 1], atol=1e-4)


def test_optimality_gap_bounds_the_true_gap():
    probs, labels = two_class([0.8, 0.8, 0.8, 0.2, 0.2], [0.2, 0.2, 0.2, 0.8, 0.8])
    best, other = np.array([2 / 3, 1 / 3]), np.array([0.3, 0.7])
    true = log_loss(np.tensordot(other, probs, 1), labels) - log_loss(
        np.tensordot(best, probs, 1), labels
    )
    assert optimality_gap(probs, labels, best) == pytest.approx(0, abs=1e-12)
    assert optimality_gap(probs, labels, other) >= true > 0.03


def test_greedy_keeps_the_only_good_member():
    probs, labels = two_class([0.9, 0.8, 0.7], [0.4, 0.1, 0.6], [0.6, 0.2, 0.3])
    assert greedy_weights(probs, labels).tolist() == [1, 0, 0]


def test_greedy_counts_picks_with_replacement():
    # A is right on rows 0-2 and B on 3-5. A + A + B: row 3 has (.45 + .45 + .7) / 3 = .533, right.
    # One of each leaves row 2 at (.55 + .40) / 2 = .475, wrong; so two picks of A for one of B.
    probs, labels = two_class(
        [0.90, 0.90, 0.55, 0.45, 0.45, 0.45], [0.45, 0.45, 0.40, 0.70, 0.70, 0.70]
    )
    np.testing.assert_allclose(greedy_weights(probs, labels, rounds=3), [2 / 3, 1 / 3])


def test_greedy_breaks_ties_by_log_loss():
    probs, labels = two_class([0.6, 0.6], [0.9, 0.9])
    assert greedy_weights(probs, labels).tolist() == [0, 1]


def test_without_crumbs_scales_the_rest_to_one():
    np.testing.assert_allclose(without_crumbs(np.array([0.0009, 0.25, 0.7491])).sum(), 1)
    assert without_crumbs(np.array([0.0009, 0.25, 0.7491]))[0] == 0
    assert without_crumbs(np.array([0.0011, 0.9989]))[0] > 0


@pytest.mark.parametrize("weighting", [uniform_weights, greedy_weights, simplex_weights])
def test_predictions_that_are_not_finite_are_rejected(weighting):
    probs, labels = two_class([0.9, 0.8], [np.nan, 0.7])
    with pytest.raises(EnsembleError) as error:
        weighting(probs, labels)
    assert str(error.value) == (
        "probs: expected numbers, got NaN or infinity from member 1. Train it again."
    )


@pytest.mark.parametrize("weighting", [uniform_weights, greedy_weights, simplex_weights])
def test_lengths_must_fit(weighting):
    with pytest.raises(EnsembleError, match=r"got \(2, 2, 2\) and labels \(3,\)"):
        weighting(np.full((2, 2, 2), 0.5), np.zeros(3, np.int64))
