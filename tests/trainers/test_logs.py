"""Logs follow history.csv; MLflow and Weights & Biases are stand-ins that record what they get."""

import json
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest

from cells.errors import RecipeError, RunError
from tests.trainers.conftest import tiny_cnn
from trainers.logs import SCALARS, chosen, following
from trainers.report import write_history
from trainers.runs import Run
from trainers.train import train_run

RECIPE = tiny_cnn()
SCORES = {"clean_accuracy": 0.75, "shifted_accuracy": 0.5, "epochs": 3, "seconds": 6.0}


def row(n: int) -> dict:
    """The row of epoch n, counted over both phases: one of the head, then of the whole."""
    return {
        "phase": "head" if n == 1 else "whole",
        "epoch": 1 if n == 1 else n - 1,
        "seconds": 1.5,
        "images_per_s": 100.0 + n,
        "learning_rate": 0.5 / n,
        "loss": 1 / n,
        "inner_clean_loss": 2 / n,
        "inner_clean_accuracy": 0.25,
        "inner_shifted_loss": 3 / n,
        "inner_shifted_accuracy": 0.125,
        "inner_augmented_loss": 4 / n,
        "inner_augmented_accuracy": 0.375,
        "elapsed_s": 2.0 * n,
    }


@pytest.fixture
def run(tmp_path) -> Run:
    made = Run(tmp_path / "runs", "custom-cnn", "cpu", RECIPE, 7, "", 2, "data-one")
    made.folder.mkdir(parents=True)
    return made


@pytest.fixture
def trained(run) -> Callable[[int], None]:
    """Pretend that n epochs are trained: history.csv and checkpoint as `fit` leaves them."""

    def epochs(n: int) -> None:
        (run.folder / "checkpoint.h5").touch()
        write_history(run.folder / "history.csv", [row(i) for i in range(1, n + 1)])

    return epochs


def finish(run: Run) -> None:
    (run.folder / "member.h5").touch()
    (run.folder / "DONE").write_text(json.dumps(SCORES))
    (run.folder / "checkpoint.h5").unlink()


