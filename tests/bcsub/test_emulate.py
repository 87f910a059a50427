"""`bcsub pack` and `bcsub emulate` as they are typed."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
import typer
from typer.testing import CliRunner

from bcsub.emulate import emulate, pack
from cells.competition import Competition, Platform
from cells.dataset import write_dataset

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(pack)
app.command()(emulate)

# Says which of red, green and blue an image has most of; wants the weights beside it.
MODEL = """
import h5py
import numpy as np

class Model:
    def __init__(self):
        with h5py.File("weights.h5") as file:
            self.order = file["order"][:]
    def predict(self, X):
        return self.order[X.mean(axis=(1, 2)).argmax(axis=1)]
"""

# The package need not be installed for its tests.
HERE = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

TOML = 'name = "colours"\ntitle = ""\nclasses = ["red", "green", "blue"]\nimage_px = 16\n'


def colour_images(colours: list[int]) -> np.ndarray:
    images = np.zeros((len(colours), 16, 16, 3), np.uint8)
    images[np.arange(len(colours)), :, :, colours] = np.arange(len(colours))[:, None, None] + 100
    return images


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve rows prepared: the last six are the test part, two of its shifted copies mislead."""
    clean = [0, 1, 2] * 4
    shifted = [*clean[:10], 0, 1]
    write_dataset(
        tmp_path / "work" / "dataset.h5",
        Competition(
            name="colours",
            title="",
            classes=("red", "green", "blue"),
            image_px=16,
            platform=Platform(tensorflow="2.17.0"),
        ),
        "f" * 16,
        2,
        ("noise",),
        images=colour_images(clean),
        shifted=colour_images(shifted),
        rows={
            "labels": np.array(clean),
            "dropped": np.zeros(12, np.uint8),
            "group": np.arange(12, dtype=np.int32),
            "part": np.array([0] * 6 + [1] * 6, np.int8),
            "fold": np.array([0, 1] * 3 + [-1] * 6, np.int8),
            "shift_family": np.zeros(12, np.uint8),
            "shift_severity": np.ones(12, np.uint8),
        },
    )
    folder = tmp_path / "submission"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    with h5py.File(folder / "weights.h5", "w") as file:
        file["order"] = np.arange(3)
    return tmp_path


def bcsub(*words: str | Path) -> subprocess.CompletedProcess:
    """Run a command in a process of its own, since --json takes over standard output."""
    return subprocess.run(
        [sys.executable, __file__, *map(str, words)],
        env=HERE,
        capture_output=True,
        text=True,
        check=False,
    )


def packed(root: Path, *words: str | Path) -> str:
    """What `bcsub pack` prints for people; run in this process, which is quicker."""
    ran = CliRunner().invoke(app, ["pack", "--root", str(root), *map(str, words)])
    assert ran.exit_code == 0
    return ran.stdout


def test_pack_then_emulate_is_the_road(root):
    ran = bcsub("pack", "--root", root, "--json")
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert set(result) == {"zip", "bytes", "deadline_s"}
    assert Path(result["zip"]).parent == root / "dist"
    assert Path(result["zip"]).stat().st_size == result["bytes"]
    # Without a zip's name the newest is taken.
    ran = bcsub("emulate", "--root", root, "--json")
    assert ran.returncode == 0, ran.stderr
    scored = json.loads(ran.stdout)
    assert scored["verdict"] == "ok"
    assert scored["accuracy"] == pytest.approx(4 / 6)
    assert (scored["set"], scored["images"]) == ("shifted test part", 6)
    assert scored["zip"] == result["zip"]
    for field in ("load_s", "predict_s", "peak_mb"):
        assert scored[field] >= 0
    folder = Path(scored["folder"])
    assert folder.parent == root / "runs" / "emulated"
    assert folder.name.endswith(Path(result["zip"]).stem)
    assert json.loads((folder / "scores.json").read_text()) == scored
    names = {path.name for path in folder.iterdir()}
    assert names == {"scores.json", "log.txt", "confusion.png", "classes.csv", "predictions.csv"}
    assert (folder / "predictions.csv").read_text().splitlines()[1] == "6,0,0,red,red"


def test_a_bundle_elsewhere_can_be_packed(root):
    (root / "submission").rename(root / "elsewhere")
    assert "submission-" in packed(root, root / "elsewhere")
    result = CliRunner().invoke(app, ["pack", "--root", str(root)])
    assert result.exit_code == 1
    assert str(root / "submission") in result.stderr.replace("\n", "")


def test_clean_scores_the_clean_images(root):
    packed(root)
    scored = json.loads(bcsub("emulate", "--clean", "--root", root, "--json").stdout)
    assert (scored["accuracy"], scored["set"]) == (1.0, "clean test part")


