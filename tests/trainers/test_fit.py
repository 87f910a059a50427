import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from cells.errors import RunError
from cells.policy import Policy
from trainers import checkpoint, devices, fit, keeper
from trainers.fit import phases
from trainers.keeper import TrainingData
from trainers.networks import head
from trainers.recipe import HeadPhase, Phase, Recipe
from trainers.train import build_network

CLASSES = 3
BACKBONE = ["conv0", "norm0", "conv1", "norm1", "conv2"]  # layers with weights, in order
HEAD = ["head_dense0", "head_logits"]


def recipe(**fields) -> Recipe:
    """Nothing random but the order of the rows, and nothing that bends the loss."""
    fields = {
        "whole": Phase(epochs=1, peak_lr=0.01),
        "policy": Policy(flip=0),
        "class_weight_power": 0,
        "ema_momentum": 0.0,
        "clip_norm": 1e9,
        "batch": 6,
        **fields,
    }
    return Recipe(name="toy", **fields)


def build(recipe: Recipe, image_px: int, classes: int) -> keras.Model:
    """A network with one of each: convolution, batch norm, depthwise, layer norm, hidden layer."""
    images = keras.Input((image_px, image_px, 3))
    x = layers.Normalization(mean=[128] * 3, variance=[64**2] * 3)(images)
    x = layers.Conv2D(4, 3, strides=2, activation="relu", name="conv0")(x)
    x = layers.BatchNormalization(momentum=0.5, name="norm0")(x)
    x = layers.DepthwiseConv2D(3, name="conv1")(x)
    x = layers.LayerNormalization(name="norm1")(x)
    x = layers.Conv2D(5, 1, activation="relu", name="conv2")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, head(x, recipe, classes))


def build_small(recipe: Recipe, image_px: int, classes: int) -> keras.Model:
    """Quicker to trace: a convolution and a batch norm, which has state of its own."""
    images = keras.Input((image_px, image_px, 3))
    x = layers.Rescaling(1 / 255)(images)
    x = layers.Conv2D(4, 3, strides=2, activation="relu", name="conv0")(x)
    x = layers.BatchNormalization(momentum=0.5, name="norm0")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, head(x, recipe, classes))


def network_for(recipe: Recipe, seed: int = 0, build: Callable = build) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return build(recipe, 8, CLASSES)


def bare_network(recipe: Recipe, seed: int = 0) -> keras.Model:
    """No more than a head: what the loop does around a network needs no convolutions."""
    keras.utils.set_random_seed(seed)
    images = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(images))
    return keras.Model(images, head(x, recipe, CLASSES))


def training_data(labels: list[int]) -> TrainingData:
    rng = np.random.default_rng(1)

    def images(of: np.ndarray) -> np.ndarray:
        made = rng.integers(0, 100, (len(of), 8, 8, 3))
        made[np.arange(len(of)), :, :, of] += 60
        return made.astype(np.uint8)

    learn, inner = np.array(labels), np.array([0, 1, 2, 0, 1, 2])
    return TrainingData(images(learn), learn, images(inner), images(inner) // 2, inner, CLASSES)


DATA = training_data([0, 1, 2] * 6 + [0, 1])  # 20 images: 3 batches of 6, two rows left over


def trained(network, recipe, path, told, data=DATA, seed=3):
    if keras.backend.backend() == "jax":
        step = told.step
        # amid an epoch JAX keeps the numbers out of the network that these tests look into
        told.step = lambda *where: (network.jax_state_sync(), step(*where))
    return fit.fit(network, recipe, data, seed, path / "checkpoint.h5", told)


def by_layer(network: keras.Model) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in network.layers if layer.weights}


def changed(before: dict, after: dict) -> list[str]:
    """Names of the layers of which any number is another."""
    return [
        name
        for name, arrays in after.items()
        if any((a != b).any() for a, b in zip(before[name], arrays, strict=True))
    ]


