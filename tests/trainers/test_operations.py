"""What single layers become, and which settings are refused instead of exported wrong."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from cells.errors import ExportError
from trainers.graph import walk
from trainers.operations import LAYERS, _nothing
from trainers.program import Program


def steps(layer: layers.Layer, channels: int = 3) -> list[dict[str, Any]]:
    """What a layer becomes that is called on images of 8 px."""
    return program_of(layer, channels).ops


def program_of(layer: layers.Layer, channels: int = 3) -> Program:
    images = keras.Input((8, 8, channels))
    program = Program("net")
    walk(keras.Model(images, layer(images)), [0], program, "net")
    return program


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (layers.Activation("log_softmax", name="a"), r"net/a/\S+ \(LogSoftmax\): \S+LogSoftmax is"),
        (layers.Activation("sparsemax", name="a"), r"net/a \(Activation\): activation sparsemax:"),
        (
            layers.Resizing(4, 4, crop_to_aspect_ratio=True, name="r"),
            "net/r .*: resizing that",
        ),
        (layers.Resizing(4, 4, antialias=True, name="r"), "net/r .*: antialias: expected False"),
        (
            layers.DepthwiseConv2D(3, strides=(1, 2)),
            r"strides: expected the same both ways",
        ),
        (layers.SeparableConv2D(3, 3, strides=(1, 2)), "strides: expected the same both ways"),
        (layers.ReLU(threshold=1), "threshold: expected 0, got 1"),
        (
            layers.Conv2DTranspose(3, 3, name="up"),
            r"net/up \(Conv2DTranspose\)/\S+ .* is not among",
        ),
    ],
)
def test_refuses_what_the_runtime_lacks(layer: layers.Layer, text: str) -> None:
    with pytest.raises(ExportError, match=text):
        steps(layer)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (layers.LayerNormalization(axis=1), r"expected the last axis, got \[?1"),
        (layers.BatchNormalization(axis=1), "expected the last axis, got 1"),
        (layers.Normalization(axis=1, mean=0.0, variance=1.0), "expected the last axis"),
        (layers.Normalization(mean=0.0, variance=1.0, invert=True), "invert: expected False"),
        (layers.Softmax(axis=1), "axis: expected the last, got 1"),
        (layers.MaxPooling2D(data_format="channels_first"), "channels first"),
    ],
)
@pytest.mark.filterwarnings("ignore:You are using a softmax")
def test_another_axis_is_refused_and_not_exported_wrong(layer: layers.Layer, text: str) -> None:
    with pytest.raises(ExportError, match=text):
        steps(layer)


def test_groups_of_one_channel_are_a_depthwise_convolution() -> None:
    """Three outputs a group: of channel c they are c, 0 to c, 2 in both."""
    program = program_of(layers.Conv2D(9, 5, groups=3, use_bias=False))
    assert [step["op"] for step in program.ops] == ["depthwise"]
    assert [array.shape for array in program.arrays.values()] == [(5, 5, 3, 3)]


def test_groups_of_several_channels_are_a_convolution_each() -> None:
    found = [step["op"] for step in steps(layers.Conv2D(4, 3, groups=2), channels=6)]
    assert found == ["slice", "conv", "slice", "conv", "concatenate", "constant", "add"]


def test_strides_stay_one_number_where_they_are() -> None:
    """As files of format 1 have them."""
    for strides, expected in ((2, 2), ((1, 2), [1, 2])):
        (step,) = steps(layers.Conv2D(4, 3, strides=strides))
        assert step["attrs"]["strides"] == expected


def test_a_separable_convolution_is_two() -> None:
    program = program_of(layers.SeparableConv2D(4, 3, strides=2, activation="relu"))
    assert [step["op"] for step in program.ops] == ["depthwise", "conv", "activation"]
    assert [step["attrs"].get("strides") for step in program.ops] == [2, 1, None]


@pytest.mark.parametrize("kind", [kind for kind in LAYERS if LAYERS[kind] is _nothing])
def test_what_only_trains_changes_nothing_in_keras_either(
    kind: Any, rng: np.random.Generator
) -> None:
    about = {
        layers.Activation: {"activation": "linear"},
        layers.ActivityRegularization: {"l2": 1.0},
        layers.RandomTranslation: {"height_factor": 0.3, "width_factor": 0.3},
        layers.RandomZoom: {"height_factor": 0.3},
        layers.RandomFlip: {},
    }
    layer = kind(**about[kind]) if kind in about else kind(0.3)
    assert steps(layer) == []
    images = keras.Input((8, 8, 3))
    network = keras.Model(images, layer(images))
    given = rng.uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(network(given, training=False), given)


def test_a_quantized_layer() -> None:
    layer = layers.Dense(4, name="small")
    layer.build((None, 8, 8, 3))
    layer.quantize("int8")
    text = r"net/small \(Dense\): quantized to int8: save the model as it was before quantize\(\)"
    with pytest.raises(ExportError, match=text):
        steps(layer)


def test_rescaling_by_one_number_or_one_a_channel() -> None:
    for scale in (2.0, [2.0], [1.0, 2.0, 3.0]):
        assert [step["op"] for step in steps(layers.Rescaling(scale))] == ["scale"]
    map_of = np.ones((8, 8, 3), np.float32)
    with pytest.raises(ExportError, match=r"scale: .* one a channel, got shape \(8, 8, 3\)"):
        steps(layers.Rescaling(map_of))
    with pytest.raises(ExportError, match=r"offset: .* one a channel, got shape \(8, 1\)"):
        steps(layers.Rescaling(1.0, map_of[:, :1, 0]))
