"""The file that a network becomes, and what vanishes on the way."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from cells.errors import ExportError
from submission import model as runtime
from trainers.export import to_program, write_member
from trainers.layers import CellMask, DropPath

ATTRS = {"name": "a", "run": "a-run", "fold": 0, "classes": ("x", "y"), "image_px": 8}


def network(*middle: layers.Layer) -> keras.Model:
    images = x = keras.Input((8, 8, 3))
    for layer in middle:
        x = layer(x)
    return keras.Model(images, layers.Dense(2)(layers.Flatten()(x)), name="net")


def test_needs_images_of_one_size() -> None:
    images = keras.Input((None, None, 3))
    pooled = layers.GlobalAveragePooling2D()(images)
    with pytest.raises(ExportError, match=r"open: expected images of one size .* \(None, None"):
        to_program(keras.Model(images, pooled, name="open"))


def test_what_only_trains_vanishes() -> None:
    program, arrays = to_program(network(layers.Dropout(0.5), DropPath(0.5)))
    assert [step["op"] for step in program["ops"]] == ["flatten", "dense", "softmax"]
    assert sorted(arrays) == ["0002-bias", "0002-kernel"]


def test_a_mask_is_made_of_the_runtimes_operations() -> None:
    program, arrays = to_program(network(CellMask()))
    steps = program["ops"][:-3]
    assert {step["name"] for step in steps} == {"cell_mask"}
    assert {step["op"] for step in steps} < runtime.OPS.keys()
    assert sum(array.nbytes for array in arrays.values()) < 100_000


def test_constants_keep_their_precision(tmp_path: Path) -> None:
    net = network(CellMask())
    write_member(tmp_path / "member.h5", net, ATTRS)
    with h5py.File(tmp_path / "member.h5") as file:
        packed = {name for name, item in file["arrays"].items() if isinstance(item, h5py.Group)}
    program, _ = to_program(net)
    assert packed == {program["ops"][-2]["arrays"]["kernel"]}


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