def scripted(monkeypatch, losses: list[tuple[float, ...]], seen: list | None = None) -> None:
    """Let epoch after epoch score these inner losses, whatever was learnt.

    losses: of an epoch (clean, shifted), and augmented where there is that version too.
    """
    coming = [loss for versions in losses for loss in versions]

    def score(network, images, labels, batch):
        if seen is not None:
            seen.append((network.get_weights(), images, labels))
        return coming.pop(0), 0.5

    monkeypatch.setattr(keeper, "score", score)


# ---- phases --------------------------------------------------------------------------------------


def test_the_head_trains_alone_first_then_the_last_fraction(tmp_path, told):
    fine_tuned = recipe(
        weights="imagenet",
        head_units=(4,),
        head=HeadPhase(epochs=1, peak_lr=0.01),
        whole=Phase(epochs=1, peak_lr=0.01, trainable_fraction=0.4),
    )
    network = network_for(fine_tuned)
    weights = [by_layer(network)]
    progress = told()
    progress.epoch = lambda row: weights.append(by_layer(network))
    history = trained(network, fine_tuned, tmp_path, progress)
    assert [row["phase"] for row in history] == ["head", "whole"]
    start, after_head, after_whole = weights
    assert list(start) == [*BACKBONE, *HEAD]
    assert changed(start, after_head) == HEAD
    assert changed(after_head, after_whole) == ["norm1", "conv2", *HEAD]


def test_the_first_phase_thaws_layers_stage_by_stage_where_it_is_told_to(tmp_path, told):
    told_to = recipe(
        weights="imagenet",
        head=HeadPhase(epochs=2, peak_lr=0.01, trainable_layers=2, stages=2),
        whole=Phase(epochs=1, peak_lr=0.01, trainable_fraction=0),
    )
    network = network_for(told_to)
    weights = [by_layer(network)]
    progress = told()
    progress.epoch = lambda row: weights.append(by_layer(network))
    history = trained(network, told_to, tmp_path, progress)
    assert [row["phase"] for row in history] == ["head", "head", "whole"]
    trained_layers = [changed(before, after) for before, after in pairwise(weights[:3])]
    last = ["head_logits"]
    assert trained_layers == [["conv2", *last], ["norm1", "conv2", *last]]


def test_nothing_pretrained_has_no_first_phase():
    first, second = HeadPhase(epochs=2, peak_lr=0.1), Phase(epochs=3, peak_lr=0.2)
    assert phases(recipe(head=first, whole=second)) == [("whole", second)]
    assert phases(recipe(weights="imagenet", whole=second)) == [("whole", second)]
    assert phases(recipe(weights="imagenet", head=first, whole=second)) == [
        ("head", first),
        ("whole", second),
    ]


def test_the_learning_rate_is_set_before_each_step(tmp_path, told):
    phase = Phase(epochs=2, peak_lr=0.8, warmup_epochs=1)
    network = bare_network(recipe())
    rates = []
    progress = told()
    progress.step = lambda *where: rates.append(float(np.asarray(network.optimizer.learning_rate)))
    history = trained(network, recipe(whole=phase), tmp_path, progress)
    # up in thirds, then (1 + cos 60°) / 2, (1 + cos 120°) / 2, and 0
    expected = np.array([1 / 3, 2 / 3, 1, 0.75, 0.25, 0]) * 0.8
    np.testing.assert_allclose(rates, expected, atol=1e-6)
    np.testing.assert_allclose([row["learning_rate"] for row in history], [0.8, 0], atol=1e-6)


def test_progress_is_told_every_step_and_every_epoch(tmp_path, told):
    progress = told()
    twice = recipe(whole=Phase(epochs=2, peak_lr=0.01))
    history = trained(bare_network(twice), twice, tmp_path, progress)
    assert progress.steps == [("whole", e, 2, step, 3) for e in (0, 1) for step in (1, 2, 3)]
    assert progress.rows == history
    assert [row["epoch"] for row in history] == [1, 2]
    for row in history:
        low, high = (18 / (row["seconds"] + half) for half in (0.0005, -0.0005))  # it is rounded
        assert low - 0.1 <= row["images_per_s"] <= high + 0.1


# ---- inner scores, early stopping, moving average ------------------------------------------------


