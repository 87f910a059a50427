"""What an import writes to file descriptor 2, shown by a TensorFlow that does nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bcsub
from bcsub import quiet
from cells.errors import BackendError

REPOSITORY = Path(bcsub.__file__).parents[1]
CALL = """
import os
from bcsub.quiet import import_tensorflow
try:
    import_tensorflow()
except ImportError as error:
    os.write(2, f"raised {error}".encode())
os.write(2, b"after")
"""


@pytest.mark.parametrize(
    ("last_line", "expected"),
    [("", "after"), ("raise ImportError('no such symbol')", "chatter raised no such symbolafter")],
    ids=["it works", "it fails"],
)
def test_what_the_import_says_is_shown_only_when_it_fails(tmp_path, last_line, expected):
    text = f"import os\nos.write(2, b'chatter ')\n{last_line}\n"
    (tmp_path / "tensorflow.py").write_text(text)
    paths = {"PYTHONPATH": f"{tmp_path}:{REPOSITORY}"}
    done = subprocess.run(
        [sys.executable, "-c", CALL], env=paths, capture_output=True, text=True, check=True
    )
    assert done.stderr == expected


def test_freed_memory_stays_with_the_process_unless_the_user_says_otherwise(tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "import os\nprint(os.environ['TF_CPU_ALLOCATOR_USE_BFC'])\n"
    )
    paths = {"PYTHONPATH": f"{tmp_path}:{REPOSITORY}"}
    for given, expected in (({}, "true"), ({"TF_CPU_ALLOCATOR_USE_BFC": "false"}, "false")):
        done = subprocess.run(
            [sys.executable, "-c", CALL], env=paths | given, capture_output=True, check=True
        )
        assert done.stdout.decode().strip() == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "torch",
            "KERAS_BACKEND: expected tensorflow or jax, got 'torch'. Unset it for the first.",
        ),
        (
            "jax",
            "KERAS_BACKEND: jax is not installed. `pip install jax` beside this package "
            "(jax[cuda12] for a GPU), or unset KERAS_BACKEND.",
        ),
    ],
)
def test_a_backend_that_is_not_here_is_one_line_before_anything_is_imported(
    monkeypatch, name, text
):
    monkeypatch.setenv("KERAS_BACKEND", name)
    monkeypatch.setattr(quiet, "find_spec", lambda module: None)
    with pytest.raises(BackendError) as error:
        quiet.import_tensorflow()
    assert str(error.value) == text


def test_jax_and_tensorflow_take_only_the_gpu_memory_that_they_need(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(quiet, "find_spec", lambda module: object())
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    expected = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    for name in expected:
        monkeypatch.setenv(name, "to be undone")
        monkeypatch.delenv(name)
    quiet.import_tensorflow()
    assert {name: os.environ[name] for name in expected} == expected
