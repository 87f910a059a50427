"""bfloat16: only where a bundle or the environment allows it, and it is faster."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from submission import model as runtime
from submission.model import Model, Network, read_member
from tests.submission.conftest import shake
from tests.submission.test_parity import NETWORKS
from trainers.export import write_member


@pytest.fixture(autouse=True)
def nothing_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_LOW", {})
    monkeypatch.delenv("BCSUB_BFLOAT16", raising=False)


@pytest.fixture
def faster(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let bfloat16 take so many times float32's seconds."""

    def say(times: float) -> None:
        took = iter([times, 1.0] * 20)
        monkeypatch.setattr(Network, "_seconds", lambda self, run: next(took))

    return say


@pytest.fixture(params=["custom-cnn", "convnext-atto"])
def path(
    request: pytest.FixtureRequest, tmp_path: Path, images: np.ndarray, rng: np.random.Generator
) -> Path:
    network = NETWORKS[request.param]()
    shake(network, images, rng)
    classes = list("abcde")
    about = {"name": request.param, "classes": classes, "image_px": images.shape[1]}
    write_member(tmp_path / "member.h5", network, about, "float32")
    with h5py.File(tmp_path / "member.h5") as member, h5py.File(tmp_path / "weights.h5", "w") as to:
        to.attrs.update(kind="bundle", format=1, classes=json.dumps(classes))
        to.attrs.update(views='["identity"]', image_px=images.shape[1])
        member.copy(member, to, "members/00")
        to["members/00"].attrs["weight"] = 1.0
    return tmp_path


def test_a_bundle_that_says_nothing_computes_in_float32(path: Path, faster: Callable) -> None:
    faster(0.1)
    assert not Model(path).members[0].bfloat16


def test_a_bundle_or_the_environment_allows_it(
    path: Path, faster: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    faster(0.1)
    monkeypatch.setenv("BCSUB_BFLOAT16", "1")
    assert Model(path).members[0].bfloat16
    monkeypatch.delenv("BCSUB_BFLOAT16")
    with h5py.File(path / "weights.h5", "a") as bundle:
        bundle.attrs["bfloat16"] = True
    assert Model(path).members[0].bfloat16
    monkeypatch.setenv("BCSUB_BFLOAT16", "0")
    assert not Model(path).members[0].bfloat16


@pytest.mark.parametrize(("times", "taken"), [(0.5, True), (0.95, False), (2.0, False)])
def test_it_is_taken_where_it_is_faster(
    path: Path, faster: Callable, times: float, taken: bool
) -> None:
    faster(times)
    assert read_member(path / "member.h5", bfloat16=True).bfloat16 is taken


def test_what_is_measured_once_holds_for_the_process(path: Path, faster: Callable) -> None:
    faster(0.5)
    assert read_member(path / "member.h5", bfloat16=True).bfloat16
    faster(2.0)
    assert read_member(path / "member.h5", bfloat16=True).bfloat16


def test_a_network_that_cannot_is_never_faster(path: Path) -> None:
    def run(images: object) -> None:
        raise runtime.tf.errors.UnimplementedError(None, None, "no bfloat16 here")

    network = read_member(path / "member.h5")
    assert network._seconds(run) == np.inf
    assert 0 < network._seconds(network._run) < np.inf


def test_it_is_near_float32_and_the_same_whatever_the_batch(
    path: Path, images: np.ndarray, faster: Callable
) -> None:
    plain = read_member(path / "member.h5").logits(images)  # their sd over the images is 1
    faster(0.1)
    network = read_member(path / "member.h5", bfloat16=True)
    low = network.logits(images)
    assert 1e-4 < abs(low - plain).mean() < 0.15
    for network.batch in (1, 2, 3):
        np.testing.assert_allclose(network.logits(images), low, atol=1e-5)


@pytest.mark.parametrize(("denses", "found"), [(1, 1 + 2**-9), (2, 1.0)])
def test_all_products_but_the_last_are_in_it(
    tmp_path: Path, faster: Callable, denses: int, found: float
) -> None:
    """1 + 2**-9 is 1 in bfloat16; the last product, which makes the logits, keeps the rest."""
    image = keras.Input((1, 1, 3))
    x = layers.Flatten()(image)
    for _ in range(denses):
        x = layers.Dense(3, use_bias=False)(x)
    network = keras.Model(image, x)
    for layer in network.layers[2:]:
        layer.kernel.assign(np.eye(3))
    network.layers[2].kernel.assign(np.eye(3) * (1 + 2**-9))
    about = {"name": "net", "classes": ["x", "y", "z"], "image_px": 1}
    write_member(tmp_path / "member.h5", network, about, "float32")
    faster(0.1)
    low = read_member(tmp_path / "member.h5", bfloat16=True)
    assert low.logits(np.ones((1, 1, 1, 3), np.uint8)).tolist() == [[found] * 3]