def test_score_is_log_loss_and_accuracy():
    network = bare_network(recipe())
    network.get_layer("head_logits").set_weights([np.zeros((3, 3)), np.log([0.5, 0.3, 0.2])])
    loss, accuracy = keeper.score(network, DATA.images[:4], np.array([0, 0, 1, 2]))
    expected = -(2 * np.log(0.5) + np.log(0.3) + np.log(0.2)) / 4
    assert loss == pytest.approx(expected, abs=1e-6)
    assert accuracy == 0.5


def test_early_stopping_watches_both_versions_and_restores_the_best(tmp_path, told, monkeypatch):
    # clean alone is best in epoch 4, shifted alone in epoch 1; their mean in epoch 2
    seen: list = []
    scripted(monkeypatch, [(1.0, 0.5), (0.6, 0.7), (0.5, 0.9), (0.4, 1.0), (0.0, 0.0)], seen)
    patient = recipe(whole=Phase(epochs=9, peak_lr=0.01, patience=2))
    network = bare_network(patient)
    after: list = []
    progress = told()
    progress.epoch = lambda row: after.append(network.get_weights())
    history = trained(network, patient, tmp_path, progress)
    assert [row["inner_clean_loss"] for row in history] == [1.0, 0.6, 0.5, 0.4]
    assert [row["inner_shifted_loss"] for row in history] == [0.5, 0.7, 0.9, 1.0]
    for found, best, last in zip(network.get_weights(), after[1], after[3], strict=True):
        np.testing.assert_array_equal(found, best)
        assert (found != last).any()
    for index, (_, images, labels) in enumerate(seen):
        expected = DATA.inner_shifted if index % 2 else DATA.inner_clean
        np.testing.assert_array_equal(images, expected)
        np.testing.assert_array_equal(labels, DATA.inner_labels)


def test_the_version_by_rand_augment_is_scored_and_steers_like_the_others(
    tmp_path, told, monkeypatch
):
    # clean and shifted alone are best in epoch 4, and would go on; with augmented in epoch 2
    seen: list = []
    epochs = [(0.9, 0.9, 0.9), (0.8, 0.8, 0.5), (0.7, 0.7, 0.8), (0.6, 0.6, 1.2), (0, 0, 0)]
    scripted(monkeypatch, epochs, seen)
    data = replace(DATA, inner_augmented=255 - DATA.inner_clean)
    patient = recipe(whole=Phase(epochs=9, peak_lr=0.01, patience=2))
    network = bare_network(patient)
    after: list = []
    progress = told()
    progress.epoch = lambda row: after.append(network.get_weights())
    history = trained(network, patient, tmp_path, progress, data)
    assert [row["inner_augmented_loss"] for row in history] == [0.9, 0.5, 0.8, 1.2]
    assert [row["inner_augmented_accuracy"] for row in history] == [0.5] * 4
    for found, best, last in zip(network.get_weights(), after[1], after[3], strict=True):
        np.testing.assert_array_equal(found, best)
        assert (found != last).any()
    for index, (_, images, labels) in enumerate(seen):
        expected = (data.inner_clean, data.inner_shifted, data.inner_augmented)[index % 3]
        np.testing.assert_array_equal(images, expected)
        np.testing.assert_array_equal(labels, data.inner_labels)
    header = (tmp_path / "history.csv").read_text().splitlines()[0].split(",")
    assert {"inner_augmented_loss", "inner_augmented_accuracy"} <= set(header)


def test_without_that_version_there_are_no_figures_of_it(tmp_path, told, monkeypatch):
    scripted(monkeypatch, [(1.0, 1.0)])
    (row,) = trained(bare_network(recipe()), recipe(), tmp_path, told())
    assert not [name for name in row if "augmented" in name]


def test_each_phase_has_a_patience_of_its_own(tmp_path, told, monkeypatch):
    """The first ends after one epoch without a better score, the second after three."""
    worse = [(loss, loss) for loss in (1.0, 1.1, 1.2, 1.3, 1.4, 1.5)]
    scripted(monkeypatch, [*worse[:2], *worse])
    phases = {
        "head": HeadPhase(epochs=6, peak_lr=0.01, patience=1),
        "whole": Phase(epochs=6, peak_lr=0.01, patience=3),
    }
    patient = recipe(weights="imagenet", **phases)
    history = trained(bare_network(patient), patient, tmp_path, told())
    assert [row["phase"] for row in history] == ["head"] * 2 + ["whole"] * 4
    assert [row["epoch"] for row in history] == [1, 2, 1, 2, 3, 4]


