import numpy as np
import pytest

from cells.errors import EnsembleError
from ensemble.blend import blend
from ensemble.crossfit import bootstrap_se, crossfit, deal_parts
from ensemble.scores import accuracy, log_loss
from ensemble.weights import greedy_weights, simplex_weights


def test_parts_keep_groups_whole_and_classes_even():
    groups = np.repeat(np.arange(50), 2)
    labels = np.repeat(np.arange(50) // 25, 2)
    parts = deal_parts(labels, groups, 5, np.random.default_rng(0))
    assert (parts[0::2] == parts[1::2]).all()
    for label in (0, 1):
        assert np.bincount(parts[labels == label]).tolist() == [10] * 5


def test_parts_depend_on_the_seed():
    groups, labels = np.arange(40), np.zeros(40, np.int64)
    first, again, other = (
        deal_parts(labels, groups, 5, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_one_group_cannot_be_left_out():
    with pytest.raises(EnsembleError, match="expected at least 2 groups"):
        deal_parts(np.zeros(3, np.int64), np.zeros(3, np.int64), 5, np.random.default_rng(0))


def test_weights_never_see_the_rows_they_score():
    # The "fit" returns the share of label 1 among what it may see; rows of part p must be
    # blended with the share outside p.
    labels, parts = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])
    probs = np.stack([np.tile([1.0, 0.0], (4, 1)), np.tile([0.0, 1.0], (4, 1))])

    def fit(seen, seen_labels):
        return np.array([1 - seen_labels.mean(), seen_labels.mean()])

    shifted, clean = crossfit(fit, probs, probs[::-1], labels, parts)
    assert shifted.tolist() == [[0, 1], [0, 1], [1, 0], [1, 0]]
    assert clean.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


@pytest.mark.parametrize("fit", [greedy_weights, simplex_weights])
def test_noise_looks_better_in_sample_than_cross_fitted(fit):
    rng = np.random.default_rng(5)
    probs = rng.dirichlet(np.ones(4), size=(12, 150)).astype(np.float32)
    labels = rng.integers(0, 4, 150)
    parts = deal_parts(labels, np.arange(150), 5, rng)
    in_sample = blend(probs, fit(probs, labels))
    honest, _ = crossfit(fit, probs, probs, labels, parts)
    assert accuracy(in_sample, labels) > accuracy(honest, labels) + 0.02
    assert log_loss(in_sample, labels) < log_loss(honest, labels)
    assert abs(accuracy(honest, labels) - 0.25) < 0.1


def test_bootstrap_se_is_the_textbook_one_without_groups():
    rng = np.random.default_rng(0)
    differences = rng.choice([-1.0, 0.0, 1.0], size=(2, 400))
    found = bootstrap_se(differences, np.arange(400), rng, resamples=4000)
    np.testing.assert_allclose(found, differences.std(axis=1) / 20, rtol=0.06)


def test_copies_in_a_group_widen_the_se():
    # Every row four times: the same mean, and a naive count of rows would halve the error.
    rng = np.random.default_rng(0)
    one = rng.choice([-1.0, 0.0, 1.0], size=200)
    four = np.repeat(one, 4)[None]
    clustered = bootstrap_se(four, np.repeat(np.arange(200), 4), rng)
    naive = bootstrap_se(four, np.arange(800), rng)
    np.testing.assert_allclose(clustered, bootstrap_se(one[None], np.arange(200), rng), rtol=0.08)
    np.testing.assert_allclose(clustered / naive, 2, rtol=0.1)


def test_equal_candidates_have_no_se():
    assert bootstrap_se(np.zeros((1, 9)), np.arange(9), np.random.default_rng(0)) == 0
