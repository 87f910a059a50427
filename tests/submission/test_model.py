"""The uploaded model: bundle, views, streaming, and what it says of a wrong X or file."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from submission import model as runtime
from submission.model import VIEWS, Model, Network, check_images, read_member, turn
from trainers.storage import pack_array


def write_constant(
    path: Path, weighted: dict[str, tuple[float, list[float]]], views: list[str]
) -> None:
    """A bundle of members that answer the same logits for every 2x2 image."""
    with h5py.File(path, "w") as file:
        file.attrs.update(kind="bundle", format=1, image_px=2, fingerprint="f" * 16)
        file.attrs.update(classes=json.dumps(["a", "b"]), views=json.dumps(views))
        for index, (name, (weight, probs)) in enumerate(weighted.items()):
            group = file.create_group(f"members/{index:02d}")
            group.attrs.update(weight=weight, name=name, image_px=2, classes=json.dumps(["a", "b"]))
            ops = [
                {"op": "flatten", "in": [0], "out": 1, "arrays": {}, "attrs": {}},
                {
                    "op": "dense",
                    "in": [1],
                    "out": 2,
                    "arrays": {"kernel": "k", "bias": "b"},
                    "attrs": {},
                },
                {"op": "softmax", "in": [2], "out": 3, "arrays": {}, "attrs": {}},
            ]
            group["program"] = json.dumps({"ops": ops, "logits": 2, "output": 3})
            group["arrays/k"] = np.zeros((12, 2), np.float32)
            group["arrays/b"] = np.log(np.array(probs, np.float32))


def test_blends_by_weight(tmp_path: Path) -> None:
    """.9 and .3 at weights 1:3 is .45; unweighted it would be .60."""
    members = {"one": (1.0, [0.9, 0.1]), "two": (3.0, [0.3, 0.7])}
    write_constant(tmp_path / "weights.h5", members, ["identity"])
    X = np.zeros((3, 2, 2, 3), np.uint8)
    loaded = Model(tmp_path)
    np.testing.assert_allclose(loaded.predict_proba(X), [[0.45, 0.55]] * 3, atol=1e-6)
    assert loaded.predict_proba(X).dtype == np.float32
    labels = loaded.predict(X)
    assert labels.dtype == np.int64
    assert labels.tolist() == [1, 1, 1]
    assert loaded.classes == ("a", "b")


def test_a_shape_of_format_1_may_leave_a_size_to_be_found() -> None:
    x = tf.zeros((5, 4, 6))
    for shape in ([-1, 3], [8, 3], [2, -1, 3]):
        found = runtime.OPS["reshape"](x, shape).shape
        assert tuple(found) == (5, *np.zeros(24).reshape(shape).shape)


def test_averages_the_views(tmp_path: Path) -> None:
    """A member that looks at the top left pixel alone sees another corner in each view."""
    write_constant(tmp_path / "weights.h5", {"one": (1.0, [0.5, 0.5])}, ["identity", "flip"])
    with h5py.File(tmp_path / "weights.h5", "a") as file:
        kernel = np.zeros((12, 2), np.float32)
        kernel[0, 0] = np.log(3) / 100  # red, top left: 100 there gives odds of 3 to 1
        file["members/00/arrays/k"][...] = kernel
    X = np.zeros((1, 2, 2, 3), np.uint8)
    X[0, 0, 0, 0] = 100
    # identity: 3/4; flipped, that pixel is top right: 1/2; mean 5/8
    np.testing.assert_allclose(Model(tmp_path).predict_proba(X), [[0.625, 0.375]], atol=1e-6)


def test_views_are_the_eight_symmetries() -> None:
    image = np.arange(4).reshape(1, 2, 2, 1)  # 0 1 / 2 3
    seen = {name: turn(image, name).ravel().tolist() for name in VIEWS}
    assert seen == {
        "identity": [0, 1, 2, 3],
        "rot90": [1, 3, 0, 2],
        "rot180": [3, 2, 1, 0],
        "rot270": [2, 0, 3, 1],
        "flip": [1, 0, 3, 2],
        "flip-rot90": [0, 2, 1, 3],
        "flip-rot180": [2, 3, 0, 1],
        "flip-rot270": [3, 1, 2, 0],
    }


@pytest.fixture
def network(as_member: Callable[..., Network]) -> Network:
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(images)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return as_member(keras.Model(images, keras.layers.Dense(3)(x)))


def test_batches_do_not_change_the_answer(network: Network, rng: np.random.Generator) -> None:
    X = rng.integers(0, 256, (11, 8, 8, 3), dtype=np.uint8)
    whole = network.probs(X)
    order = rng.permutation(len(X))
    np.testing.assert_allclose(network.probs(X[order]), whole[order], atol=1e-6)
    for batch in (1, 4):
        network.batch = batch
        np.testing.assert_allclose(network.probs(X), whole, atol=1e-6)
    assert network.probs(X[:0]).shape == (0, 3)


def test_out_of_memory_halves_the_batch(
    network: Network, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    expected, run = network.probs(X), network._run

    def small_memory(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if len(images) > 3:
            raise tf.errors.ResourceExhaustedError(None, None, "no memory")
        return run(images)

    monkeypatch.setattr(network, "_run", small_memory)
    network.batch = 16
    np.testing.assert_allclose(network.probs(X), expected, atol=1e-6)
    assert network.batch == 2
    monkeypatch.setattr(
        network,
        "_run",
        lambda images: (_ for _ in ()).throw(tf.errors.ResourceExhaustedError(None, None, "none")),
    )
    with pytest.raises(tf.errors.ResourceExhaustedError):
        network.probs(X)


def test_images_stream_through(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never all images at once, never all views at once."""
    sizes, run = [], network._run
    monkeypatch.setattr(network, "_run", lambda x: sizes.append(len(x)) or run(x))
    network.batch = 4
    network.probs(np.zeros((10, 8, 8, 3), np.uint8), "rot90")
    assert sizes == [4, 4, 2]