def test_the_plateau_reduces_the_rate(tmp_path, told, monkeypatch):
    scripted(monkeypatch, [(1.0, 1.0)] * 4)
    phase = Phase(epochs=4, peak_lr=0.01, schedule="plateau", plateau_patience=2)
    plateau = recipe(whole=phase)
    history = trained(bare_network(plateau), plateau, tmp_path, told())
    rates = [row["learning_rate"] for row in history]
    np.testing.assert_allclose(rates, [0.01, 0.01, 0.01, 0.002], rtol=1e-5)


def test_what_is_scored_and_kept_is_the_moving_average(tmp_path, told, monkeypatch):
    scored: list = []
    scripted(monkeypatch, [(1.0, 1.0), (0.5, 0.5)], scored)
    averaged = recipe(ema_momentum=0.75, whole=Phase(epochs=2, peak_lr=0.02))
    network = bare_network(averaged)
    raw: list = []
    after: list = []
    progress = told()
    progress.step = lambda *where: raw.append(network.get_weights())
    progress.epoch = lambda row: after.append(network.get_weights())
    trained(network, averaged, tmp_path, progress)

    average, at_epoch_end = raw[0], []
    for step, weights in enumerate(raw):
        if step:
            pairs = zip(average, weights, strict=True)
            average = [0.75 * old + 0.25 * new for old, new in pairs]
        if step % 3 == 2:
            at_epoch_end.append(average)
    kernel = network.get_weights()[0]
    assert np.abs(kernel - raw[5][0]).max() > 1e-3
    for found, expected in (
        (scored[0][0], at_epoch_end[0]),
        (scored[2][0], at_epoch_end[1]),
        (network.get_weights(), at_epoch_end[1]),
        (after[0], raw[2]),  # training itself goes on from where it was
        (after[1], raw[5]),
    ):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_without_a_moving_average_the_last_weights_are_scored(tmp_path, told, monkeypatch):
    scored: list = []
    scripted(monkeypatch, [(1.0, 1.0)], scored)
    network = bare_network(recipe())
    raw: list = []
    progress = told()
    progress.step = lambda *where: raw.append(network.get_weights())
    trained(network, recipe(), tmp_path, progress)
    for found, last in zip(scored[0][0], raw[-1], strict=True):
        np.testing.assert_array_equal(found, last)


def test_a_training_that_diverges_says_so_and_keeps_the_last_good_epoch(tmp_path, told):
    wild = recipe(whole=Phase(epochs=3, peak_lr=0.3))
    network = bare_network(wild)
    progress = told()
    progress.epoch = lambda row: network.get_layer("head_logits").bias.assign([np.nan] * 3)
    with pytest.raises(RunError) as error:
        trained(network, wild, tmp_path, progress)
    assert str(error.value) == (
        f"{tmp_path}: phase whole, epoch 2: expected numbers, got NaN or infinity at learning rate "
        "0.075. The training diverged: train toy alone, with --set whole.peak_lr=0.1."
    )
    assert checkpoint.load_state(tmp_path / "checkpoint.h5").epoch == 1


def test_the_clock_goes_on_where_it_stopped(tmp_path, told):
    twice = recipe(whole=Phase(epochs=2, peak_lr=0.01))
    first = told(interrupt_after=1)
    with pytest.raises(KeyboardInterrupt):
        trained(bare_network(twice), twice, tmp_path, first)
    before = first.rows[0]["elapsed_s"]
    assert before >= first.rows[0]["seconds"]
    started = time.perf_counter()
    history = trained(bare_network(twice), twice, tmp_path, told())
    passed = time.perf_counter() - started
    assert before < history[1]["elapsed_s"] <= before + passed + 0.002


# ---- going on after an interruption --------------------------------------------------------------


