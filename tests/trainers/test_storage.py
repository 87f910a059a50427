"""Kernels as small numbers beside a scale per output channel."""

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from submission.model import read_member
from trainers import convnext_atto, train
from trainers.export import write_member
from trainers.recipe import Phase, Recipe, overridden
from trainers.storage import FEW_INPUTS, pack_array


def test_int8_by_hand() -> None:
    kernel = np.zeros((FEW_INPUTS, 2), np.float32)
    kernel[:3, 0] = [2.54, -1.26, 0.033]  # 127, -63 and 1.65 times its scale
    kernel[:2, 1] = [-1e-6, 0.4e-6]
    values, scale = pack_array(kernel, "int8")
    assert values.dtype == np.int8
    assert values[:3].T.tolist() == [[127, -63, 2], [-127, 51, 0]]
    np.testing.assert_allclose(scale, [[0.02, 1e-6 / 127]], rtol=1e-6)
    np.testing.assert_allclose(values * scale, kernel, atol=0.01)


def test_a_channel_of_zeros_stays_zeros() -> None:
    values, scale = pack_array(np.zeros((FEW_INPUTS, 2), np.float32), "int8")
    assert np.isfinite(scale).all()
    assert not (values * scale).any()


@pytest.mark.parametrize(
    ("shape", "depthwise", "dtype"),
    [
        ((4, 4, 3, 96), False, np.float16),  # 48 inputs: a first convolution
        ((7, 7, 96, 1), True, np.float16),  # 49
        ((3, 3, 96, 8), False, np.int8),
        ((64, 8), False, np.int8),
        ((63, 8), False, np.float16),
    ],
)
def test_kernels_of_few_inputs_stay_float16(
    shape: tuple[int, ...], depthwise: bool, dtype: type
) -> None:
    assert pack_array(np.ones(shape, np.float32), "int8", depthwise)[0].dtype == dtype


def test_float32_and_vectors_stay_as_they_are() -> None:
    kernel, vector = np.ones((64, 8), np.float32), np.ones(8, np.float32)
    assert pack_array(kernel, "float32") == (kernel,)
    assert pack_array(vector, "int8") == (vector,)


def test_a_large_network_is_a_quarter_of_its_size_in_int8(tmp_path: Path) -> None:
    large = ["network_px=none", "widths=64,128,256,512", "depths=1,1,6,1"]
    network = convnext_atto.build(overridden(convnext_atto.RECIPE, large), 32, 8)
    assert network.count_params() > 5e6
    about = {"name": "large", "classes": list("abcdefgh"), "image_px": 32}
    sizes = {}
    for storage in ("float32", "float16", "int8"):
        write_member(tmp_path / "member.h5", network, about, storage)
        sizes[storage] = (tmp_path / "member.h5").stat().st_size
    assert sizes["int8"] <= 0.27 * sizes["float32"]
    assert sizes["float16"] <= 0.51 * sizes["float32"]


def test_the_runtime_multiplies_values_by_their_scales(tmp_path: Path) -> None:
    images = keras.Input((8, 8, 3))
    network = keras.Model(images, layers.Dense(2)(layers.Flatten()(images)))
    rng = np.random.default_rng(0)
    kernel = rng.integers(-127, 128, (192, 2)) * np.array([0.5, 2e-3]) / 127  # int8 holds these
    kernel[0] = [0.5, 2e-3]
    network.layers[-1].kernel.assign(kernel)
    about = {"name": "net", "classes": ["x", "y"], "image_px": 8}
    write_member(tmp_path / "member.h5", network, about, "int8")
    X = rng.integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    expected = X.reshape(3, -1) @ kernel
    np.testing.assert_allclose(read_member(tmp_path / "member.h5").logits(X), expected, rtol=1e-4)


def test_the_recipes_storage_is_what_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    """`_finish` hands it to the export; what is scored next is read from that file."""
    recipe = Recipe(name="toy", whole=Phase(epochs=1, peak_lr=1), storage="int8")
    asked: list[Any] = []

    def export(*arguments: Any) -> None:
        asked.append(arguments[-1])
        raise LookupError  # that is enough

    monkeypatch.setattr(train, "draw_curves", lambda *arguments: None)
    monkeypatch.setattr(train, "write_member", export)
    run = train.Run(Path("runs"), "toy", "full", recipe, 0, "", 0, "data")

    class Dataset:
        classes, fingerprint = ("a",), "data"
        competition = type("Competition", (), {"image_px": 8})

    with pytest.raises(LookupError):
        train._finish(run, Dataset, None, [], None)
    assert asked == ["int8"]


def test_the_file_says_how_it_is_stored(tmp_path: Path) -> None:
    images = keras.Input((8, 8, 3))
    network = keras.Model(images, layers.Dense(2)(layers.Flatten()(images)))
    about = {"name": "net", "classes": ["x", "y"], "image_px": 8}
    write_member(tmp_path / "member.h5", network, about, "int8")
    with h5py.File(tmp_path / "member.h5") as file:
        assert file["arrays/0002-kernel/values"].dtype == np.int8
