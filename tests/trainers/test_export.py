"""What the exporter refuses, and what vanishes on the way."""

from pathlib import Path

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


def test_the_file_is_half_the_size_and_says_what_it_holds(tmp_path: Path) -> None:
    net = network(layers.Conv2D(64, 3), layers.Conv2D(64, 3))
    half = write_member(tmp_path / "half.h5", net, ATTRS)
    whole = write_member(tmp_path / "whole.h5", net, ATTRS, storage="float32")
    sizes = [(tmp_path / name).stat().st_size for name in ("half.h5", "whole.h5")]
    assert 0.45 < sizes[0] / sizes[1] < 0.6
    assert half != whole
    assert write_member(tmp_path / "again.h5", net, ATTRS) == half
    with h5py.File(tmp_path / "half.h5") as file:
        assert (file.attrs["kind"], file.attrs["format"], file.attrs["fold"]) == ("member", 2, 0)
        assert file["arrays/0001-kernel/values"].dtype == np.float16
        assert file["arrays/0001-bias"].dtype == np.float32


def test_another_weight_is_another_fingerprint(tmp_path: Path) -> None:
    net = network()
    before = write_member(tmp_path / "member.h5", net, ATTRS)
    net.layers[-1].bias.assign([1.0, 2.0])
    assert write_member(tmp_path / "member.h5", net, ATTRS) != before