LONG = recipe(
    weights="imagenet",
    ema_momentum=0.5,
    batch=8,
    weight_decay=0.1,
    head=HeadPhase(epochs=2, peak_lr=0.05, warmup_epochs=1),
    whole=Phase(
        epochs=3, peak_lr=0.02, schedule="plateau", plateau_patience=1, trainable_fraction=0.5
    ),
)


NUMBERS = (
    "epoch",
    "learning_rate",
    "loss",
    "inner_clean_loss",
    "inner_clean_accuracy",
    "inner_shifted_loss",
    "inner_shifted_accuracy",
)


def test_an_interrupted_training_goes_on_as_if_nothing_had_been(tmp_path, told):
    undisturbed = network_for(LONG, build=build_small)
    whole = trained(undisturbed, LONG, tmp_path / "whole", told())
    assert [row["phase"] for row in whole] == ["head"] * 2 + ["whole"] * 3

    path, histories, tolds = tmp_path / "parts", [], []
    for seed, epochs in ((0, 2), (99, 2), (98, 0), (97, 0)):  # after phase 1, inside phase 2
        network = network_for(LONG, seed, build_small)
        tolds.append(told(interrupt_after=epochs))
        try:
            histories.append(trained(network, LONG, path, tolds[-1]))
        except KeyboardInterrupt:
            assert epochs
    assert [len(each.rows) for each in tolds] == [2, 2, 1, 0]
    assert tolds[3].steps == []  # there was nothing left to learn
    assert histories[0] == histories[1] == [row for each in tolds for row in each.rows]
    for name in NUMBERS:
        found, expected = ([row[name] for row in rows] for rows in (histories[0], whole))
        np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=name)
    for found, expected in zip(network.get_weights(), undisturbed.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_training_killed_in_its_first_epoch_keeps_what_it_began_with(tmp_path, told):
    progress = told()
    progress.step = lambda *where: (_ for _ in ()).throw(KeyboardInterrupt)
    first = network_for(LONG, seed=5, build=build_small)
    begun = first.get_layer("conv0").get_weights()
    with pytest.raises(KeyboardInterrupt):
        trained(first, LONG, tmp_path, progress)
    second = network_for(LONG, seed=6, build=build_small)
    stop = told(interrupt_after=1)  # the backbone is frozen in the first phase
    with pytest.raises(KeyboardInterrupt):
        trained(second, LONG, tmp_path, stop)
    for found, expected in zip(second.get_layer("conv0").get_weights(), begun, strict=True):
        np.testing.assert_array_equal(found, expected)


# ---- staged unfreezing ---------------------------------------------------------------------------


def test_layers_thaw_stage_by_stage_and_a_resume_falls_into_the_right_one(tmp_path, told):
    staged = recipe(whole=Phase(epochs=3, peak_lr=0.01, stages=3, trainable_layers=3))
    network = network_for(staged)
    weights = [by_layer(network)]
    progress = told(interrupt_after=2)

    def keep(row):
        weights.append(by_layer(network))
        told.epoch(progress, row)

    progress.epoch = keep
    with pytest.raises(KeyboardInterrupt):
        trained(network, staged, tmp_path, progress)
    network = network_for(staged, seed=9)
    progress = told()
    progress.epoch = lambda row: weights.append(by_layer(network))
    trained(network, staged, tmp_path, progress)
    thawed = [changed(before, after) for before, after in pairwise(weights)]
    last = ["head_logits"]
    assert thawed == [
        ["conv2", *last],
        ["norm1", "conv2", *last],
        ["conv1", "norm1", "conv2", *last],
    ]


# ---- out of memory -------------------------------------------------------------------------------


class Small(layers.Layer):
    """A machine that has room for so many images at a time."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def call(self, x, training=False):
        if training and x.shape[0] is not None and x.shape[0] > self.room:
            if keras.backend.backend() == "jax":
                raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return x


def network_in(room: int, recipe: Recipe) -> keras.Model:
    keras.utils.set_random_seed(0)
    images = keras.Input((8, 8, 3))
    x = Small(room)(layers.Rescaling(1 / 255)(images))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="conv0")(x))
    return keras.Model(images, head(x, recipe, CLASSES))


def test_out_of_memory_cuts_the_batch_and_takes_the_same_steps(tmp_path, told):
    made = recipe(whole=Phase(epochs=2, peak_lr=0.05), clip_norm=0.1, class_weight_power=0.5)
    networks = [network_in(room, made) for room in (6, 2)]
    tolds = [told(), told()]
    histories = [
        trained(network, made, tmp_path / str(index), tolds[index])
        for index, network in enumerate(networks)
    ]
    assert tolds[0].lines == []
    assert tolds[1].lines == [
        "out of memory: each batch of 6 now comes in 2 parts of 3, with the same effective batch",
        "out of memory: each batch of 6 now comes in 3 parts of 2, with the same effective batch",
    ]
    assert tolds[0].steps == tolds[1].steps
    for name in NUMBERS:
        found, expected = ([row[name] for row in rows] for rows in reversed(histories))
        np.testing.assert_allclose(found, expected, rtol=1e-4, err_msg=name)
    for whole, cut in zip(*(network.get_weights() for network in networks), strict=True):
        np.testing.assert_allclose(cut, whole, rtol=1e-3, atol=1e-5)


def test_memory_that_runs_out_later_goes_on_from_the_last_epoch(tmp_path, told):
    made = recipe(whole=Phase(epochs=3, peak_lr=0.05))
    network, progress = network_in(6, made), told()

    def shrink(*where):
        told.step(progress, *where)
        if len(progress.steps) == 5:  # in the middle of the second epoch
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    progress.step = shrink
    history = trained(network, made, tmp_path / "late", progress)
    undisturbed = trained(network_in(6, made), made, tmp_path / "never", told())
    assert [row["epoch"] for row in history] == [1, 2, 3]
    for name in NUMBERS:
        found, expected = ([row[name] for row in rows] for rows in (history, undisturbed))
        np.testing.assert_allclose(found, expected, rtol=1e-4, err_msg=name)


def test_no_memory_for_two_images_is_one_clear_line(tmp_path, told):
    with pytest.raises(RunError) as error:
        trained(network_in(1, recipe()), recipe(), tmp_path, told())
    assert str(error.value) == (
        f"{tmp_path}: out of memory with 2 images at a time, and a batch of 6 cannot be cut "
        "further. Free memory, or train toy with fewer pixels: --set network_px=64."
    )


@pytest.mark.parametrize(
    ("together", "less"), [(2, "batch=2"), (6, "network_px=64")], ids=["batch", "one-each"]
)
def test_no_memory_on_several_devices_is_one_clear_line(
    tmp_path, told, monkeypatch, together, less
):
    """Keras gathers no gradients there, so nothing is cut; the two could not share 3 images."""
    names = [f"GPU:{number}" for number in range(together)]
    monkeypatch.setattr(devices, "replicas", lambda: names)
    progress = told()
    with pytest.raises(RunError) as error:
        trained(network_in(4, recipe()), recipe(), tmp_path, progress)
    assert str(error.value) == (
        f"{tmp_path}: out of memory with a batch of 6 on {together} devices. Train toy with less: "
        f"--set {less}, or on one device: CUDA_VISIBLE_DEVICES=0."
    )
    assert progress.lines == []


def test_a_damaged_checkpoint_is_one_clear_line(tmp_path, told):
    path = tmp_path / "checkpoint.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    with pytest.raises(RunError) as error:
        trained(network_for(recipe()), recipe(), tmp_path, told())
    assert str(error.value).startswith(f"{path}: damaged (")
    assert str(error.value).endswith("). Delete it to train from the start.")


# ---- what reaches the loss and the step ----------------------------------------------------------

LOGITS = np.array([2.0, 0.0, -1.0])
CROSS_ENTROPY = np.log(np.exp(LOGITS).sum()) - LOGITS  # of each class
FOCAL = CROSS_ENTROPY * (1 - np.exp(-CROSS_ENTROPY)) ** 2
IMBALANCED = [0, 0, 0, 0, 1, 2]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, CROSS_ENTROPY @ [4, 1, 1] / 6),
        ({"focal_gamma": 2.0}, FOCAL @ [4, 1, 1] / 6),
        # .7 of the label and .1 of each class
        ({"label_smoothing": 0.3}, 0.7 * CROSS_ENTROPY @ [4, 1, 1] / 6 + 0.1 * CROSS_ENTROPY.sum()),
        # roots of inverse frequency are 1/2, 1, 1: on average 4/6
        ({"class_weight_power": 0.5}, CROSS_ENTROPY @ [4 * 0.75, 1.5, 1.5] / 6),
        # the hidden layer's kernel has six numbers, all -1/2; that of the logits only zeros
        ({"l1": 0.1}, CROSS_ENTROPY @ [4, 1, 1] / 6 + 0.1 * 6 * 0.5),
        ({"l2": 0.1}, CROSS_ENTROPY @ [4, 1, 1] / 6 + 0.1 * 6 * 0.25),
        ({"l1": 0.1, "l2": 0.2}, CROSS_ENTROPY @ [4, 1, 1] / 6 + 0.1 * 6 * 0.5 + 0.2 * 6 * 0.25),
        ({"focal_gamma": 2.0, "class_weight_power": 0.5}, FOCAL @ [4 * 0.75, 1.5, 1.5] / 6),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_the_training_loss_by_hand(fields, expected, tmp_path, told, monkeypatch):
    """One step over all images, by a network that gives the same logits whatever it sees."""
    scripted(monkeypatch, [(1.0, 1.0)])
    made = recipe(head_units=(2,), **fields)
    network = bare_network(made)
    network.get_layer("head_dense0").set_weights([np.full((3, 2), -0.5), np.zeros(2)])
    network.get_layer("head_logits").set_weights([np.zeros((2, CLASSES)), LOGITS])
    (row,) = trained(network, made, tmp_path, told(), training_data(IMBALANCED))
    assert row["loss"] == pytest.approx(expected, rel=1e-5)


def test_the_focal_loss_of_mixed_images_with_class_weights_by_hand(tmp_path, told, monkeypatch):
    """Each class's focal term in its share of the label; an image weighs what its labels do."""
    scripted(monkeypatch, [(1.0, 1.0)])
    shares = np.float32([[1, 0, 0]] * 3 + [[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    made = recipe(focal_gamma=2.0, class_weight_power=1.0)
    network = bare_network(made)
    network.get_layer("head_logits").set_weights([np.zeros((3, CLASSES)), LOGITS])
    data = replace(training_data(IMBALANCED), labels=shares)
    (row,) = trained(network, made, tmp_path, told(), data)
    # 4, 1 and 1 of six images: a third of the loss to each class, weights .5, 2 and 2
    weights = [0.5, 0.5, 0.5, 1.25, 1.25, 2.0]
    assert row["loss"] == pytest.approx(weights @ (shares @ FOCAL) / 6, rel=1e-5)


# ---- precision -----------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_is_interrupted_and_goes_on(policy, tmp_path, told, monkeypatch):
    monkeypatch.setattr(devices, "precision", lambda recipe: policy)
    scripted(monkeypatch, [(1.0, 1.0), (0.9, 0.9)])
    mixed = recipe(whole=Phase(epochs=2, peak_lr=0.01), ema_momentum=0.5)
    module = SimpleNamespace(build=build_small)

    network = build_network(module, mixed, 8, CLASSES, None)
    assert keras.config.dtype_policy().name == "float32"
    assert network.get_layer("conv0").compute_dtype == policy.removeprefix("mixed_")
    assert network.get_layer("head_logits").compute_dtype == "float32"
    assert network(np.zeros((1, 8, 8, 3))).dtype == "float32"
    before = network.get_weights()
    with pytest.raises(KeyboardInterrupt):
        trained(network, mixed, tmp_path, told(interrupt_after=1))

    network = build_network(module, mixed, 8, CLASSES, None)
    history = trained(network, mixed, tmp_path, told())
    assert len(history) == 2
    assert all(np.isfinite(row["loss"]) for row in history)
    for old, weight in zip(before, network.weights, strict=True):
        assert weight.dtype == "float32"
        assert (np.asarray(weight) != old).any(), weight.path
