"""What `make test-matrix` hands to other TensorFlows, tried on the one that is here."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.matrix.write_bundles import write_bundles


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    write_bundles(folder)
    return folder


def checked(folder: Path) -> list[str]:
    """Run the checks as the other environments do; the lines of those that failed."""
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    skipped = [
        "test_bundles.py",
        "--deselect",
        "test_bundles.py::test_nothing_of_ours_is_installed",
    ]
    run = subprocess.run([*command, *skipped], cwd=folder, capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    return [line for line in run.stdout.splitlines() if line.startswith("FAILED")]


def test_the_checks_pass_here_and_fail_for_another_answer(bundles: Path) -> None:
    assert checked(bundles) == []
    path = bundles / "zoo" / "answers.npz"
    probs = np.load(path)["probs"]
    np.savez(path, probs=probs + np.float32(2e-4))
    (failed,) = checked(bundles)
    assert "test_the_same_probabilities[zoo]" in failed
