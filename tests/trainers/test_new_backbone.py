"""The README's new backbone, taken from the README: it trains, exports and agrees with Keras."""

import functools
import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.applications.efficientnet_v2 import WEIGHTS_HASHES

import trainers.fit
import trainers.train
from cells.errors import RecipeError, WeightsError
from cells.policy import Policy
from submission import model as runtime
from submission.model import Network, read_member
from tests.submission.conftest import settle
from trainers import catalog
from trainers.objective import set_trainable
from trainers.pretrained import load_pretrained, published
from trainers.recipe import HeadPhase, Phase, overridden
from trainers.runs import Run
from trainers.storage import Storage
from trainers.train import train_run

NAME = "efficientnetv2-b0"
README = (Path(__file__).parents[2] / "README.md").read_text()
SECTION = README.split("## A new backbone\n")[1].split("\n## ")[0]
CODE, CATALOG_LINE = re.findall(r"```python\n(.*?)```", SECTION, re.S)
SMALL = ["weights=none", "network_px=none"]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The README's module, as a file that Python loads."""
    path = tmp_path_factory.mktemp("trainers") / "efficientnetv2_b0.py"
    path.write_text(CODE)
    spec = importlib.util.spec_from_file_location("trainers.efficientnetv2_b0", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(autouse=True, scope="module")
def _in_the_catalog(module: ModuleType) -> Iterator[None]:
    """The README's line, in MEMBERS."""
    line = eval("{" + CATALOG_LINE + "}", {"efficientnetv2_b0": module})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "MEMBERS", catalog.MEMBERS)
        for name, each in line.items():
            patch.setitem(catalog.MEMBERS, name, each)
        yield


def pictures(rng: np.random.Generator) -> np.ndarray:
    """(12, 64, 64, 3) uint8, of squares of 8 px."""
    return rng.uniform(0, 255, (12, 8, 8, 3)).repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def network(module: ModuleType) -> keras.Model:
    """At 64 px without ImageNet weights, every layer of weight."""
    made = module.build(overridden(module.RECIPE, SMALL), 64, 3)
    rng = np.random.default_rng(0)
    images = pictures(rng)
    settle(made, images, rng)
    return made


@pytest.fixture
def images() -> np.ndarray:
    return pictures(np.random.default_rng(0))


def as_member(path: Path, network: keras.Model) -> Network:
    about = {"name": NAME, "classes": ["a", "b", "c"], "image_px": network.input_shape[1]}
    trainers.train.write_member(path, network, about, storage="float32")
    return read_member(path)


def test_it_is_short_and_in_the_catalog(module: ModuleType) -> None:
    body = CODE.split('"""', 2)[2]
    assert len([line for line in body.splitlines() if line.strip()]) <= 40
    assert catalog.member(NAME) is module
    assert module.RECIPE.name == NAME
    stock = published()[NAME]
    assert (stock.file, stock.digest) == (f"{NAME}_notop.h5", WEIGHTS_HASHES["b0"][1])