def test_half_storage_keeps_tiny_channels() -> None:
    """Folded in first, layer scales of 1e-6 would be lost in float16; a scale each keeps them."""
    kernel = np.array([[1e-9, 2.0], [3e-9, -4.0]], np.float32)
    values, scale = pack_array(kernel)
    assert values.dtype == np.float16
    assert scale.tolist() == [[np.float32(3e-9), 4.0]]
    np.testing.assert_allclose(values * scale, kernel, rtol=1e-3)
    vector = np.array([1e-9, 5.0], np.float32)
    assert pack_array(vector)[0] is vector
    depthwise = np.array([2.0, 8.0, 1.0, 4.0], np.float32).reshape(2, 1, 2, 1)
    assert pack_array(depthwise, depthwise=True)[1].ravel().tolist() == [2.0, 8.0]


@pytest.mark.parametrize(
    ("X", "text"),
    [
        (np.zeros((2, 3, 8, 8)), r"X: expected shape \(n, 8, 8, 3\), got \(2, 3, 8, 8\)"),
        (np.zeros((2, 8, 8, 1)), r"expected shape \(n, 8, 8, 3\), got \(2, 8, 8, 1\)"),
        (np.full((1, 8, 8, 3), np.nan), "got NaN or infinity"),
        (np.full((1, 8, 8, 3), 256.0), "expected values 0-255, got 256 to 256"),
        (np.full((1, 8, 8, 3), -1), "expected values 0-255, got -1 to -1"),
        (np.full((1, 8, 8, 3), 0.5), "got fractions 0-1. Multiply by 255."),
        (np.full((1, 8, 8, 3), "x"), "expected numbers 0-255, got dtype"),
    ],
)
def test_says_what_is_wrong(X: np.ndarray, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        check_images(X, 8)


def test_takes_any_number_type(network: Network, rng: np.random.Generator) -> None:
    X = rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    expected = network.probs(X)
    for other in (X.astype(np.float64), X.astype(np.int32), tf.constant(X, tf.float32)):
        np.testing.assert_allclose(network.probs(check_images(other, 8)), expected, atol=1e-6)
    assert check_images(X[0], 8).shape == (1, 8, 8, 3)
    assert check_images(np.zeros((1, 8, 8, 3)), 8).shape == (1, 8, 8, 3)  # black is not a fraction


def test_refuses_what_is_not_a_bundle(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with pytest.raises(ValueError, match=r"weights.h5: no such file. It must lie beside model.py."):
        Model(tmp_path)
    path.write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match=r"weights.h5: damaged or truncated"):
        Model(tmp_path)
    path.unlink()
    write_constant(path, {"one": (1.0, [0.5, 0.5])}, ["identity"])
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"weights.h5: damaged or truncated"):
        Model(tmp_path)
    write_constant(path, {"one": (1.0, [0.5, 0.5])}, ["identity"])
    with h5py.File(path, "a") as file:
        del file["members"]
    with pytest.raises(ValueError, match=r"weights.h5: damaged or truncated \(.*members"):
        Model(tmp_path)
    write_constant(path, {"one": (1.0, [0.5, 0.5])}, ["identity"])
    with pytest.raises(ValueError, match="expected a member of format 2 or older, got bundle"):
        read_member(path)
    with h5py.File(path, "a") as file:
        file.attrs["format"] = runtime.FORMAT + 1
    with pytest.raises(
        ValueError, match="expected a bundle of format 2 or older, got bundle of format 3"
    ):
        Model(tmp_path)


def test_a_program_with_a_newer_operation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    write_constant(path, {"one": (1.0, [0.5, 0.5])}, ["identity"])
    with h5py.File(path, "a") as file:
        member = next(iter(file["members"].values()))
        program = json.loads(member["program"][()])
        program["ops"][0]["op"] = "warp"
        del member["program"]
        member["program"] = json.dumps(program)
    text = (
        r"weights.h5: expected operations of this model.py, got warp\. "
        r"Take the model.py that was written with it\."
    )
    with pytest.raises(ValueError, match=text):
        Model(tmp_path)


def test_both_names_of_the_class() -> None:
    assert runtime.model is runtime.Model
