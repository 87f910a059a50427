"""Floating-point operations, counted by hand."""

import keras
import pytest
from keras import layers

from trainers.export import to_program


@pytest.mark.parametrize(
    ("layer", "multiply_adds"),
    [
        (layers.Conv2D(8, 3, padding="same"), 36 * 8 * 9 * 4),
        (layers.Conv2D(8, 3, padding="same", groups=2), 36 * 8 * 9 * 2),
        (layers.Conv2D(8, 3, strides=2), 4 * 8 * 9 * 4),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), 16 * 8 * 9),
        (layers.SeparableConv2D(8, 3), 16 * 4 * 9 + 16 * 8 * 4),
        (layers.Dense(5), 36 * 5 * 4),
        (layers.BatchNormalization(), 0),
        (layers.MaxPooling2D(2), 0),
        (layers.Lambda(lambda x: keras.ops.matmul(x, keras.ops.ones((4, 7)))), 36 * 7 * 4),
    ],
)
def test_operations_of_one_layer(layer: layers.Layer, multiply_adds: int) -> None:
    """On 6 x 6 pixels of 4 channels; the head, from as many channels to 3 classes, comes on top."""
    images = keras.Input((6, 6, 4))
    x = layers.GlobalMaxPooling2D()(layer(images))
    network = keras.Model(images, layers.Dense(3)(x))
    assert to_program(network)[0]["operations"] == 2 * (multiply_adds + x.shape[-1] * 3)


def test_a_layer_called_twice_counts_twice() -> None:
    images = keras.Input((6, 6, 4))
    shared = layers.Conv2D(4, 3, padding="same")
    network = keras.Model(images, layers.GlobalMaxPooling2D()(shared(shared(images))))
    assert to_program(network)[0]["operations"] == 2 * 2 * 36 * 4 * 9 * 4