def test_it_trains_exports_and_predicts_as_any_member(
    dataset: Any, told: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps of the whole network; the file that ships gives the trained network's numbers."""
    recipe = overridden(catalog.member(NAME).RECIPE, [*SMALL, "batch=16", "inner_fraction=0.2"])
    recipe = recipe.model_copy(
        update={"whole": Phase(epochs=1, peak_lr=1e-3), "policy": Policy(), "ema_momentum": 0.5}
    )
    run = Run(tmp_path, NAME, "full", recipe, 0, "", 0, dataset.fingerprint)
    kept: list[keras.Model] = []
    write_member = trainers.train.write_member

    def keeping(path: Path, network: keras.Model, attrs: dict[str, Any], storage: Storage) -> str:
        kept.append(network)
        return write_member(path, network, attrs, storage)

    def eagerly(network: keras.Model, *arguments: Any) -> None:
        compile_network(network, *arguments)
        network.run_eagerly = True  # tracing it would take longer than two steps

    compile_network = trainers.fit.compile_network
    with monkeypatch.context() as patch:
        patch.setattr(trainers.train, "write_member", keeping)
        patch.setattr(trainers.fit, "compile_network", eagerly)
        progress = told()
        done = train_run(run, dataset, progress)
    assert [step[3] for step in progress.steps] == [1, 2]
    assert done["epochs"] == 1
    assert np.isfinite(progress.rows[0]["loss"])
    (trained,) = kept
    X = dataset.images(dataset.held_out_rows(0))
    expected = keras.ops.softmax(trained(X.astype(np.float32), training=False))
    shipped = read_member(run.folder / "member.h5").probs(X)
    np.testing.assert_allclose(shipped, np.asarray(expected), atol=5e-3)  # float16 kernels


def test_logits_are_keras_own_and_every_operation_matters(
    network: keras.Model, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = as_member(tmp_path / "member.h5", network)
    # without a graph, so that OPS is read at every call
    monkeypatch.setattr(member, "_run", functools.partial(member._forward, tf.float32))
    expected = np.asarray(network(images.astype(np.float32), training=False))

    def far() -> float:
        return float(np.abs(member.logits(images) - expected).max() / expected.std(axis=0).mean())

    assert far() < 1e-4
    kinds = {step["op"] for step in member._steps}
    assert kinds >= {"conv", "depthwise", "scale", "activation", "multiply", "global_pool", "add"}
    broken = [(runtime.OPS, kind) for kind in kinds - {"softmax"}]
    broken += [(runtime.ACTIVATIONS, kind) for kind in ("silu", "sigmoid")]
    for table, kind in broken:
        with monkeypatch.context() as patch:
            patch.setitem(table, kind, without(table[kind]))
            assert not far() < 1e-2, kind  # or no number


def without(operation: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """What runs in its place: its input as it is, or zeros where it would change the shape.

    A shape that no longer fits would not do: some processors' TensorFlow ends the process then.
    """

    def instead(*inputs: tf.Tensor, **settings: Any) -> tf.Tensor:
        made = operation(*inputs, **settings)
        return inputs[0] if made.shape == inputs[0].shape else tf.zeros_like(made)

    return instead


def test_pretrained_weights_come_from_a_file(
    module: ModuleType, network: keras.Model, images: np.ndarray, tmp_path: Path
) -> None:
    """Every array of Keras's network, and its features, stand in ours."""
    stock = module.STOCK.network()
    donors = {layer.name: layer for layer in network.layers}
    for layer in stock.layers:
        if layer.weights:
            layer.set_weights(donors[layer.name].get_weights())  # shaken
    stock.save_weights(tmp_path / "mine.weights.h5")
    ours = module.build(overridden(module.RECIPE, ["network_px=none"]), 64, 3)
    assert load_pretrained(ours, NAME, tmp_path / "mine.weights.h5") == len(stock.weights)
    pooled = keras.Model(ours.input, ours.get_layer("avg_pool").output)
    X = images.astype(np.float32)
    expected = np.asarray(keras.Model(network.input, network.get_layer("avg_pool").output)(X))
    np.testing.assert_allclose(np.asarray(pooled(X)), expected, rtol=1e-4, atol=1e-5)
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(
        tmp_path / "other.weights.h5"
    )
    with pytest.raises(WeightsError, match=f"does not fit {NAME} without its top"):
        load_pretrained(ours, NAME, tmp_path / "other.weights.h5")


def test_a_fraction_of_its_layers_trains(network: keras.Model) -> None:
    """The graph is flat: the last blocks train and the stem does not, or the head alone."""
    set_trainable(network, Phase(epochs=1, peak_lr=1, trainable_fraction=0.3))
    free = {variable.path.split("/")[0] for variable in network.trainable_variables}
    assert {"top_conv", "head_logits"} < free
    assert not {"stem_conv", "block1a_project_conv", "block4a_dwconv2"} & free
    set_trainable(network, HeadPhase(epochs=1, peak_lr=1))
    assert {variable.path for variable in network.trainable_variables} == {
        "head_logits/kernel",
        "head_logits/bias",
    }
    set_trainable(network, Phase(epochs=1, peak_lr=1))


def test_a_field_that_keras_has_no_place_for_is_refused(module: ModuleType) -> None:
    for setting, value in (("drop_path=0.3", "0.3"), ("norm_momentum=0.9", "0.9")):
        field = setting.split("=")[0]
        with pytest.raises(RecipeError) as error:
            module.build(overridden(module.RECIPE, [*SMALL, setting]), 32, 3)
        assert str(error.value) == (
            f"{NAME}: {field}: expected none, since keras.applications fixes it, got {value}."
        )
