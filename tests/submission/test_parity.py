"""The runtime gives Keras's numbers, and every operation has its part in that."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers

from cells.drawn_cells import draw_cells
from submission import model as runtime
from submission.model import Network
from tests.submission.conftest import distance, shake
from trainers.catalog import MEMBERS
from trainers.layers import CellMask
from trainers.recipe import Recipe, overridden, with_preset


def small(name: str) -> Recipe:
    """A member's recipe at a tiny size, with a hidden dense layer in the head."""
    module = MEMBERS[name]
    preset = next(iter(module.PRESETS))
    settings = ["widths=8,12,16,20", "depths=1,1,2,1", "head_units=9", "network_px=none"]
    return overridden(with_preset(module.RECIPE, module.PRESETS, preset), settings)


def zoo() -> keras.Model:
    """One network with every operation that the members' own networks do not use."""
    images = keras.Input((32, 32, 3))
    x = layers.Resizing(40, 40)(images)
    x = layers.Rescaling(1 / 127.5, -1)(x)
    x = layers.ZeroPadding2D(((1, 2), (0, 1)))(x)
    a = layers.Conv2D(6, 3, strides=2, activation="silu")(x)
    b = layers.MaxPooling2D(2, padding="same")(layers.DepthwiseConv2D(3, padding="same")(x))
    b = layers.Conv2D(6, 2, dilation_rate=2)(b)
    b = layers.Resizing(*a.shape[1:3], interpolation="nearest")(b)
    x = layers.Concatenate()([a, layers.Multiply()([a, layers.Activation("sigmoid")(b)])])
    x = layers.Conv2D(12, 3, groups=12, use_bias=False)(x)
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.AveragePooling2D(3)(x)
    x = layers.Reshape((-1, 1, 4))(x)
    inner = keras.Sequential([keras.Input(x.shape[1:]), layers.Dense(5, "gelu")], name="inner")
    x = layers.Add()([inner(x), inner(x), inner(x)])
    x = layers.Concatenate()([layers.Flatten()(x), layers.GlobalMaxPooling2D()(x)])
    return keras.Model(images, layers.Dense(4)(x), name="zoo")


def masked() -> keras.Model:
    """The cell mask alone before a linear layer: every pixel of what it leaves counts."""
    images = keras.Input((32, 32, 3))
    x = layers.Flatten()(layers.Rescaling(1 / 127.5, -1)(CellMask()(images)))
    return keras.Model(images, layers.Dense(4)(x), name="masked")


@pytest.fixture
def images(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Smooth pictures and cells, black and white, (19, 32, 32, 3) uint8: also an odd number."""
    cells = draw_cells(np.arange(8), 32, rng)
    plain = np.stack([np.zeros_like(images[0]), np.full_like(images[0], 255)])
    return np.concatenate([images, cells, cells[:2] // 3, plain])


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "zoo": zoo,
    **{
        name: lambda name=name: MEMBERS[name].build(small(name), 32, 5)
        for name in ("custom-cnn", "convnext-atto")
    },
    "masked": masked,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_keras_own(
    name: str, images: np.ndarray, rng: np.random.Generator, as_member: Callable[..., Network]
) -> None:
    network = NETWORKS[name]()
    shake(network, images, rng)
    assert distance(network, as_member(network), images) < 1e-4


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_keeps_the_probabilities(
    name: str, images: np.ndarray, rng: np.random.Generator, as_member: Callable[..., Network]
) -> None:
    network = NETWORKS[name]()
    shake(network, images, rng)
    member = as_member(network, half=True)
    expected = keras.ops.softmax(network(images.astype(np.float32), training=False))
    np.testing.assert_allclose(member.probs(images), expected, atol=5e-3)


def test_every_operation_matters(
    images: np.ndarray,
    rng: np.random.Generator,
    as_member: Callable[..., Network],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Take one kind of operation out of the runtime: some network's parity must fail."""
    shaken = []
    for make in NETWORKS.values():
        network = make()
        shake(network, images, rng)
        shaken.append(network)
    untouched = set(runtime.OPS)
    for kind, change in BROKEN.items():
        monkeypatch.setitem(runtime.OPS, kind, change)
        for network in shaken:
            try:
                wrong = not distance(network, as_member(network), images) <= 1e-2  # NaN too
            except Exception:  # a shape that no longer fits shows the absence just as well
                wrong = True
            if wrong:
                untouched.discard(kind)
                break
        monkeypatch.undo()
    assert untouched == {"softmax"}  # after the logits; its own test is below


# What an operation does when it is left out: its input, cut to a shape that goes on where possible.
BROKEN = {kind: lambda *xs, **_: xs[0] for kind in runtime.OPS}


def test_probabilities_are_the_softmax(
    images: np.ndarray, rng: np.random.Generator, as_member: Callable[..., Network]
) -> None:
    network = NETWORKS["custom-cnn"]()
    shake(network, images, rng)
    member = as_member(network)
    logits = member.logits(images).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(member.probs(images), expected, atol=1e-6)


def test_batch_norm_and_layer_scale_are_folded(
    images: np.ndarray, as_member: Callable[..., Network]
) -> None:
    for name in ("custom-cnn", "convnext-atto"):
        member = as_member(NETWORKS[name]())
        kinds = [step["op"] for step in member._steps]
        assert "batch_norm" not in kinds
        assert kinds.count("scale") == 1  # the normalisation of the images, before anything linear
