"""`bcsub train` and `bcsub predict` as a user runs them, on colours that a tiny network learns."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import bcsub
from bcsub import training
from bcsub.app import app
from cells.asked import Asked
from cells.errors import WeightsError
from cells.files import write_json
from cells.policy import Dose, Policy
from tests.trainers.conftest import write_colours
from trainers import custom_cnn, devices
from trainers.trial import Trial

REPOSITORY = Path(bcsub.__file__).parents[1]
QUICK = [
    *("widths=4,6", "depths=0,1", "batch=16", "whole.epochs=2", "whole.warmup_epochs=0"),
    # KerasCV's layers take longer to build than everything else takes to run
    *(f"policy.{name}.rate=0" for name, at in Policy.model_fields.items() if at.annotation is Dose),
]
SETTINGS = [word for setting in QUICK for word in ("--set", setting)]
DEMO = ["train", "custom-cnn", "--preset", "demo", "--tag", "trial", *SETTINGS]


FOUND = Trial(
    batch=16,
    steps=100,
    start_s=6.0,
    step_s={"whole": 0.25},
    pipeline_s=0.01,
    epoch_end_s=2.0,
    finish_s=6.0,
    epochs={"whole": 40},
    peak_mb=3.6 * 1024,
    free_mb=3.9 * 1024,
)  # 6 + 40 (25 + 2) + 6 = 1092 s


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> SimpleNamespace:
    """.root, with one trained member in it; .result of the command, run with --json."""
    root = tmp_path_factory.mktemp("root")
    write_colours(root)
    command = [sys.executable, "-m", "bcsub", *DEMO, "--json", "--root", str(root)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert result.returncode == 0, result.stderr
    return SimpleNamespace(root=root, result=result)


@pytest.fixture
def root(tmp_path) -> Path:
    """A root with the dataset and no runs."""
    write_colours(tmp_path)
    return tmp_path


@pytest.fixture
def asked(monkeypatch) -> list:
    """(run, weights file) of every training that a command asks for; none is trained or tried."""
    calls: list = []
    monkeypatch.setattr(training, "trial", lambda *args: FOUND)

    def train_run(run, dataset, progress, weights_file, callbacks):
        calls.append((run, weights_file))
        figures = {"precision": 0.125, "recall": 0.25, "f1": 0.375}
        scores = {"mean": figures, "sd": figures}
        run.folder.mkdir(parents=True, exist_ok=True)
        write_json(run.folder / "report.json", {"clean": scores, "shifted": scores})
        return {
            "run": run.run,
            "name": run.name,
            "fold": run.fold,
            "clean_accuracy": 0.5,
            "shifted_accuracy": 0.25,
            "epochs": 1,
            "seconds": 90.0,
            "images_per_s": 7.0,
        }

    monkeypatch.setattr(training, "train_run", train_run)
    return calls


def run(*arguments: object):
    """In this process, for speed: exit code and output."""
    return CliRunner().invoke(app, [str(each) for each in arguments])


def refusal(*arguments: object) -> str:
    """The one line of a command that fails."""
    result = run(*arguments)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert len(lines) == 1, result.output
    return lines[0].removeprefix("error ")


# ---- a training from one end to the other --------------------------------------------------------


def test_json_is_one_object_with_the_fixed_fields_and_nothing_else(trained):
    assert trained.result.stdout.count("\n") == 1
    (members,) = json.loads(trained.result.stdout).values()
    assert list(json.loads(trained.result.stdout)) == ["members"]
    (member,) = members
    assert {key: type(value) for key, value in member.items()} == {
        "run": str,
        "name": str,
        "fold": int,
        "clean_accuracy": float,
        "shifted_accuracy": float,
        "epochs": int,
        "seconds": float,
        "images_per_s": float,
    }
    assert re.fullmatch(r"custom-cnn-demo-[0-9a-f]{8}-trial", member["run"])
    assert (member["name"], member["fold"], member["epochs"]) == ("custom-cnn", 0, 2)
    done = trained.root / "runs" / member["run"] / "fold-0" / "DONE"
    assert json.loads(done.read_text()) == member


def test_progress_goes_to_standard_error(trained):
    lines = trained.result.stderr.splitlines()
    for epoch in (1, 2):
        pattern = rf".* fold 0 whole epoch +{epoch}  \d+ images/s  loss \d\.\d+  "
        pattern += r"inner clean [\d.]+ \([\d.]+\)  shifted [\d.]+ \([\d.]+\)"
        assert any(re.fullmatch(pattern, line) for line in lines), lines


def test_a_finished_run_is_not_trained_again_but_shown(trained):
    (done,) = trained.root.glob("runs/*/fold-*/DONE")
    before = done.stat().st_mtime_ns
    result = run(*DEMO, "--root", trained.root)
    assert result.exit_code == 0, result.output
    assert done.stat().st_mtime_ns == before
    assert result.output.count("finished before") == 1
    (member,) = json.loads(trained.result.stdout)["members"]
    table = result.output.partition("Mean ± sd")[0]
    rows = [line.split("│") for line in table.splitlines() if line.startswith("│")]
    assert "".join(row[1].strip() for row in rows) == member["run"]  # in full, be it in two lines
    row = rows[0]
    assert [field.strip() for field in row[2:6]] == [
        "0",
        f"{member['clean_accuracy']:.4f}",
        f"{member['shifted_accuracy']:.4f}",
        "2",
    ]
    assert result.output.splitlines()[-1].startswith("next: bcsub ensemble")


@pytest.mark.parametrize("named", [True, False], ids=["a folder", "all"])
def test_predict_remakes_predictions(trained, named):
    (folder,) = trained.root.glob("runs/*/fold-*")
    path = folder / "predictions.h5"
    with h5py.File(path) as file:
        clean = file["clean"][()]
    path.unlink()
    result = run("predict", *([folder] if named else []), "--root", trained.root)
    assert result.exit_code == 0, result.output
    assert result.output.count("predictions remade") == 1
    with h5py.File(path) as file:
        np.testing.assert_allclose(file["clean"][()], clean, atol=1e-6)


def test_predict_as_json(trained, monkeypatch, capfd):
    remade = []
    monkeypatch.setattr(training, "predict_run", lambda folder, *rest: remade.append(folder))
    (folder,) = trained.root.glob("runs/*/fold-*")
    assert run("predict", folder, "--root", trained.root, "--json").exit_code == 0
    assert json.loads(capfd.readouterr().out) == {"runs": [str(folder)]}
    assert remade == [folder]


def test_predict_leaves_alone_what_fits(trained, tmp_path):
    """Fresh predictions, and a run on another dataset."""
    (folder,) = trained.root.glob("runs/*/fold-*")
    before = (folder / "predictions.h5").stat().st_mtime_ns
    other = trained.root / "runs" / "other" / "fold-0"
    shutil.copytree(folder, other)
    about = json.loads((other / "recipe.json").read_text())
    (other / "recipe.json").write_text(json.dumps({**about, "data_fingerprint": "another"}))
    (other / "predictions.h5").unlink()
    result = run("predict", "--root", trained.root)
    shutil.rmtree(other.parent)
    assert result.exit_code == 0
    assert result.output.startswith("nothing to do")
    assert (folder / "predictions.h5").stat().st_mtime_ns == before


def test_predict_on_what_is_no_run(root):
    line = refusal("predict", root / "nothing", "--root", root)
    assert line.startswith(f"{root}/nothing/recipe.json: cannot be read (")
    assert line.endswith("). Delete the folder and train it again.")


# ---- which runs are meant ------------------------------------------------------------------------


def test_all_takes_the_members_that_have_the_preset(root, asked):
    enlarged = ("--set", "network_px=32")  # the dataset's images are of 16 px
    result = run("train", "--all", "--preset", "cpu", *enlarged, "--root", root)
    assert result.exit_code == 0, result.output
    assert [made.name for made, _ in asked] == ["custom-cnn", "convnext-atto"]
    assert {made.preset for made, _ in asked} == {"cpu"}
    cells = [cell.strip() for cell in result.output.split("│")]
    assert cells[2:8] == ["0", "0.5000", "0.2500", "1", "1.5", "7"]


def test_a_member_named_twice_is_trained_once(root, asked):
    result = run("train", "custom-cnn", "custom-cnn", "--preset", "cpu", "--root", root)
    assert result.exit_code == 0, result.output
    assert [made.name for made, _ in asked] == ["custom-cnn"]


def test_scores_over_classes_are_shown_with_their_spread(trained):
    result = run(*DEMO, "--root", trained.root)
    (path,) = trained.root.glob("runs/*/fold-0/report.json")
    for part, scores in json.loads(path.read_text()).items():
        f1 = [each["f1"] for each in scores["classes"].values()]
        wanted = f"{np.mean(f1):.3f} ± {np.std(f1):.3f}"
        (line,) = (line for line in result.output.splitlines() if f" {part} │" in line)
        assert line.split("│")[-2].strip() == wanted


def test_options_reach_the_runs(root, asked):
    result = run(
        *("train", "convnext-atto", "custom-cnn", "--preset", "demo", "--folds", 3),
        *("--seed", 5, "--tag", "my-word", "--set", "dropout=.125", "--set", "batch=9"),
        *("--set", "network_px=32", "--root", root),
    )
    assert result.exit_code == 0, result.output
    names = [(made.name, made.fold) for made, _ in asked]
    assert names == [(name, fold) for name in ("convnext-atto", "custom-cnn") for fold in range(3)]
    for made, weights_file in asked:
        assert made.weights_sha256 == ""
        assert (made.seed, made.tag, made.recipe.dropout, made.recipe.batch) == (
            5,
            "my-word",
            0.125,
            9,
        )
        assert made.run.endswith("-my-word")
        assert made.runs == root / "runs"
        assert weights_file is None
    assert asked[3][0].recipe.widths == custom_cnn.PRESETS["demo"]["widths"]


def test_without_options_fold_0_of_the_full_preset_is_meant(root, asked, monkeypatch):
    monkeypatch.setattr(devices, "gpus", lambda: ["GPU:0"])
    assert run("train", "custom-cnn", "--root", root).exit_code == 0
    ((made, weights_file),) = asked
    assert (made.preset, made.fold, made.seed, made.tag) == ("full", 0, 0, "")
    assert made.recipe == custom_cnn.RECIPE
    assert weights_file is None


def test_ones_own_weights_make_another_run(root, asked, monkeypatch):
    monkeypatch.setattr(devices, "gpus", lambda: ["GPU:0"])
    command = ["train", "convnext-small", "custom-cnn", "--root", root]
    for content in (b"one", b"two"):
        (root / "w.h5").write_bytes(content)
        assert run(*command, "--weights", root / "w.h5").exit_code == 0
    files = [weights_file for _, weights_file in asked]
    assert files == [root / "w.h5", None, root / "w.h5", None]
    assert len({made.run for made, _ in asked if made.name == "convnext-small"}) == 2
    assert len({made.run for made, _ in asked if made.name == "custom-cnn"}) == 1
    assert asked[0][0].weights_sha256 == hashlib.sha256(b"one").hexdigest()


def test_pretrained_weights_are_found_before_the_first_member_trains(root, asked, monkeypatch):
    monkeypatch.setattr(devices, "gpus", lambda: ["GPU:0"])

    def resolve(name, given):
        raise WeightsError(f"{name}: not here.")

    monkeypatch.setattr(training, "resolve", resolve)
    line = refusal("train", "custom-cnn", "convnext-base", "--root", root)
    assert line == "convnext-base: not here."
    assert asked == []


def test_a_run_that_goes_on_needs_no_pretrained_file(root, asked, monkeypatch):
    monkeypatch.setattr(devices, "gpus", lambda: ["GPU:0"])
    monkeypatch.setattr(training, "resolve", lambda name, given: root / "found.h5")
    command = ["train", "convnext-small", "--root", root]
    assert run(*command).exit_code == 0
    ((made, weights_file),) = asked
    assert weights_file == root / "found.h5"

    def resolve(name, given):
        raise WeightsError("not here.")

    monkeypatch.setattr(training, "resolve", resolve)
    (made.folder / "checkpoint.h5").touch()
    assert run(*command).exit_code == 0


def test_images_too_small_for_a_network_are_said_before_it_trains(root, asked):
    own = ("--preset", "cpu", "--set", "network_px=none")
    line = refusal("train", "convnext-atto", *own, "--root", root)
    assert line == (
        "convnext-atto: network_px: expected 32 px or more, since each stage halves the image, "
        "got 16. Enlarge it inside the network: --set network_px=32."
    )
    assert asked == []


def test_what_one_member_cannot_use_is_said_before_the_first_trains(root, asked):
    line = refusal("train", "--all", "--preset", "cpu", "--set", "norm_momentum=.9", "--root", root)
    assert line == (
        "convnext-atto: norm_momentum: expected none, since this network has no such thing, "
        "got 0.9."
    )
    assert asked == []
    assert not (root / "runs").exists()


# ---- the full preset without a GPU ---------------------------------------------------------------


@pytest.fixture
def twelve_hours(monkeypatch):
    """No GPU, and a machine that would take 12 hours for the quick network."""
    _slow(monkeypatch, hours=12)


def _slow(monkeypatch, hours):
    recipe = custom_cnn.RECIPE.model_copy(update={"widths": (4, 6), "depths": (0, 1)})
    forward = 2 * devices.multiply_adds(custom_cnn.build(recipe, 16, 3)) / 1e9
    work = forward * 48 * 3 * 2  # images, passes a step, epochs
    monkeypatch.setattr(devices, "gpus", list)
    monkeypatch.setattr(devices, "matmul_gflops", lambda: work / (hours * 3600))


def test_it_says_what_it_would_take_and_asks(root, asked, twelve_hours):
    command = ["train", "custom-cnn", *SETTINGS, "--root", root]
    text = "no GPU here: the full preset would take custom-cnn about 12 h; {} h in all. " + (
        "Use --preset cpu (make train-all PRESET=cpu), or --yes to train it all the same."
    )
    assert refusal(*command) == text.format(12)
    assert refusal(*command, "--folds", 2) == text.format(24)
    assert asked == []


def test_what_takes_minutes_is_told_in_minutes(root, asked, monkeypatch):
    _slow(monkeypatch, hours=0.4)
    line = refusal("train", "custom-cnn", *SETTINGS, "--folds", 2, "--root", root)
    assert "would take custom-cnn about 24 min; 48 min in all." in line


def test_yes_trains_it_all_the_same(root, asked, twelve_hours):
    assert run("train", "custom-cnn", *SETTINGS, "--yes", "--root", root).exit_code == 0
    assert len(asked) == 1


def test_a_finished_one_is_no_question(root, asked, twelve_hours, monkeypatch):
    monkeypatch.setattr(training, "done", lambda folder: {"epochs": 1})
    assert run("train", "custom-cnn", *SETTINGS, "--root", root).exit_code == 0


# ---- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [[], ["custom-cnn", "--all"]])
def test_names_or_all_and_not_both(root, names):
    line = refusal("train", *names, "--root", root)
    assert line == "train: name members or say --all, and not both."


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["custom-cn"],
            "no member 'custom-cn'; there are custom-cnn, convnext-atto, convnext-small, "
            "convnext-base, convnext-large. Did you mean 'custom-cnn'?",
        ),
        (
            ["convnext-small", "--preset", "cpu"],
            "convnext-small: no preset 'cpu'; it has full. "
            "`bcsub train --all` takes the members that have the asked one.",
        ),
        (["--all", "--preset", "gpu"], "no member has a preset 'gpu'; there are cpu, demo, full."),
        (
            ["custom-cnn", "--set", "dropuot=1"],
            "--set dropuot: no field 'dropuot'. Did you mean 'dropout'?",
        ),
        (
            ["custom-cnn", "--tag", "a/b"],
            "--tag: expected letters, digits, - and _, got 'a/b'.",
        ),
        (
            ["custom-cnn", "--weights", "w.h5"],
            "--weights: expected exactly one member that begins with pretrained weights, got none. "
            "Name one, such as bcsub train convnext-base.",
        ),
        (
            ["custom-cnn", "--set", "weights=imagenet", "--yes"],
            "custom-cnn: weights: expected none, since Keras publishes ImageNet weights only for "
            "convnext-small, convnext-base, convnext-large, got imagenet.",
        ),
        (
            ["convnext-small", "convnext-base", "--weights", "w.h5"],
            "--weights: expected exactly one member that begins with pretrained weights, got "
            "convnext-small, convnext-base. Name one, such as bcsub train convnext-base.",
        ),
        (
            ["convnext-small", "--weights", "nowhere.h5"],
            "--weights: no such file nowhere.h5.",
        ),
    ],
)
def test_a_fault_is_one_line_and_exit_1(root, asked, arguments, text):
    assert refusal("train", *arguments, "--root", root) == text
    assert asked == []
    assert not (root / "runs").exists()


def test_more_folds_than_there_are_and_nothing_else_that_was_asked_of_prepare_is_lost(root):
    summary = root / "work" / "prepare" / "summary.json"
    summary.parent.mkdir(exist_ok=True)
    noted = Asked("t.npz", shares="60/36/4", deep=True)
    summary.write_text(json.dumps({"asked": asdict(noted)}))
    assert refusal("train", "custom-cnn", "--folds", "4", "--root", root) == (
        "--folds: expected at most the dataset's 3, got 4. "
        f"Run `bcsub prepare t.npz --folds 4 --deep --root {root}`."
    )


def test_without_a_dataset(tmp_path, capfd):
    advice = f"Run `bcsub prepare ARCHIVE --root {tmp_path}` first."
    expected = f"{tmp_path}/work/dataset.h5: no such file. {advice}"
    command = ["train", "custom-cnn", "--root", tmp_path]
    assert refusal(*command) == expected
    capfd.readouterr()
    assert run(*command, "--json").exit_code == 1
    assert json.loads(capfd.readouterr().out) == {"error": expected}


# ---- --dry-run and --log -------------------------------------------------------------------------


def test_a_dry_run_says_what_would_run_and_writes_nothing(root, asked, monkeypatch):
    monkeypatch.setattr(devices, "gpus", list)
    before = sorted(root.rglob("*"))
    command = ["train", "custom-cnn", "--preset", "demo", "--folds", 2, "--set", "batch=9"]
    result = run(*command, "--dry-run", "--no-trial", "--root", root)
    assert result.exit_code == 0, result.output
    assert sorted(root.rglob("*")) == before
    assert asked == []
    lines = [line.split() for line in result.output.splitlines()]
    rows = [line for line in lines if line[2:3] == ["new"]]
    # of 16 training images of each class 2 are watched; 42 / 9 steps; the preset has 8 epochs
    assert [row[1:] for row in rows] == [[str(n), "new", "42", "9", "4", "8"] for n in (0, 1)]
    assert result.output.splitlines()[-1].endswith("from scratch; as shipped but batch=9")


def test_a_dry_run_as_json_in_the_order_of_the_training(root, asked, capfd):
    command = ["train", "convnext-atto", "custom-cnn", "--preset", "demo", "--folds", 2]
    command += ["--set", "network_px=32", "--root", root]
    assert run(*command, "--dry-run", "--no-trial", "--json").exit_code == 0
    planned = json.loads(capfd.readouterr().out)
    assert planned["asks_for_yes"] is False
    assert run(*command).exit_code == 0
    order = [(made.run, made.fold) for made, _ in asked]
    assert [(row["run"], row["fold"]) for row in planned["runs"]] == order


def test_a_dry_run_knows_what_is_finished(trained):
    result = run(*DEMO, "--dry-run", "--root", trained.root)
    assert "finished before" in result.output


def test_a_dry_run_of_the_full_preset_downloads_nothing_and_says_that_it_asks(
    root, asked, monkeypatch
):
    monkeypatch.setattr(devices, "gpus", list)
    monkeypatch.setattr(training, "resolve", lambda *args: pytest.fail("it would download"))
    monkeypatch.setenv("KERAS_HOME", str(root / "nowhere"))
    monkeypatch.setattr(training, "check_recipe", lambda *args: None)  # builds a large network
    monkeypatch.setattr(training, "trial", lambda *args: pytest.fail("it would take minutes"))
    result = run("train", "convnext-small", "--dry-run", "--root", root)
    assert result.exit_code == 0, result.output
    assert f"weights: would be downloaded to {root}/nowhere/models/" in result.output
    last = result.output.splitlines()[-1]
    assert last == "no GPU here: the full preset is only trained with --yes"


def test_a_dry_run_with_yes_asks_for_nothing_and_tries_as_the_training_would(
    root, asked, twelve_hours, monkeypatch, capfd
):
    tried: list = []
    monkeypatch.setattr(training, "trial", lambda *args: tried.append(args) or FOUND)
    command = ["train", "custom-cnn", *SETTINGS, "--yes", "--dry-run", "--root", root]
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert "--yes" not in result.output
    assert len(tried) == 1
    assert run(*command, "--json").exit_code == 0
    planned = json.loads(capfd.readouterr().out)
    assert planned["asks_for_yes"] is False
    assert planned["runs"][0]["minutes"] == 18.2


def test_a_dry_run_tries_each_member_once_and_says_how_long_and_what_to_mind(
    root, asked, monkeypatch, capfd
):
    tried: list = []

    def trial(run, dataset, first):
        tried.append((run.name, run.fold, dataset.path))
        return FOUND

    monkeypatch.setattr(training, "trial", trial)
    command = ["train", "custom-cnn", "--preset", "demo", "--folds", 2, "--root", root]
    result = run(*command, "--dry-run", "--json")
    assert result.exit_code == 0
    out, said = capfd.readouterr().out, result.stderr
    assert [(row["minutes"], row["memory_mb"]) for row in json.loads(out)["runs"]] == [
        (18.2, 3686)
    ] * 2
    assert tried == [("custom-cnn", 0, root / "work" / "dataset.h5")]
    assert "custom-cnn: about 18 min at 64 images/s, 3.6 GB of 3.9 GB memory" in said
    assert "custom-cnn: memory: 3.6 GB of 3.9 GB. Where it runs out the batch is cut" in said


@pytest.mark.parametrize(
    ("hours", "options", "times"), [(9, [], 1), (0, [], 0), (9, ["--no-trial"], 0)]
)
def test_before_a_long_training_a_few_steps_are_tried(
    root, asked, monkeypatch, hours, options, times
):
    tried: list = []
    monkeypatch.setattr(training, "trial", lambda *args: tried.append(args) or FOUND)
    monkeypatch.setattr(devices, "estimated_hours", lambda *args: hours)
    command = ["train", "custom-cnn", "--preset", "demo", "--root", root, *options]
    assert run(*command).exit_code == 0
    assert len(tried) == times
    assert len(asked) == 1


def test_a_dry_run_finds_the_same_faults(root, asked):
    line = refusal("train", "custom-cnn", "--set", "dropuot=1", "--dry-run", "--root", root)
    assert line == "--set dropuot: no field 'dropuot'. Did you mean 'dropout'?"


def test_a_training_writes_tensorboards_files(trained):
    (folder,) = trained.root.glob("runs/*/fold-0/logs/tensorboard")
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize(
    ("words", "kinds"), [([], ["tensorboard"]), (["--log", "none"], [])], ids=["unsaid", "none"]
)
def test_what_is_logged(root, asked, monkeypatch, words, kinds):
    followed = []

    class Following:
        def __init__(self, run, kinds, say):
            followed.append((run.name, kinds))

        def __enter__(self):
            return []

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(training.logs, "following", Following)
    assert run("train", "custom-cnn", "--preset", "cpu", *words, "--root", root).exit_code == 0
    assert followed == [("custom-cnn", kinds)]


def test_a_log_that_is_not_installed_is_said_before_anything_trains(root, asked, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    line = refusal("train", "custom-cnn", "--preset", "cpu", "--log", "mlflow", "--root", root)
    assert line.startswith("--log mlflow: not installed (")
    assert asked == []
