"""Networks of `keras.applications`, a small one of each family: the runtime gives Keras's numbers.

With and without their own preprocessing, enlarged inside, under pooling and flattening heads, as
models inside models and sequences.
"""

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import applications, layers
from keras.src.applications.convnext import ConvNeXt

from submission.model import Network
from tests.submission.conftest import distance, settle

CLASSES = 4


def body(constructor: Callable[..., keras.Model], px: int, **settings: object) -> keras.Model:
    return constructor(include_top=False, weights=None, input_shape=(px, px, 3), **settings)


def whole(constructor: Callable[..., keras.Model], px: int, **settings: object) -> keras.Model:
    """With its own top, to the logits."""
    about = {"classes": CLASSES, "classifier_activation": None}
    return constructor(weights=None, input_shape=(px, px, 3), **about, **settings)


def in_a_sequence(*parts: layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((32, 32, 3)), *parts])


def small_convnext(**settings: object) -> keras.Model:
    """Keras's own ConvNeXt, narrow: Keras compiles each of its grouped convolutions anew."""
    sizes = {"depths": [1, 1, 2, 1], "projection_dims": [8, 12, 16, 24]}
    return ConvNeXt(**sizes, drop_path_rate=0.3, name="convnext_small", **settings)


def convnext() -> keras.Model:
    inner = body(small_convnext, 32, include_preprocessing=True, pooling="avg")
    return in_a_sequence(inner, layers.Dense(CLASSES))


def convnext_enlarged() -> keras.Model:
    inner = body(small_convnext, 64, include_preprocessing=False)
    scaled = layers.Rescaling(1 / 127.5, -1)
    return in_a_sequence(
        scaled, layers.Resizing(64, 64), inner, layers.Flatten(), layers.Dense(CLASSES)
    )


def efficientnet() -> keras.Model:
    """A functional model inside another, inside a sequence."""
    images = keras.Input((64, 64, 3))
    constructor = applications.EfficientNetV2B0
    x = body(constructor, 64, include_preprocessing=True, pooling="max")(images)
    inner = keras.Model(images, layers.Dropout(0.5)(x), name="inner")
    return in_a_sequence(layers.Resizing(64, 64), inner, layers.Dense(CLASSES))


def resnet() -> keras.Model:
    scaled = keras.Sequential([keras.Input((32, 32, 3)), layers.Rescaling(1 / 127.5, -1)])
    inner = body(applications.ResNet50V2, 64)
    return in_a_sequence(
        scaled, layers.Resizing(64, 64), inner, layers.Flatten(), layers.Dense(CLASSES)
    )


def densenet() -> keras.Model:
    """Behind `keras.ops` that normalise as its own preprocessing function does."""
    images = keras.Input((32, 32, 3))
    mean, sd = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = body(applications.DenseNet121, 32, pooling="avg")((images / 255 - mean) / sd)
    return keras.Model(images, layers.Dense(CLASSES)(x))


def mobilenet_large() -> keras.Model:
    minimal = {"minimalistic": True, "include_preprocessing": False}
    inner = whole(applications.MobileNetV3Large, 32, **minimal)
    return in_a_sequence(layers.Rescaling(1 / 127.5, -1), inner)


def xception() -> keras.Model:
    inner = body(applications.Xception, 71, pooling="max")
    scaled = layers.Rescaling(1 / 127.5, -1)
    return in_a_sequence(layers.Resizing(71, 71), scaled, inner, layers.Dense(CLASSES))


FAMILIES: dict[str, Callable[[], keras.Model]] = {
    "convnext": convnext,
    "convnext-enlarged": convnext_enlarged,
    "densenet121": densenet,
    "efficientnetv2-b0": efficientnet,
    "mobilenetv3-large-minimalistic": mobilenet_large,
    "mobilenetv3-small": lambda: whole(applications.MobileNetV3Small, 32),
    "resnet50v2": resnet,
    "xception": xception,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_are_keras_own(
    name: str, images: np.ndarray, rng: np.random.Generator, as_member: Callable[..., Network]
) -> None:
    keras.utils.set_random_seed(0)
    network = FAMILIES[name]()
    settle(network, images, rng)
    assert distance(network, as_member(network), images) < 1e-4
    keras.backend.clear_session()
