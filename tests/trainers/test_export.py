"""What the exporter refuses, and what vanishes on the way."""

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from cells.errors import ExportError
from trainers.export import to_program, write_member
from trainers.layers import CellMask, DropPath

ATTRS = {"name": "a", "run": "a-run", "fold": 0, "classes": ("x", "y"), "image_px": 8}


@keras.saving.register_keras_serializable(package="tests")
class Odd(layers.Layer):
    def call(self, inputs):
        return inputs


def network(*middle: layers.Layer) -> keras.Model:
    images = x = keras.Input((8, 8, 3))
    for layer in middle:
        x = layer(x)
    return keras.Model(images, layers.Dense(2)(layers.Flatten()(x)), name="net")


def test_names_the_layer_it_cannot_express() -> None:
    inner = keras.Sequential([keras.Input((8, 8, 3)), Odd(name="strange")], name="inner")
    with pytest.raises(ExportError, match=r"net/inner/strange: \S+\.Odd is not among the layers"):
        to_program(network(inner))


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (layers.Conv2D(6, 3, groups=3, name="grouped"), "grouped: 3 groups of several channels"),
        (layers.Conv2D(4, 3, strides=(1, 2), name="lame"), "lame: strides and dilation must be"),
        (layers.Activation("mish"), "activation mish: the runtime has elu, gelu"),
        (layers.Resizing(4, 4, crop_to_aspect_ratio=True, name="r"), "r: resizing that keeps"),
    ],
)
def test_refuses_what_the_runtime_lacks(layer: layers.Layer, text: str) -> None:
    middle = [layers.Conv2D(6, 1), layer] if layer.name == "grouped" else [layer]
    with pytest.raises(ExportError, match=text):
        to_program(network(*middle))


def test_needs_a_functional_model() -> None:
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ExportError, match="expected a functional model, got Subclassed"):
        to_program(Subclassed())


def test_what_only_trains_vanishes() -> None:
    program, arrays = to_program(network(layers.Dropout(0.5), DropPath(0.5)))
    assert [step["op"] for step in program["ops"]] == ["flatten", "dense", "softmax"]
    assert sorted(arrays) == ["0002-bias", "0002-kernel"]


def test_a_mask_is_an_operation_without_arrays() -> None:
    program, arrays = to_program(network(CellMask()))
    assert program["ops"][0] | {"name": ""} == {
        "op": "cell_mask", "name": "", "in": [0], "out": 1, "arrays": {}, "attrs": {},
    }  # fmt: skip
    assert sorted(arrays) == ["0003-bias", "0003-kernel"]


def test_a_grouped_convolution_becomes_a_depthwise_one() -> None:
    program, arrays = to_program(network(layers.Conv2D(3, 5, groups=3, use_bias=False)))
    assert program["ops"][0]["op"] == "depthwise"
    assert arrays["0001-kernel"].shape == (5, 5, 3, 1)


def test_the_file_is_half_the_size_and_says_what_it_holds(tmp_path: Path) -> None:
    net = network(layers.Conv2D(64, 3), layers.Conv2D(64, 3))
    half = write_member(tmp_path / "half.h5", net, ATTRS)
    whole = write_member(tmp_path / "whole.h5", net, ATTRS, half=False)
    sizes = [(tmp_path / name).stat().st_size for name in ("half.h5", "whole.h5")]
    assert 0.45 < sizes[0] / sizes[1] < 0.6
    assert half != whole
    assert write_member(tmp_path / "again.h5", net, ATTRS) == half
    with h5py.File(tmp_path / "half.h5") as file:
        assert (file.attrs["kind"], file.attrs["format"], file.attrs["fold"]) == ("member", 1, 0)
        assert file["arrays/0001-kernel/values"].dtype == np.float16
        assert file["arrays/0001-bias"].dtype == np.float32


def test_another_weight_is_another_fingerprint(tmp_path: Path) -> None:
    net = network()
    before = write_member(tmp_path / "member.h5", net, ATTRS)
    net.layers[-1].bias.assign([1.0, 2.0])
    assert write_member(tmp_path / "member.h5", net, ATTRS) != before


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (layers.LayerNormalization(axis=1), r"expected the last axis, got \[?1"),
        (layers.BatchNormalization(axis=1), "expected the last axis, got 1"),
        (layers.Normalization(axis=1, mean=0.0, variance=1.0), "expected the last axis"),
        (layers.Normalization(mean=0.0, variance=1.0, invert=True), "invert: expected False"),
        (layers.Softmax(axis=1), "expected the last axis, got 1"),
    ],
)
def test_another_axis_is_refused_and_not_exported_wrong(layer: Any, text: str) -> None:
    with pytest.raises(ExportError, match=text):
        to_program(network(layer))


def test_only_a_plain_relu_is_expressed() -> None:
    program, _ = to_program(network(layers.ReLU()))
    assert program["ops"][0]["op"] == "activation"
    for strange in (layers.ReLU(max_value=6), layers.ReLU(negative_slope=0.1)):
        with pytest.raises(ExportError, match="expected a plain ReLU, got max_value"):
            to_program(network(strange))
