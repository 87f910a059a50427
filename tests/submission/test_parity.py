"""The runtime gives Keras's numbers, and every operation has its part in that."""

import functools
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from cells.drawn_cells import draw_cells
from submission import model as runtime
from submission.model import Network
from tests.submission.conftest import distance, shake
from trainers.catalog import MEMBERS
from trainers.export import to_program
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
    x = layers.Rescaling(0.5, 0.1)(x)  # one number for all channels, folded like the norm
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.AveragePooling2D(3)(x)
    x = layers.Reshape((-1, 1, 4))(x)
    inner = keras.Sequential([keras.Input(x.shape[1:]), layers.Dense(5, "gelu")], name="inner")
    x = layers.Add()([inner(x), inner(x), inner(x)])
    x = layers.Activation("tanh")(layers.Dense(5, "relu")(x))  # one of two joins the product
    x = layers.Concatenate()([layers.Flatten()(x), layers.GlobalMaxPooling2D()(x)])
    return keras.Model(images, layers.Dense(4)(x), name="zoo")


def symbolic() -> keras.Model:
    """One network of keras.ops, constants on either side of them included."""
    images = keras.Input((32, 32, 3))
    x = layers.AveragePooling2D(4)(2 - images / 64)  # (8, 8, 3), -2 to 2
    ramp = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
    rows = ops.transpose(ops.matmul(ramp, ops.transpose(x, (0, 3, 1, 2))), (0, 3, 2, 1))
    grouped = layers.Conv2D(9, 3, strides=(1, 2), groups=3, padding="same")(x)
    grouped = layers.Conv2D(6, 3, groups=3)(grouped)
    separated = layers.SeparableConv2D(4, 3, strides=2, depth_multiplier=2)(x)
    parts = [
        ops.maximum(x, 0.3) - 1 / (ops.minimum(x, -0.2) - 1),
        ops.abs(x) ** 1.7,
        ops.sort(x[:, 1:7:2, -1], axis=-1),
        layers.GroupNormalization(2)(grouped),
        ops.min(x, axis=1) + ops.sum(rows, axis=2) * ops.max(rows, axis=(1, 2))[:, None],
        layers.UpSampling2D(2)(layers.PReLU(shared_axes=[1, 2])(separated)),
        layers.Average()([x, layers.Cropping2D(1)(layers.ZeroPadding2D(1)(x)), rows]),
    ]
    x = layers.Concatenate()([layers.Flatten()(part) for part in parts])
    return keras.Model(images, layers.Dense(4)(x), name="symbolic")


def activated() -> keras.Model:
    """Every activation that Keras has and the runtime can express, each on the same numbers."""
    images = keras.Input((32, 32, 3))
    x = layers.AveragePooling2D(8)(layers.Rescaling(1 / 14, -9)(images))  # -9 to 9
    own = [layers.ReLU(4, 0.1), layers.LeakyReLU(1.5), layers.ELU(0.5), layers.PReLU("ones")]
    parts = [layers.Activation(name)(x) for name in ACTIVATIONS] + [layer(x) for layer in own]
    parts += [layers.Activation(ops.gelu)(x), layers.Activation(lambda x: ops.exp(-(x**2)))(x)]
    x = layers.Concatenate()([layers.Flatten()(part) for part in parts])
    return keras.Model(images, layers.Dense(4)(layers.Normalization(mean=0, variance=9)(x)))


ACTIVATIONS = (
    "elu", "gelu", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu", "linear", "mish", "relu",
    "relu6", "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "tanh",
)  # fmt: skip


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
    "symbolic": symbolic,
    "activated": activated,
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


@pytest.mark.parametrize(("storage", "apart"), [("float16", 5e-3), ("int8", 8e-2)])
@pytest.mark.parametrize("name", NETWORKS)
def test_small_storage_keeps_the_probabilities(
    name: str,
    storage: str,
    apart: float,
    images: np.ndarray,
    rng: np.random.Generator,
    as_member: Callable[..., Network],
) -> None:
    network = NETWORKS[name]()
    shake(network, images, rng)
    member = as_member(network, storage=storage)
    expected = keras.ops.softmax(network(images.astype(np.float32), training=False))
    np.testing.assert_allclose(member.probs(images), expected, atol=apart)


def test_every_operation_matters(
    images: np.ndarray,
    rng: np.random.Generator,
    as_member: Callable[..., Network],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Leave one kind of operation or activation out: its networks' parity must fail."""
    shaken = []
    for make in NETWORKS.values():
        network = make()
        shake(network, images, rng)
        expected = np.asarray(network(images.astype(np.float32), training=False))
        shaken.append((as_member(network), expected, kinds(network)))
        assert not differs(*shaken[-1][:2], images)  # as long as nothing is missing
    for table in (runtime.OPS, runtime.ACTIVATIONS):
        for kind in table.keys() - {"softmax"}:  # after the logits; its own test is below
            monkeypatch.setitem(table, kind, lambda *xs, **_: xs[0])
            having = [pair for *pair, within in shaken if kind in within]
            assert any(differs(*pair, images) for pair in having), f"{kind}, of {len(having)}"
            monkeypatch.undo()


def kinds(network: keras.Model) -> set[str]:
    """Operations and activations of what the network becomes."""
    ops = to_program(network)[0]["ops"]
    return {step["op"] for step in ops} | {step["attrs"].get("kind") for step in ops}


def differs(member: Network, expected: np.ndarray, images: np.ndarray) -> bool:
    """Whether the member, traced anew, no longer gives the network's logits."""
    run = tf.function(functools.partial(member._forward, tf.float32), autograph=False)
    try:
        error = run(tf.constant(images, tf.float32))[0].numpy() - expected
    except Exception:  # a shape that no longer fits shows the absence just as well
        return True
    return not np.abs(error).max() <= 1e-2 * expected.std()  # NaN differs


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
