import numpy as np
import pytest

from cells.errors import EnsembleError
from ensemble.blend import blend, mean_views

PROBS = np.array([[[0.9, 0.1]], [[0.3, 0.7]]], np.float32)


def test_weights_count():
    # .9 and .3 at 1:3 is .45; unweighted it would be .60
    np.testing.assert_allclose(blend(PROBS, np.array([1, 3])), [[0.45, 0.55]], atol=1e-7)
    np.testing.assert_allclose(blend(PROBS, np.array([1, 1])), [[0.60, 0.40]], atol=1e-7)


def test_scale_of_weights_does_not_matter():
    np.testing.assert_array_equal(blend(PROBS, np.array([1, 3])), blend(PROBS, np.array([50, 150])))


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ([1], "weights: expected 2, one a member, got shape (1,)."),
        ([0, 0], "weights: expected numbers >= 0 and one above 0, got [0.0, 0.0]."),
        ([2, -1], "weights: expected numbers >= 0 and one above 0, got [2.0, -1.0]."),
        ([np.nan, 1], "weights: expected numbers >= 0 and one above 0, got [nan, 1.0]."),
    ],
)
def test_wrong_weights(weights, text):
    with pytest.raises(EnsembleError) as error:
        blend(PROBS, np.array(weights))
    assert str(error.value) == text


def test_mean_views_takes_only_the_asked_views():
    probs = np.array([[[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]], np.float32)
    np.testing.assert_array_equal(mean_views(probs, (0,)), [[1, 0]])
    np.testing.assert_array_equal(mean_views(probs, (0, 1)), [[0.75, 0.25]])
    np.testing.assert_array_equal(mean_views(probs, (0, 1, 2)), [[0.5, 0.5]])


@pytest.mark.parametrize("views", [(), (3,), (-1,)])
def test_wrong_views(views):
    with pytest.raises(EnsembleError, match="views: expected positions below 3, got"):
        mean_views(np.full((1, 3, 2), 0.5, np.float32), views)