def tensorboard_of(run: Run) -> dict[str, list[tuple[int, float, float]]]:
    """(step, value, wall time) of every event on disk, doubled ones too, by tag."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util.tensor_util import make_ndarray

    found: dict[str, list[tuple[int, float, float]]] = {}
    for path in sorted((run.folder / "logs" / "tensorboard").iterdir()):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                number = float(make_ndarray(value.tensor))
                found.setdefault(value.tag, []).append((event.step, number, event.wall_time))
    return found


def steps(run: Run, tag: str = "loss/training") -> list[int]:
    return [step for step, _, _ in tensorboard_of(run)[tag]]


# ---- TensorBoard ---------------------------------------------------------------------------------


def test_a_training_that_was_interrupted_has_every_step_once(dataset, told, tmp_path):
    run = Run(tmp_path, "custom-cnn", "demo", RECIPE, 7, "", 1, dataset.fingerprint)
    with (
        pytest.raises(KeyboardInterrupt),
        following(run, ["tensorboard"], print) as callbacks,
    ):
        train_run(run, dataset, told(interrupt_after=1), callbacks=callbacks)
    assert not (run.folder / "logs" / "tensorboard").exists()  # interrupted before it was told
    progress = told()
    with following(run, ["tensorboard"], print) as callbacks:
        summary = train_run(run, dataset, progress, callbacks=callbacks)
    events = tensorboard_of(run)
    for tag in (tag for tag in SCALARS.values() if not tag.endswith("augmented")):
        assert [step for step, _, _ in events[tag]] == [1, 2], tag
    assert events["loss/training"][1][1] == pytest.approx(progress.rows[0]["loss"])
    assert events["held_out/clean_accuracy"][0][:2] == (
        2,
        pytest.approx(summary["clean_accuracy"]),
    )


def test_scalars_of_each_epoch_at_the_time_it_ended(run, trained):
    with following(run, ["tensorboard"], print) as (log,):
        for n in (1, 2):
            trained(n)
            log.on_epoch_end(0)
    events = tensorboard_of(run)
    assert set(events) == set(SCALARS.values())
    assert {"loss/inner_augmented", "accuracy/inner_augmented"} <= set(events)
    for column, tag in SCALARS.items():
        assert [(step, value) for step, value, _ in events[tag]] == [
            (n, pytest.approx(row(n)[column])) for n in (1, 2)
        ]
    (_, _, first), (_, _, second) = events["loss/training"]
    assert second - first == pytest.approx(2.0)  # elapsed_s of the history


def test_a_sitting_that_goes_on_doubles_no_step_and_loses_none(run, trained):
    with following(run, ["tensorboard"], print) as (log,):
        trained(1)
        log.on_epoch_end(0)
        trained(2)  # killed before the log heard of it
    with following(run, ["tensorboard"], print) as (log,):
        assert steps(run) == [1]  # until the first row arrives the old file stays
        trained(3)
        log.on_epoch_end(1)
    assert steps(run) == [1, 2, 3]


def test_begun_anew_it_forgets_the_former_training(run, trained):
    with following(run, ["tensorboard"], print) as (log,):
        trained(3)
        log.on_epoch_end(0)
    (run.folder / "checkpoint.h5").unlink()
    with following(run, ["tensorboard"], print) as (log,):
        trained(1)
        log.on_epoch_end(0)
    assert steps(run) == [1]


def test_a_run_finished_before_is_logged_once_and_then_left_alone(run, trained):
    trained(3)
    finish(run)
    changed = set()
    for _ in range(2):
        with following(run, ["tensorboard"], print):
            pass
        (path,) = (run.folder / "logs" / "tensorboard").iterdir()
        changed.add(path.stat().st_mtime_ns)
    assert len(changed) == 1
    assert steps(run) == [1, 2, 3]
    ((step, accuracy, _),) = tensorboard_of(run)["held_out/shifted_accuracy"]
    assert (step, accuracy) == (3, 0.5)


# ---- MLflow and Weights & Biases -----------------------------------------------------------------


class Service:
    """What a stand-in was told; `away` makes it fail from then on."""

    def __init__(self) -> None:
        self.begun: list[dict] = []
        self.metrics: list[tuple[int, dict]] = []
        self.parameters: dict = {}
        self.scores: dict = {}
        self.ended: list = []
        self.away = False


@pytest.fixture
def mlflow(monkeypatch) -> Service:
    """The part of MLflow that is used; its callback hides faults, as the real one does."""
    service, package, keras_part = Service(), ModuleType("mlflow"), ModuleType("mlflow.keras")

    def start_run(run_id=None, run_name=None):
        if service.away:
            raise ConnectionError("no answer from\nthe server")
        service.begun.append({"id": run_id, "name": run_name})
        return SimpleNamespace(info=SimpleNamespace(run_id="abc123"))

    def get_run(run_id):
        assert run_id == "abc123"
        last = service.metrics[-1][1] if service.metrics else {}
        return SimpleNamespace(data=SimpleNamespace(metrics=last))

    class MlflowCallback:
        def on_epoch_end(self, epoch, logs=None):
            if not service.away:
                service.metrics.append((epoch, logs))

    def log_params(params):
        assert len(params) <= 100  # a server takes no more at once
        assert not params.keys() & service.parameters.keys()
        service.parameters |= params

    package.start_run, package.get_run, package.log_params = start_run, get_run, log_params
    package.set_experiment = lambda name: service.begun.append({"experiment": name})
    package.log_metrics = lambda scores, step: service.scores.update({"step": step, **scores})
    package.flush_async_logging = lambda: None
    package.end_run = service.ended.append
    package.keras, keras_part.MlflowCallback = keras_part, MlflowCallback
    monkeypatch.setitem(sys.modules, "mlflow", package)
    monkeypatch.setitem(sys.modules, "mlflow.keras", keras_part)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
    return service


@pytest.fixture
def wandb(monkeypatch) -> Service:
    """The part of Weights & Biases that is used; its callback asks the network for the rate."""
    service, package = Service(), ModuleType("wandb")
    integration, keras_part = ModuleType("wandb.integration"), ModuleType("wandb.integration.keras")

    def init(**options):
        service.begun.append(options)
        return SimpleNamespace(
            id=options["id"] or "new-id",
            summary=service.scores,
            finish=lambda exit_code: service.ended.append(exit_code),
        )

    class WandbMetricsLogger:
        def set_model(self, model):
            self.model = model

        def on_epoch_end(self, epoch, logs=None):
            rate = self.model.optimizer.learning_rate
            assert rate.shape == ()
            service.metrics.append((epoch, {**logs, "rate": float(rate.numpy().item())}))

    package.init, package.integration = init, integration
    integration.keras, keras_part.WandbMetricsLogger = keras_part, WandbMetricsLogger
    for module in (package, integration, keras_part):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    monkeypatch.delenv("WANDB_DIR", raising=False)
    return service


def numbers_of(n: int) -> dict:
    return {key: value for key, value in row(n).items() if key not in ("phase", "epoch")}


def test_mlflow_gets_the_recipe_the_rows_and_the_scores(run, trained, mlflow):
    with following(run, ["mlflow"], print) as (log,):
        for n in (1, 2):
            trained(n)
            log.on_epoch_end(0)  # Keras counts within a phase, which is not asked
        finish(run)
    assert mlflow.begun == [{"experiment": "bcsub"}, {"id": None, "name": f"{run.run}/fold-2"}]
    assert mlflow.metrics == [(1, numbers_of(1)), (2, numbers_of(2))]
    assert mlflow.scores == {
        "step": 2,
        "held_out_clean_accuracy": 0.75,
        "held_out_shifted_accuracy": 0.5,
    }
    assert mlflow.ended == ["FINISHED"]
    told = mlflow.parameters
    assert (told["whole.peak_lr"], told["policy.flip"], told["widths"]) == (0.05, 1.0, (4, 6))
    assert (told["preset"], told["fold"], told["seed"]) == ("cpu", 2, 7)
    assert (told["tag"], told["data_fingerprint"]) == ("none", "data-one")


def test_mlflow_goes_on_with_its_run_and_gets_no_row_twice(run, trained, mlflow):
    with following(run, ["mlflow"], print) as (log,):
        trained(1)
        log.on_epoch_end(0)
        trained(2)  # interrupted before the log heard of it
    assert mlflow.ended == ["KILLED"]
    with following(run, ["mlflow"], print) as (log,):
        trained(3)
        log.on_epoch_end(1)
    assert mlflow.begun[-1] == {"id": "abc123", "name": None}
    assert [step for step, _ in mlflow.metrics] == [1, 2, 3]


def test_another_experiment_is_left_to_mlflows_own_variable(run, trained, mlflow, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    with following(run, ["mlflow"], print):
        pass
    assert [each for each in mlflow.begun if "experiment" in each] == []


def test_a_server_that_goes_away_ends_no_training_and_gets_the_rest_later(run, trained, mlflow):
    said: list[str] = []
    with following(run, ["mlflow"], said.append) as (log,):
        trained(1)
        log.on_epoch_end(0)
        mlflow.away = True
        for n in (2, 3):
            trained(n)
            log.on_epoch_end(0)
        finish(run)
    assert said == [
        f"{run.run} fold 2: --log mlflow failed (ConnectionError: loss: expected 0.5 in MLflow, "
        "got 1.0). It goes on without; the same command later hands over what is missing."
    ]
    mlflow.away = False
    with following(run, ["mlflow"], said.append):
        pass
    assert [step for step, _ in mlflow.metrics] == [1, 2, 3]
    assert mlflow.scores["step"] == 3
    assert len(said) == 1


def test_a_server_that_is_away_at_first_is_one_line_before_anything_trains(run, mlflow):
    mlflow.away = True
    with pytest.raises(RunError) as error, following(run, ["mlflow"], print):
        pytest.fail("it trained")
    assert str(error.value) == (
        "--log mlflow: cannot begin (ConnectionError: no answer from the server). "
        "Mend that, or train without --log mlflow."
    )


def test_wandb_gets_the_recipe_the_rows_and_the_scores(run, trained, wandb):
    with following(run, ["wandb"], print) as (log,):
        trained(2)  # both at once: the first row's rate is no longer the network's
        log.on_epoch_end(0)
        finish(run)
    (begun,) = wandb.begun
    assert begun.pop("config")["whole.epochs"] == 2
    assert begun == {
        "project": "bcsub",
        "dir": str(run.folder / "logs"),
        "name": f"{run.run}/fold-2",
        "group": run.run,
        "id": None,
        "resume": "allow",
    }
    assert wandb.metrics == [(n, {**numbers_of(n), "rate": 0.5 / n}) for n in (1, 2)]
    assert wandb.scores == {"held_out_clean_accuracy": 0.75, "held_out_shifted_accuracy": 0.5}
    assert wandb.ended == [0]


def test_wandb_goes_on_with_its_run(run, trained, wandb, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    for n in (1, 2):
        with following(run, ["wandb"], print) as (log,):
            trained(n)
            log.on_epoch_end(0)
    assert [(begun["id"], begun["project"]) for begun in wandb.begun] == [
        (None, "mine"),
        ("new-id", "mine"),
    ]
    assert [step for step, _ in wandb.metrics] == [1, 2]
    assert wandb.ended == [1, 1]


# ---- what --log says -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        ([], ["tensorboard"]),
        (["none"], []),
        (["wandb", "mlflow", "wandb"], ["wandb", "mlflow"]),
    ],
)
def test_which_logs_are_meant(words, kinds, mlflow, wandb):
    assert chosen(words) == kinds


@pytest.mark.parametrize("kind", ["mlflow", "wandb"])
def test_one_that_is_not_installed(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, kind, None)
    with pytest.raises(RecipeError) as error:
        chosen(["tensorboard", kind])
    assert str(error.value).startswith(f"--log {kind}: not installed (")
    assert str(error.value).endswith(f"). `pip install {kind}`, or train without it.")


@pytest.mark.parametrize("words", [["clearml"], ["none", "tensorboard"]])
def test_one_that_there_is_not(words):
    with pytest.raises(RecipeError) as error:
        chosen(words)
    assert str(error.value) == (
        f"--log: expected tensorboard, mlflow, wandb, or none alone, got {words[0]!r}."
    )
