"""What a newcomer meets first: the rooms, the Makefile, the locks, and no trace of our machines."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ["submission", "cells", "trainers", "ensemble", "emulator", "bcsub"]
ROAD = {"demo", "prepare", "train-all", "ensemble", "submission", "emulate"}
CARE = {"setup", "test", "test-matrix", "check", "bench", "clean"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Written so that the patterns do not match themselves.
HOSTS = re.compile(r"py[p]i\.|python[h]osted|ana[c]onda\.")
MACHINE = re.compile(r"(?<![\w.}>)\]-])/(?:root|home|Users|work|opt|mnt|tmp/venv)/\w")


def tracked() -> list[Path]:
    """Files that git tracks or would track."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("only a git checkout knows its files")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [path for name in names.split("\0") if name and (path := ROOT / name).is_file()]


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """Run make without a `make` around it: no ARGS, no flags from outside, no environment made."""
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    command = ["make", *words, "READY="]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def traces(text: str) -> list[str]:
    """Lines that name a package registry's host or an absolute path of one machine."""
    return [line for line in text.splitlines() if HOSTS.search(line) or MACHINE.search(line)]


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_says_what_it_is_and_has_tests(room: str):
    assert (ROOT / room / "__init__.py").read_text().startswith('"""')
    assert list((ROOT / "tests" / room).glob("test_*.py")), f"tests/{room} has no tests"


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "docs", "requirements"])
def test_what_a_visitor_looks_for_is_there(name: str):
    assert (ROOT / name).exists()


def test_no_file_names_a_registry_or_a_machine():
    texts = {path: path.read_bytes().decode(errors="ignore") for path in tracked()}
    assert {str(path): found for path, text in texts.items() if (found := traces(text))} == {}


@pytest.mark.parametrize(
    "line", ["https://py" + "pi.org/simple", "cd /" + "home/me/data", "'/" + "work/main'"]
)
def test_a_trace_is_found(line: str):
    assert traces(f"fine\n{line}\nroot/work/dataset.h5") == [line]


def test_no_images_weights_or_large_files():
    heavy = {path for path in tracked() if path.suffix in {".npz", ".h5", ".keras", ".zip"}}
    assert heavy | {path for path in tracked() if path.stat().st_size > 1_000_000} == set()


def test_a_wheel_holds_every_data_file_of_the_rooms():
    globs = PROJECT["tool"]["setuptools"]["package-data"]
    packed = {
        path for room, names in globs.items() for g in names for path in (ROOT / room).glob(g)
    }
    rooms = [path for path in tracked() if path.relative_to(ROOT).parts[0] in ROOMS]
    modules = {
        path for path in rooms if path.suffix == ".py" and len(path.relative_to(ROOT).parts) == 2
    }
    assert set(rooms) - modules == packed
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(ROOMS)


@pytest.mark.parametrize("name", ["build", "cpu", "gpu", "jax", "tf215", "tf217"])
def test_every_line_of_a_lock_is_a_pin_with_hashes(name: str):
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    pins = re.split(r"\n(?=\w)", text.strip())
    pin = re.compile(r"[\w.-]+==[\w.]+( ; [^\\]+)?( \\\n +--hash=sha256:[0-9a-f]{64})+")
    assert [entry.split("\n")[0] for entry in pins if not pin.fullmatch(entry)] == []


def pinned(name: str) -> dict[str, str]:
    """Versions by package of one lock."""
    text = (ROOT / f"requirements/{name}.lock").read_text()
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", text, re.M))


def test_the_locks_agree_and_pin_every_dependency():
    cpu, gpu, jax = pinned("cpu"), pinned("gpu"), pinned("jax")
    project = PROJECT["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {line.partition(">")[0] for line in asked} <= set(cpu)
    assert cpu.items() <= gpu.items()
    assert {name for name in gpu.keys() - cpu.keys() if not name.startswith("nvidia-")} == set()
    assert "nvidia-cudnn-cu12" in gpu
    assert cpu.items() <= jax.items()
    assert jax.keys() - cpu.keys() == {"jax", "jaxlib", "opt-einsum"} - cpu.keys()


def test_old_runtimes_are_the_platforms_and_an_older_one_and_hold_nothing_that_trains():
    old, platform = pinned("tf215"), pinned("tf217")
    assert (platform["tensorflow-cpu"], platform["keras"]) == ("2.17.0", "3.4.1")
    assert old["tensorflow-cpu"].startswith("2.15.")
    assert old["numpy"].startswith("1.26.")
    for lock in (old, platform):
        assert {"h5py", "numpy", "pytest"} <= set(lock)
        assert not {"keras-cv", "scikit-learn", "pydantic"} & set(lock)


def test_the_matrix_makes_its_environments_and_runs_all_of_them():
    """From the locks, JAX with its backend, the others where nothing of ours lies."""
    said = make("-n", "--always-make", "test-matrix").stdout
    for name in ("jax", "tf215", "tf217"):
        assert f"-m venv --clear .venv-{name}" in said
        assert f".venv-{name}/bin/python -m pip install" in said
        assert f"--require-hashes --no-compile -r requirements/{name}.lock" in said
    (trains,) = re.findall(r"KERAS_BACKEND=jax \.venv-jax/bin/python -m pytest (.*)", said)
    files = {word for word in trains.split() if word.endswith(".py")}
    assert {"tests/trainers/test_fit.py", "tests/bcsub/test_train.py"} <= files
    assert all((ROOT / path).is_file() for path in files)
    assert "for name in tf215 tf217; do" in said
    assert "clean-env" not in said


def test_ci_runs_what_the_readme_says():
    steps = re.findall(r"^make (\S+)$", (ROOT / ".ci" / "run").read_text(), re.M)
    assert steps == ["check", "test", "test-matrix"]
    assert "make check test test-matrix" in (ROOT / "README.md").read_text()


def test_bare_make_prints_the_documented_targets():
    run = make()
    assert run.returncode == 0
    listed = re.findall(r"^  ([a-z-]+) +\w", run.stdout, re.M)
    assert set(listed) >= ROAD | CARE


def test_variables_become_options():
    run = make(
        "-n", "train-all", "PRESET=cpu", "FOLDS=5", "SEED=2", "ROOT=elsewhere", "ARGS=--tag x"
    )
    wanted = "bcsub train --all --preset cpu --root elsewhere --folds 5 --seed 2 --tag x"
    assert wanted in run.stdout


def test_the_demo_goes_the_whole_road_and_touches_nothing_else():
    steps = re.findall(r"/bcsub (\w+) (.*)", make("-n", "--always-make", "demo").stdout)
    assert [name for name, _ in steps] == [
        "draw",
        "prepare",
        "train",
        "ensemble",
        "pack",
        "emulate",
    ]
    assert all("--root demo" in words or "demo/training_set.npz" in words for _, words in steps)


def test_a_failing_check_is_not_lost():
    assert make("check", "PY=true").returncode == 0
    assert make("check", "PY=false").returncode != 0


def test_no_fitting_python_is_one_line():
    run = make("lock", "PYTHON=python0")
    assert run.returncode != 0
    assert run.stderr.splitlines()[0] == (
        "python: expected Python 3.11 to 3.13 with venv, found python0. "
        "Install one, or name it: PYTHON=/path/to/python3.11"
    )


def test_clean_keeps_what_took_time():
    gone = make("-n", "clean").stdout
    assert "demo" in gone
    for kept in (" work", " runs", " dist", ".h5", ".venv"):
        assert kept not in gone
