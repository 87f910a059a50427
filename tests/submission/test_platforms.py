"""However a platform imports model.py and calls it, from wherever, it answers the same."""

import importlib.util
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from submission import model as runtime
from submission.model import Model
from tests.submission.bundles import PX, write_bundle


@pytest.fixture(name="X")
def tiny_images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (10, PX, PX, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An unpacked submission, in a folder with a space in its name."""
    folder = write_bundle(tmp_path / "the submission")
    shutil.copy(runtime.__file__, folder / "model.py")
    return folder


def under_another_name(folder: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("team_7_model", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


def through_exec(folder: Path) -> dict[str, Any]:
    names: dict[str, Any] = {"__file__": __file__}  # a program's that runs it so
    exec((folder / "model.py").read_text(), names)
    return names


def run_by_path(folder: Path) -> dict[str, Any]:
    return runpy.run_path(str(folder / "model.py"))


@pytest.mark.parametrize("class_name", ["Model", "model"])
@pytest.mark.parametrize("load", [under_another_name, run_by_path])
def test_from_any_working_directory(
    folder: Path,
    X: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    load: Callable[[Path], dict[str, Any]],
    class_name: str,
) -> None:
    expected = Model(folder).predict(X)
    assert len(set(expected.tolist())) > 1
    monkeypatch.chdir("/")
    make = load(folder)[class_name]
    np.testing.assert_array_equal(make().predict(X), expected)
    for path in (folder, str(folder), os.path.relpath(folder)):
        np.testing.assert_array_equal(make(path).predict(X), expected)


def test_through_exec_it_takes_the_working_directory_or_a_path(
    folder: Path, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Model(folder).predict(X)
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(through_exec(folder)["Model"](folder).predict(X), expected)
    monkeypatch.chdir(folder)
    np.testing.assert_array_equal(through_exec(folder)["Model"]().predict(X), expected)


# Refuses every change of a file below the folder, as a read-only file system does.
READ_ONLY = """
import os, sys
folder = os.path.realpath(os.getcwd())
def hook(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if isinstance(flags, int) else 0
        paths = [path] if writes else []
    else:
        changes = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink")
        paths = arguments[:2] if event in changes else []
    for path in paths:
        named = isinstance(path, (str, bytes))
        if named and os.path.realpath(os.fsdecode(path)).startswith(folder):
            raise OSError(30, "Read-only file system", path)
sys.addaudithook(hook)
sys.path.insert(0, folder)
try:
    open("probe", "w")
except OSError:
    print("read-only")
import numpy as np
from model import Model
print(Model().predict(np.load("images.npy")).tolist())
"""


def test_on_a_read_only_file_system(folder: Path, X: np.ndarray) -> None:
    np.save(folder / "images.npy", X)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    folder.chmod(0o555)  # binds everyone but root, whom the hook binds
    try:
        run = subprocess.run(
            [sys.executable, "-c", READ_ONLY],
            cwd=folder,
            capture_output=True,
            text=True,
        )
    finally:
        folder.chmod(0o755)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["read-only", str(Model(folder).predict(X).tolist())]
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_the_answer_is_of_the_kind_that_the_bundle_asks_for(tmp_path: Path, X: np.ndarray) -> None:
    labels = Model(write_bundle(tmp_path / "plain")).predict(X)
    assert isinstance(labels, np.ndarray)
    assert (labels.dtype, labels.shape) == (np.int64, (10,))
    same = Model(write_bundle(tmp_path / "labels", answer="labels")).predict(X)
    np.testing.assert_array_equal(same, labels)
    tensor = Model(write_bundle(tmp_path / "tensor", answer="tensor"))
    found = tensor.predict(X)
    assert isinstance(found, tf.Tensor)
    assert (found.dtype, found.shape) == (tf.int64, (10,))
    np.testing.assert_array_equal(found.numpy(), labels)
    one_hot = Model(write_bundle(tmp_path / "one-hot", answer="one-hot"))
    rows = one_hot.predict(X)
    assert (type(rows), rows.dtype, rows.shape) == (np.ndarray, np.float32, (10, 3))
    np.testing.assert_array_equal(rows.argmax(axis=1), labels)
    np.testing.assert_array_equal(np.sort(rows, axis=1), [[0, 0, 1]] * 10)
    assert one_hot.predict(X[:0]).shape == (0, 3)
    assert tensor.predict(X[:0]).shape == (0,)
    with pytest.raises(ValueError, match=r"weights.h5: damaged or truncated \('x'\)"):
        Model(write_bundle(tmp_path / "other", answer="x"))
