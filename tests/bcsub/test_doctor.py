"""`bcsub doctor` as it is typed, and what it makes of a strange machine."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from rich.console import Console

from bcsub import doctor as module
from bcsub.doctor import doctor
from emulator.isolation import TEXTS

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(doctor)


@pytest.fixture(scope="module")
def examined() -> dict:
    ran = subprocess.run(
        [sys.executable, __file__, "--json"],
        capture_output=True,
        text=True,
        check=False,
        # The package need not be installed for its tests.
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_versions_and_sizes_are_this_machines(examined):
    assert examined["versions"]["python"] == platform.python_version()
    assert examined["versions"]["tensorflow"] == version("tensorflow")
    assert 0 < examined["free_memory_gb"] <= examined["memory_gb"]
    assert examined["free_disk_gb"] > 0
    assert examined["cpus"] >= 1
    assert examined["isolation"] in TEXTS


def test_precision_follows_the_gpu(examined):
    if not examined["gpus"]:
        assert examined["precision"] == "float32"
    else:
        major = int(examined["gpus"][0]["compute_capability"].split(".")[0])
        assert examined["precision"] == ("mixed_bfloat16" if major >= 8 else "mixed_float16")


def test_pretrained_weights_are_looked_for_in_keras_cache(examined):
    assert set(examined["pretrained"]) == {"convnext-small", "convnext-base", "convnext-large"}


def test_the_backend_is_named(examined, capsys):
    name = os.environ.get("KERAS_BACKEND", "tensorflow")
    assert examined["backend"] == name
    module._show(Console(width=200), examined)
    assert f"backend Keras computes with {name}" in " ".join(capsys.readouterr().out.split())


def test_people_read_a_table(examined, capsys):
    made_up = examined | {
        "gpus": [{"name": "Big GPU", "compute_capability": "9.0"}],
        "pretrained": {"convnext-small": "/cache/small.h5", "convnext-base": None},
        "cpu_flags": [],
    }
    module._show(Console(width=200), made_up)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "GPU Big GPU (9.0)" in lines
    assert "ImageNet convnext-small /cache/small.h5" in lines
    assert "ImageNet convnext-base not in Keras's cache" in lines
    assert f"CPU {examined['cpus']} cores, no AVX: TensorFlow won't start" in lines
    assert f"tensorflow {version('tensorflow')}" in lines


def test_a_tensorflow_that_does_not_import_is_the_finding(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    found = module.examine(tmp_path)
    assert found["error"].startswith("TensorFlow cannot be imported: ")
    assert found["exit"] == 1
    assert found["versions"]["tensorflow"] == version("tensorflow")
    assert module._lines(found)[0] == ("error", found["error"])


def test_cpu_flags_are_read_from_the_first_processor(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx sse\nprocessor\t: 1\nflags\t\t: fma\n")
    assert module._cpu_flags(info) == ["avx", "avx2"]
    assert module._cpu_flags(tmp_path / "none") is None


if __name__ == "__main__":
    app()
