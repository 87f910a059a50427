"""A depthwise convolution as products is Keras's own, forward and backward."""

import keras
import numpy as np
import pytest

from trainers import backend
from trainers.backend import Gpu
from trainers.layers import Depthwise, joined_by_taps


@pytest.fixture
def on_a_gpu(monkeypatch) -> None:
    """JAX, and a GPU that it sees, when a layer is built."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(backend, "gpus", lambda: [Gpu("gpu:0", "Big GPU", (9, 0))])


def built(layer: keras.layers.Layer, px: tuple[int, int]) -> keras.layers.Layer:
    layer.build((None, *px, 5))
    return layer


def test_taps_join_a_place_with_its_neighbours():
    taps = joined_by_taps((1, 3), (1, 3))
    # the left tap brings the place before, the middle one the place itself, the right one the next
    np.testing.assert_array_equal(taps[0], [[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(taps[1], np.eye(3))
    np.testing.assert_array_equal(taps[2], [[0, 0, 0], [1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize(("kernel", "px"), [(7, (6, 6)), (7, (3, 3)), (3, (8, 5)), (4, (6, 6))])
def test_products_are_the_convolution(on_a_gpu, kernel, px, rng):
    """Also where the kernel is larger than the map, and after a step of training."""
    x = rng.normal(size=(2, *px, 5)).astype(np.float32)
    y = rng.normal(size=(2, *px, 5)).astype(np.float32)
    layers = [
        kind(kernel, padding="same", activation="relu")
        for kind in (Depthwise, keras.layers.DepthwiseConv2D)
    ]
    networks = []
    for layer in layers:
        images = keras.Input((*px, 5))
        networks.append(keras.Model(images, layer(images)))
    assert layers[0].taps.shape == (kernel**2, px[0] * px[1], px[0] * px[1])
    weights = [rng.normal(size=(kernel, kernel, 5, 1)) / kernel, rng.normal(size=5)]
    found = []
    for network in networks:
        network.set_weights(weights)
        network.compile(keras.optimizers.SGD(1.0), keras.losses.MeanSquaredError())
        before = np.asarray(network(x))
        network.train_on_batch(x, y)
        found.append([before, *network.get_weights()])
    for ours, keras_own in zip(*found, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-4, atol=1e-5)
    assert np.abs(found[0][1] - weights[0]).max() > 1e-3


@pytest.mark.parametrize(
    ("settings", "px"),
    [
        ({}, (12, 12)),
        ({"padding": "valid"}, (6, 6)),
        ({"strides": 2}, (6, 6)),
        ({"dilation_rate": 2}, (6, 6)),
        ({"depth_multiplier": 2}, (6, 6)),
    ],
)
def test_what_does_not_pay_or_is_another_convolution_stays_one(on_a_gpu, settings, px):
    assert built(Depthwise(3, **{"padding": "same", **settings}), px).taps is None


def test_without_a_gpu_it_is_a_convolution(monkeypatch):
    monkeypatch.setattr(backend, "gpus", list)
    assert built(Depthwise(7, padding="same"), (6, 6)).taps is None
