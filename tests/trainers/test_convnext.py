"""Our ConvNeXt is `keras.applications`' own: same numbers, same parameters, faster on a CPU."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from submission.model import read_member
from tests.submission.conftest import shake
from trainers.catalog import MEMBERS
from trainers.export import write_member
from trainers.objective import compile_network
from trainers.pretrained import load_pretrained, resolve, stock_of
from trainers.recipe import overridden


def bare(name: str, *settings: str) -> keras.Model:
    """The member at 96 px as its recipe has it, but without upsampling."""
    recipe = overridden(MEMBERS[name].RECIPE, ["network_px=none", *settings])
    return MEMBERS[name].build(recipe, 96, 8)


@pytest.fixture
def cells(rng: np.random.Generator) -> np.ndarray:
    """Three smooth pictures, (3, 96, 96, 3) uint8."""
    coarse = rng.uniform(0, 255, (3, 8, 8, 3))
    return np.kron(coarse, np.ones((1, 12, 12, 1))).astype(np.uint8)


def write_legacy(path: Path, network: keras.Model) -> None:
    """Weights in the layout of Keras's published .h5 files, by hand: groups named by
    `layer_names`, datasets by `weight_names`, nested layers in their model's one group."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.9.0"
        for layer in network.layers:
            group = file.create_group(layer.name)
            weights = layer.trainable_weights + layer.non_trainable_weights
            names = [f"{layer.name}/{index}:0" for index in range(len(weights))]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, weights, strict=True):
                group[name] = np.asarray(weight)


def test_pretrained_small_from_a_legacy_file(tmp_path: Path, rng: np.random.Generator) -> None:
    """File -> stock network -> ours, every array compared, and the same features out."""
    stock = stock_of("convnext-small").network()
    for variable in stock.weights:
        if "prestem" not in variable.path:
            variable.assign(rng.normal(0, 0.05, variable.shape))
    path = tmp_path / "convnext_small_notop.h5"
    write_legacy(path, stock)
    network = bare("convnext-small")
    copied = load_pretrained(network, "convnext-small", resolve("convnext-small", path))

    stored = {}
    for layer in stock._flatten_layers(include_self=False, recursive=True):
        if not isinstance(layer, keras.Model):
            stored[layer.name] = [np.asarray(weight) for weight in layer.weights]
    compared = 0
    for layer in network.layers:
        if layer.name.startswith("head_") or isinstance(layer, keras.layers.Normalization):
            continue
        name = stock.layers[-1].name if layer.name.endswith("head_layernorm") else layer.name
        for ours, theirs in zip(layer.weights, stored.get(name, []), strict=True):
            if isinstance(layer, keras.layers.DepthwiseConv2D) and theirs.ndim == 4:
                theirs = theirs.reshape(7, 7, -1, 1)
            np.testing.assert_array_equal(np.asarray(ours), theirs)
            compared += 1
    # 36 blocks of 9 arrays, the stem 4, three downsamplings of 4, the last norm 2
    assert compared == copied == 36 * 9 + 4 + 3 * 4 + 2


@pytest.mark.parametrize(
    ("name", "millions"),
    [("convnext-small", 49.45), ("convnext-base", 87.57), ("convnext-large", 196.23)],
)
def test_real_sizes_train_export_and_agree(
    name: str, millions: float, tmp_path: Path, cells: np.ndarray, rng: np.random.Generator
) -> None:
    """A training step, export and parity at 96 px; as many parameters as Keras counts."""
    network = bare(name, "head_units=", "dropout=0", "drop_path=0")
    head = 8 * (network.layers[-1].kernel.shape[0] + 1)
    ours = network.count_params() - head
    stock = stock_of(name).network()
    assert ours == stock.count_params()
    assert round(ours / 1e6, 2) == millions
    del stock

    compile_network(network, MEMBERS[name].RECIPE)
    network.run_eagerly = True  # one step: tracing it would take longer
    network.optimizer.learning_rate = 1e-3
    before = np.asarray(network.layers[-1].kernel).copy()
    one_hot = np.eye(8, dtype=np.float32)[:2]
    loss = network.train_on_batch(cells[:2].astype(np.float32), one_hot)
    assert np.isfinite(loss)
    assert np.abs(np.asarray(network.layers[-1].kernel) - before).max() > 1e-5
    network.optimizer = None  # its two copies of the weights are not needed any more

    shake(network, cells, rng)
    expected = np.asarray(network(cells.astype(np.float32), training=False))
    attrs = {"name": name, "classes": [str(i) for i in range(8)], "image_px": 96}
    write_member(tmp_path / "member.h5", network, attrs, storage="float32")
    del network
    logits = read_member(tmp_path / "member.h5").logits(cells)
    assert np.abs(logits - expected).max() / expected.std(axis=0).mean() < 1e-4


def test_depthwise_gives_the_grouped_convolutions_numbers(
    cells: np.ndarray, rng: np.random.Generator
) -> None:
    """Pooled features of stock ConvNeXtSmall and of ours with the same weights."""
    stock = stock_of("convnext-small").network()
    for variable in stock.weights:
        if variable.path.endswith("gamma") or "layer_scale" in variable.path:
            variable.assign(rng.uniform(0.3, 1, variable.shape))
    network = bare("convnext-small")
    stock_of("convnext-small").copy(stock, network)
    norm = network.get_layer("convnext_small_head_layernorm")
    features = keras.Model(network.input, norm.output)
    expected = np.asarray(stock(cells.astype(np.float32), training=False))
    given = np.asarray(features(cells.astype(np.float32), training=False))
    np.testing.assert_allclose(given, expected, atol=1e-4 * expected.std())
