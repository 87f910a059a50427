import keras
import numpy as np
import pytest
from keras import layers

from cells.policy import Policy
from trainers import trial
from trainers.keeper import TrainingData
from trainers.networks import head
from trainers.recipe import HeadPhase, Phase, Recipe
from trainers.runs import Run
from trainers.trial import Trial, advice, in_words, measured

RECIPE = Recipe(
    name="toy",
    weights="imagenet",
    batch=8,
    policy=Policy(flip=0.5),
    head=HeadPhase(epochs=2, peak_lr=0.1),
    whole=Phase(epochs=3, peak_lr=0.1, patience=2),
)
FOUND = Trial(
    batch=8,
    steps=10,
    start_s=5.0,
    step_s={"head": 0.1, "whole": 0.4},
    pipeline_s=0.05,
    epoch_end_s=2.0,
    finish_s=7.0,
    epochs={"head": 2, "whole": 3},
    peak_mb=1000.0,
    free_mb=8000.0,
)


def test_the_length_of_a_run_by_hand():
    # 5 + 2 (10 x .1 + 2) + 3 (10 x .4 + 2) + 7
    assert FOUND.seconds == pytest.approx(36.0)
    assert FOUND.images_per_s == pytest.approx(20.0)


def changed(**fields) -> Trial:
    return Trial(**{**FOUND.__dict__, **fields})


@pytest.mark.parametrize(
    ("start_s", "length"), [(5.0, "under 1 min"), (29.0, "about 1 min"), (569.0, "about 10 min")]
)
def test_the_length_in_words(start_s, length):
    """Of 36, 60 and 600 s."""
    assert in_words(changed(start_s=start_s)) == (
        f"{length} at 20 images/s, 1.0 GB of 7.8 GB memory"
    )


@pytest.mark.parametrize(
    ("found", "on_gpu", "beginning"),
    [
        (FOUND, False, None),
        (FOUND, True, None),
        (changed(peak_mb=7500.0), False, "memory: 7.3 GB of 7.8 GB."),
        (changed(pipeline_s=0.39), True, "the input pipeline takes 0.39 s a batch, a step 0.40 s"),
        (changed(pipeline_s=0.39), False, None),
        (changed(steps=10_000), True, None),
        (changed(steps=10_000), False, "no GPU here: --preset cpu"),
        (changed(steps=20_000), True, "8 h is longer than a Colab or Kaggle session."),
    ],
)
def test_what_a_colleague_would_say(found, on_gpu, beginning):
    lines = advice(found, RECIPE, on_gpu)
    assert [line.startswith(beginning) for line in lines] == ([True] if beginning else [])


def test_many_epochs_without_early_stopping():
    patient = RECIPE.model_copy(update={"whole": Phase(epochs=90, peak_lr=0.1)})
    (line,) = advice(changed(epochs={"whole": 90}), patient, False)
    assert line == "no early stopping for so many epochs: --set whole.patience=8 ends it sooner."


def test_a_trial_trains_each_phase_and_times_all_that_recurs(monkeypatch):
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv0")(layers.Rescaling(1 / 255)(images))
    network = keras.Model(images, head(layers.GlobalAveragePooling2D()(x), RECIPE, 3))
    monkeypatch.setattr(trial, "STEPS", 5)
    thawed: list = []
    set_trainable = trial.set_trainable

    def noted(*asked):
        thawed.append(asked)
        set_trainable(*asked)

    monkeypatch.setattr(trial, "set_trainable", noted)
    rng = np.random.default_rng(0)
    labels = np.arange(20) % 3
    pictures = rng.integers(0, 255, (20, 8, 8, 3)).astype(np.uint8)
    data = TrainingData(pictures, labels, pictures[:6], pictures[:6], labels[:6], 3)
    found = measured(RECIPE, data, network, seed=0, predicted=4)
    assert (found.batch, found.steps, found.epochs) == (8, 2, {"head": 2, "whole": 3})
    assert set(found.step_s) == {"head", "whole"}
    assert thawed == [(network, RECIPE.head, 1.0), (network, RECIPE.whole, 1.0)]
    times = [*found.step_s.values(), found.pipeline_s, found.epoch_end_s, found.finish_s]
    assert all(0 < seconds < 60 for seconds in [found.start_s, *times])
    assert 100 < found.peak_mb < found.free_mb


def test_a_trial_of_a_run_has_a_process_of_its_own_and_leaves_nothing(tmp_path, dataset):
    recipe = Recipe(
        name="custom-cnn",
        weights="imagenet",  # never asked for
        widths=(4, 6),
        depths=(0, 1),
        norm_momentum=0.9,
        batch=8,
        inner_fraction=0.2,
        policy=Policy(flip=0.5),
        whole=Phase(epochs=3, peak_lr=0.01),
        offline_images=800,
    )
    before = sorted(dataset.path.parent.rglob("*"))
    found = trial.trial(Run(tmp_path, "custom-cnn", "demo", recipe, 0, "", 0, "x"), dataset)
    assert (found.batch, found.steps, found.epochs) == (8, 100, {"whole": 3})
    assert 0 < found.seconds < 300
    assert sorted(dataset.path.parent.rglob("*")) == before
    assert not list(tmp_path.iterdir())