def test_images_are_scored_and_copies_warned_of(root):
    packed(root)
    np.savez(root / "set.npz", images=colour_images([0, 1, 1]), labels=np.array([[0], [1], [2]]))
    ran = bcsub("emulate", "--images", root / "set.npz", "--root", root, "--json")
    scored = json.loads(ran.stdout)
    assert scored["accuracy"] == pytest.approx(2 / 3)
    assert scored["warning"].startswith("set.npz: 2 of 3 images are exact copies of training rows")
    assert f"warning {scored['warning']}" in " ".join(ran.stderr.split())


def test_a_competition_file_stands_in_for_a_dataset(root):
    (root / "work" / "dataset.h5").unlink()
    (root / "colours.toml").write_text(TOML + "[platform]\nmetadata = true\n")
    asked = ("--competition", root / "colours.toml", "--root", root, "--json")
    packed(root, "--competition", root / "colours.toml")
    np.savez(root / "set.npz", images=colour_images([0, 1]), labels=np.array([0, 1]))
    scored = json.loads(bcsub("emulate", "--images", root / "set.npz", *asked).stdout)
    assert (scored["verdict"], scored["accuracy"]) == ("ok", 1.0)
    assert "warning" not in scored


def test_pack_shows_the_bundles_deadline(root):
    assert "deadline" not in packed(root)
    with h5py.File(root / "submission" / "weights.h5", "a") as file:
        classes = json.dumps(["red", "green", "blue"])
        file.attrs.update(kind="bundle", classes=classes, image_px=16, deadline_s=90.0)
    (root / "c.toml").write_text(TOML + "[platform]\ndeadline_s = 90\n")
    lines = packed(root, "--competition", root / "c.toml").splitlines()
    assert "deadline 90 s, from the import of model.py" in lines


def test_a_fault_of_the_zip_is_a_verdict_an_error_and_exit_code_1(root):
    (root / "submission" / "model.py").write_text("import nowhere")
    packed(root)
    ran = bcsub("emulate", "--root", root, "--json")
    assert ran.returncode == 1
    scored = json.loads(ran.stdout)
    assert scored["verdict"] == "import_error"
    assert scored["accuracy"] is None
    assert "No module named 'nowhere'" in scored["error"]


def test_the_time_limit_can_be_set(root):
    (root / "submission" / "model.py").write_text("import time; time.sleep(60)")
    packed(root)
    ran = bcsub("emulate", "--time-limit", "1.5", "--root", root, "--json")
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["error"] == (
        "Execution Time Limit exceeded. Limit was 1.5 seconds, reached importing model.py."
    )


def test_errors_are_one_object_and_exit_code_1(root):
    ran = bcsub("emulate", "--root", root, "--json")
    assert ran.returncode == 1
    assert json.loads(ran.stdout) == {
        "error": f"{root / 'dist'}: no zip with a model.py. Run `bcsub pack` first."
    }
    (root / "submission" / "weights.h5").unlink()
    ran = bcsub("pack", "--root", root, "--json")
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["error"].endswith("no such file. Run `bcsub ensemble` first.")


def test_people_read_a_panel(root):
    runner = CliRunner()
    assert f"{root / 'dist' / 'mine.zip'}  0.0 MB" in packed(root, "--name", "mine")
    zip_path = str(root / "dist" / "mine.zip")
    shown = runner.invoke(app, ["emulate", zip_path, "--root", str(root)])
    assert shown.exit_code == 0
    words = " ".join(shown.stdout.replace("│", " ").split())
    assert "ok mine.zip" in words
    assert "accuracy 0.6667 95 %: 0.300 to 0.903" in words
    assert "s per 1,000 images" in words
    assert "peak memory" in words
    assert "isolation no network" in words
    assert f"tensorflow {version('tensorflow')} here, 2.17.0 on the platform" in words
    assert "blue 2 1.000 0.500 0.667" in words
    (root / "submission" / "model.py").write_text("1 / 0  # [bold]")
    packed(root, "--name", "mine", "--force")
    shown = runner.invoke(app, ["emulate", zip_path, "--root", str(root)])
    assert shown.exit_code == 1
    words = " ".join(shown.stdout.replace("│", " ").split())
    assert "import_error mine.zip" in words
    assert "ZeroDivisionError: division by zero (model.py, line 1)" in words


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(root, tmp_path, number):
    area = tmp_path / "area"
    area.mkdir()
    text = (
        "import time\nclass Model:\n    def predict(self, X):\n"
        "        open('reached', 'w').close()\n        time.sleep(300)\n"
    )
    (root / "submission" / "model.py").write_text(text)
    packed(root)
    command = subprocess.Popen(
        [sys.executable, __file__, "emulate", "--root", str(root)],
        env={**HERE, "TMPDIR": str(area)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # a shell starts what it puts in the background with SIGINT ignored, these tests included
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 60
        while not list(area.rglob("reached")) and time.monotonic() < deadline:
            assert command.poll() is None
            time.sleep(0.05)
        family = psutil.Process(command.pid).children(recursive=True)
        command.send_signal(number)
        assert command.wait(timeout=30) != 0
    finally:
        command.kill()
        command.wait()
    assert family
    assert list(area.iterdir()) == []
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []


if __name__ == "__main__":
    app()
