"""The tables on the runtime, of networks that take milliseconds."""

import sys
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest

from submission.model import read_member
from tests.trainers.conftest import tiny_cnn
from tests.trainers.test_bench_steps import rows
from trainers import bench_beside, bench_load, bench_runtime, custom_cnn
from trainers.bench_storage import repacked, storage
from trainers.export import write_member


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small custom CNN in every network's place, few images, and no process of its own."""
    monkeypatch.setattr(custom_cnn, "RECIPE", tiny_cnn())
    monkeypatch.setattr(bench_runtime, "STOCK", ())
    monkeypatch.setattr(bench_runtime, "IMAGES", 4)
    monkeypatch.setattr(bench_runtime, "PRODUCTS", ((64, 64, 64), (32, 32, 32)))
    monkeypatch.setattr(bench_runtime, "alone", lambda keep, work, *arguments: work(*arguments))


def test_ways_are_timed_in_turns_after_a_call_each_to_warm_up(monkeypatch):
    times = iter([0, 0, 10, 11, 20, 23, 30, 35, 40, 47, 50, 53, 60, 61])
    monkeypatch.setattr(bench_runtime.time, "perf_counter", lambda: next(times))
    calls: list[str] = []
    ways = {name: lambda name=name: calls.append(name) for name in "ab"}
    # after the first round a takes 1, 5 and 3 s, b 3, 7 and 1 s
    assert bench_runtime.side_by_side(ways, 3) == {"a": 3, "b": 3}
    assert calls == ["a", "b"] * 4


def test_the_runtime_is_compared_with_stock_keras(tiny):
    (row,) = rows(bench_runtime.inference(["custom-cnn"], 1))
    name, stock, ours, ratio, apart, share, *_ = row
    assert name == "custom-cnn"
    assert float(ratio.removesuffix("x")) == pytest.approx(float(ours) / float(stock), rel=0.02)
    assert float(apart) < 1e-2
    assert share.endswith("GFLOP/s")


def test_time_is_shared_out_among_kinds_of_kernels(tiny):
    (row,) = rows(bench_runtime.shares(["custom-cnn"], False))
    name, *parts = row
    assert name == "custom-cnn"
    found = [int(part.removesuffix("%")) for part in parts]
    assert sum(found) == pytest.approx(100, abs=3)
    assert found[2] > 0  # its convolutions
    assert found[3] == 0  # nothing is cast


def test_kernels_are_told_apart_by_their_names():
    kinds = Counter(bench_runtime.kind_of(name) for name in (
        "_MklNativeFusedMatMul", "MatMul", "_MklNativeDepthwiseConv2dNative", "Cast", "Mul",
        "_MklNativeFusedConv2D",
    ))  # fmt: skip
    assert list(kinds.values()) == [2, 1, 1, 1, 1]


def test_what_a_script_says_is_read_and_its_failure_shown(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text("import sys; print('noise'); print('{\"n\": ' + sys.argv[1] + '}')")
    assert bench_beside.said(sys.executable, script, 3) == {"n": 3}
    with pytest.raises(RuntimeError, match=r"script.py failed"):
        bench_beside.said(sys.executable, script)


def test_an_environment_that_is_not_there_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = bench_beside.torch(["ConvNeXtTiny"], 1)
    assert "no .venv-torch here" in str(table.title)


@pytest.mark.parametrize("name", bench_beside.SHAPES)
def test_pytorch_gets_the_arrays_of_the_network_it_stands_for(name: str):
    """As many of each shape as a ConvNeXt of these widths and depths has."""
    widths, depths = bench_beside.SHAPES[name]
    options = {"include_top": False, "weights": None, "pooling": "avg"}
    network = getattr(keras.applications, name)(input_shape=(32, 32, 3), **options)
    depthwise = [v.shape[-1] for v in network.weights if tuple(v.shape[:3]) == (7, 7, 1)]
    assert Counter(depthwise) == dict(zip(widths, depths, strict=True))


def test_loading_is_measured_of_each_member_and_of_all(monkeypatch):
    monkeypatch.setattr(bench_load, "alone", lambda keep, work, *arguments: work(*arguments))
    monkeypatch.setattr(bench_load, "_write", small_member)
    found = rows(bench_load.loading(("one", "two")))
    assert [row[0] for row in found] == ["one", "two", "all"]
    assert all(float(row[column]) >= 0 for row in found for column in (1, 2, 3, 4, 6, 7))
    assert [bool(row[8]) for row in found] == [False, False, True]


def small_member(name: str, path: Path) -> int:
    images = keras.Input((96, 96, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(images)
    network = keras.Model(images, keras.layers.Dense(8)(pooled))
    write_member(path, network, {"name": name, **bench_load.ABOUT, "fold": 0})
    return int(network.count_params())


class TwoClasses:
    """A dataset: sixteen images of 8 px, held out by whatever fold is asked for."""

    labels = np.arange(16) % 2

    def held_out_rows(self, fold: int) -> np.ndarray:
        return np.arange(16)

    def images(self, rows: np.ndarray) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 256, (len(rows), 8, 8, 3)).astype(np.uint8)

    shifted = images


def test_storage_is_compared_with_what_the_file_itself_says(tmp_path: Path):
    images = keras.Input((8, 8, 3))
    hidden = keras.layers.Dense(256)(keras.layers.Flatten()(images))
    network = keras.Model(images, keras.layers.Dense(2)(hidden))
    about = {"name": "net", "classes": ["x", "y"], "image_px": 8, "fold": 0}
    path = tmp_path / "net-full" / "fold-0" / "member.h5"
    write_member(path, network, about, "float32")
    found = {row[1].split(":")[0]: row for row in rows(storage([path], TwoClasses()))}
    assert list(found) == ["float16", "int8", "float32", "float32, in bfloat16"]
    assert found["float32"][3:6] == ["100.0%", str(2 * 8 * 16), "100.00%"]
    assert found["float32"][0] == "net-full"
    sizes = [float(found[each][3].removesuffix("%")) for each in ("int8", "float16", "float32")]
    assert sizes == sorted(sizes)


def test_a_member_repacked_says_the_same(tmp_path: Path):
    small_member("net", tmp_path / "a.h5")
    repacked(tmp_path / "a.h5", tmp_path / "b.h5", "float32")
    X = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3)).astype(np.uint8)
    first, second = (read_member(tmp_path / f"{name}.h5").logits(X) for name in "ab")
    np.testing.assert_allclose(second, first, rtol=1e-5)


def test_each_tensorflow_says_how_a_network_loads_and_runs(tmp_path: Path):
    """Under this one: the bundle loads; a SavedModel that is not there is an error by its name."""
    np.save(tmp_path / "images.npy", np.zeros((2, 96, 96, 3), np.uint8))
    small_member("net", tmp_path / "0.h5")
    bench_load._bundle(tmp_path, [tmp_path / "0.h5"])
    (tmp_path / "model.py").write_bytes(Path(sys.modules["submission.model"].__file__).read_bytes())
    script = bench_beside.HERE / "bench_saved.py"
    bundle = bench_beside.said(sys.executable, script, "bundle", 1, cwd=tmp_path)
    assert bundle["outcome"] == "loads"
    assert bundle["rate"] > 0
    missing = bench_beside.said(sys.executable, script, "saved", 1, cwd=tmp_path)
    assert missing["outcome"] == "OSError"
