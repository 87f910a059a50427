"""What X may be, and what is said of one that it may not be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from submission.model import Model, check_images
from tests.submission.bundles import PX, write_bundle


@pytest.fixture
def loaded(tmp_path: Path) -> Model:
    views = ["identity", "rot90", "flip"]
    return Model(write_bundle(tmp_path, views=views))


@pytest.fixture(name="X")
def tiny_images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (150, PX, PX, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "as_given",
    [
        lambda X: X.astype(np.float32),
        lambda X: X.astype(np.float64),
        lambda X: X.astype(np.int64),
        lambda X: X.astype(np.uint16),
        lambda X: X.astype(np.float16),
        lambda X: X.tolist(),
        list,
        lambda X: tf.constant(X),
        lambda X: tf.constant(X, tf.float32),
        lambda X: np.asfortranarray(X),
        lambda X: np.repeat(X, 2, axis=0)[::2],
    ],
)
def test_any_numbers_give_the_same(loaded: Model, X: np.ndarray, as_given: Any) -> None:
    X = X[:5]
    np.testing.assert_array_equal(loaded.predict_proba(as_given(X)), loaded.predict_proba(X))


def test_one_image_and_none(loaded: Model, X: np.ndarray) -> None:
    expected = loaded.predict_proba(X)
    assert loaded.predict(X[3]).shape == (1,)
    assert loaded.predict_proba(X[3]).shape == (1, 3)
    np.testing.assert_allclose(loaded.predict_proba(X[3])[0], expected[3], atol=1e-6)
    for none in (X[:0], X[:0].astype(np.float32), tf.constant(X[:0]), []):
        assert loaded.predict(none).shape == (0,)
        assert loaded.predict(none).dtype == np.int64
        assert loaded.predict_proba(none).shape == (0, 3)


def test_neither_batch_nor_order_nor_call_matters(
    loaded: Model, X: np.ndarray, rng: np.random.Generator
) -> None:
    probs, labels = loaded.predict_proba(X), loaded.predict(X)
    assert len(set(labels.tolist())) == 3
    order = rng.permutation(len(X))
    np.testing.assert_allclose(loaded.predict_proba(X[order]), probs[order], atol=1e-5)
    np.testing.assert_array_equal(loaded.predict(X[order]), labels[order])
    one_by_one = np.concatenate([loaded.predict_proba(image) for image in X[:20]])
    np.testing.assert_allclose(one_by_one, probs[:20], atol=1e-5)
    for batch in (1, 7, 1000):
        for member in loaded.members:
            member.batch = batch
        np.testing.assert_allclose(loaded.predict_proba(X), probs, atol=1e-5)
        np.testing.assert_array_equal(loaded.predict(X), labels)
        np.testing.assert_array_equal(loaded.predict_proba(X), loaded.predict_proba(X))


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((2, 3, PX, PX), "This looks like channels first: transpose it to (n, px, px, 3)."),
        ((3, PX, PX), "This looks like channels first: transpose it to (n, px, px, 3)."),
        ((2, PX, PX, 1), "This looks like grayscale: repeat it for red, green and blue."),
        ((2, PX, PX), "This looks like grayscale: repeat it for red, green and blue."),
        ((PX, PX, 1), "This looks like grayscale: repeat it for red, green and blue."),
        ((PX, PX), "This looks like grayscale: repeat it for red, green and blue."),
        ((2, 9, 9, 3), f"Resize the images to {PX} px."),
        ((9, 9, 3), f"Resize the images to {PX} px."),
        ((2, PX, PX + 1, 3), f"Resize the images to {PX} px."),
        ((2, PX, PX, 2), "Pass RGB images, channels last."),
        ((2, PX * PX * 3), "Pass RGB images, channels last."),
        ((1, 2, PX, PX, 3), "Pass RGB images, channels last."),
        ((), "Pass RGB images, channels last."),
    ],
)
def test_a_wrong_shape_is_called_what_it_looks_like(shape: tuple[int, ...], advice: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 (the text is compared below)
        check_images(np.zeros(shape), PX)
    line = str(error.value)
    assert line.startswith(f"X: expected shape (n, {PX}, {PX}, 3), got (")
    assert line.endswith(f"). {advice}")


@pytest.mark.parametrize(
    ("X", "text"),
    [
        ([np.zeros((PX, PX, 3)), np.zeros((9, 9, 3))], "expected images of one size, got a list"),
        (np.full((1, PX, PX, 3), np.inf), "got NaN or infinity"),
        (np.zeros((1, PX, PX, 3), bool), "expected numbers 0-255, got dtype bool"),
        (np.full((1, PX, PX, 3), 1j), "expected numbers 0-255, got dtype complex128"),
        (np.full((1, PX, PX, 3), None), "expected numbers 0-255, got dtype object"),
        (np.full((1, PX, PX, 3), -0.5), "expected values 0-255, got -0.5 to -0.5"),
    ],
)
def test_wrong_values_are_said_in_one_line(X: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text) as error:
        check_images(X, PX)
    assert "\n" not in str(error.value)
