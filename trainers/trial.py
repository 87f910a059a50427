"""Before a long run: a few measured steps, what the whole would take, and a colleague's advice."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import keras
import psutil
import tensorflow as tf

from cells.dataset import Dataset, open_dataset
from cells.policy import Policy
from submission.model import VIEWS, read_member
from trainers import backend, checkpoint, devices
from trainers.batches import steps_per_epoch, training_batches
from trainers.catalog import member
from trainers.export import write_member
from trainers.fit import phases
from trainers.keeper import TrainingData, score
from trainers.objective import compile_network, set_trainable
from trainers.recipe import Recipe
from trainers.runs import Run
from trainers.schedule import stages
from trainers.train import build_network, training_data

WARM_STEPS = 3  # traced, compiled, and the pipeline's store filled: not what the others are like
STEPS = 40  # at most, within SECONDS
SECONDS = 12.0
SCORED = 256  # images that the inner scores and the runtime are timed on
MB = 2**20


@dataclass(frozen=True)
class Trial:
    """What a few steps on this machine showed.

    start_s: building, tracing, the first batches. step_s: of an optimiser's step, by phase.
    pipeline_s: a batch out of the pipeline alone. epoch_end_s: inner scores and checkpoint.
    finish_s: export and the predictions of all views. epochs: at most, by phase. peak_mb: the
    process's memory (a GPU's, where there is one) at its highest; free_mb: what there was of it.
    """

    batch: int
    steps: int
    start_s: float
    step_s: dict[str, float]
    pipeline_s: float
    epoch_end_s: float
    finish_s: float
    epochs: dict[str, int]
    peak_mb: float
    free_mb: float

    @property
    def seconds(self) -> float:
        """The whole run's, if no phase stops early."""
        epochs = sum(
            count * (self.steps * self.step_s[phase] + self.epoch_end_s)
            for phase, count in self.epochs.items()
        )
        return self.start_s + epochs + self.finish_s

    @property
    def images_per_s(self) -> float:
        """Of the last phase's steps."""
        return self.batch / list(self.step_s.values())[-1]


def in_words(found: Trial) -> str:
    """Length, speed and memory of a run, in a line."""
    length = "under 1" if found.seconds < 60 else f"about {found.seconds / 60:.0f}"
    return (
        f"{length} min at {found.images_per_s:.0f} images/s, "
        f"{found.peak_mb / 1024:.1f} GB of {found.free_mb / 1024:.1f} GB memory"
    )


def advice(found: Trial, recipe: Recipe, on_gpu: bool) -> list[str]:
    """What a colleague would say to that, a line each; nothing when all is well."""
    lines = []
    step_s = list(found.step_s.values())[-1]
    if found.peak_mb > 0.9 * found.free_mb:
        lines.append(
            f"memory: {found.peak_mb / 1024:.1f} GB of {found.free_mb / 1024:.1f} GB. Where it "
            "runs out the batch is cut into parts; close other programs, or take fewer pixels "
            "(--set network_px=...)."
        )
    if on_gpu and found.pipeline_s > 0.8 * step_s:
        lines.append(
            f"the input pipeline takes {found.pipeline_s:.2f} s a batch, a step {step_s:.2f} s: "
            "the GPU waits. Take a machine with more cores, or make the augmented images once "
            "(--set offline_images=42000)."
        )
    if found.seconds > 6 * 3600:
        lines.append(
            f"{found.seconds / 3600:.0f} h is longer than a Colab or Kaggle session. Keep runs/ on "
            "a disk that stays: the same command goes on after its last epoch."
        )
    if not on_gpu and found.seconds > 3 * 3600:
        lines.append("no GPU here: --preset cpu takes half an hour a member on two cores.")
    if recipe.whole.patience == 0 and sum(found.epochs.values()) > 60:
        lines.append("no early stopping for so many epochs: --set whole.patience=8 ends it sooner.")
    return lines


def trial(run: Run, dataset: Dataset, first: Callable[[], None] | None = None) -> Trial:
    """What a few steps of `run` show, in a process of their own; nothing is kept or downloaded.

    first: what that process does before it imports TensorFlow.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=first) as pool:
        return pool.submit(_of, run, dataset.path).result()


def _of(run: Run, path: Path) -> Trial:
    tf.get_logger().setLevel("ERROR")  # KerasCV warns of every operation that it loops over
    dataset, recipe = open_dataset(path), run.recipe
    offline = recipe.offline_images
    if offline:  # what is made once costs an epoch nothing
        update = {"offline_images": None, "oversample": 0.0, "policy": Policy(flip=0)}
        recipe = recipe.model_copy(update=update)
    data = training_data(dataset, run.fold, recipe, run.seed)
    random = recipe.model_copy(update={"weights": "none"})  # any weights take as long
    px, classes = dataset.competition.image_px, len(dataset.classes)
    with devices.scope():
        network = build_network(member(run.name), random, px, classes, None)
        predicted = len(dataset.held_out_rows(run.fold)) + len(dataset.test_rows())
        found = measured(recipe, data, network, run.seed, predicted)
    return replace(found, steps=offline // found.batch) if offline else found


def measured(
    recipe: Recipe, data: TrainingData, network: keras.Model, seed: int, predicted: int
) -> Trial:
    """Train `network` for a few steps of each phase, as `fit` would, and time all that recurs.

    predicted: images that are predicted at the end, held out and test.
    """
    began = time.perf_counter()
    batch = min(recipe.batch, len(data.labels))
    step_s: dict[str, float] = {}
    with highest_memory() as peak, tempfile.TemporaryDirectory() as folder:
        batches = training_batches(
            data.images, data.labels, data.classes, recipe, batch, seed, first_epoch=0
        )
        start_s = 0.0
        for name, phase in phases(recipe):
            set_trainable(network, phase, stages(phase)[-1][1])
            compile_network(network, recipe)
            marks = _marks(network, batches)
            step_s[name] = (marks[-1] - marks[WARM_STEPS]) / (len(marks) - WARM_STEPS - 1)
            start_s += marks[WARM_STEPS] - began - WARM_STEPS * step_s[name]
            began = time.perf_counter()
        epoch_end_s = _epoch_end(network, data, batch, Path(folder))
        finish_s = _finish(network, recipe, data, predicted, Path(folder))
        pipeline_s = _pipeline(batches)
    on_gpu = devices.gpu_memory_mb()
    peak_mb, free_mb = on_gpu or (peak[0], peak[0] + psutil.virtual_memory().available / MB)
    return Trial(
        batch=batch,
        steps=steps_per_epoch(data.labels, data.classes, recipe, batch),
        start_s=start_s,
        step_s=step_s,
        pipeline_s=pipeline_s,
        epoch_end_s=epoch_end_s,
        finish_s=finish_s,
        epochs={name: phase.epochs for name, phase in phases(recipe)},
        peak_mb=peak_mb,
        free_mb=free_mb,
    )


def _marks(network: keras.Model, batches: tf.data.Dataset) -> list[float]:
    """When each of the steps had ended: WARM_STEPS and then as many as the time allows, 2 at least.

    Clock readings by time.perf_counter().
    """
    marks: list[float] = []

    def mark(step: int, logs: Any) -> None:
        marks.append(time.perf_counter())
        enough = len(marks) > WARM_STEPS + 2 and marks[-1] - marks[WARM_STEPS] > SECONDS
        network.stop_training = enough

    network.fit(
        batches,
        steps_per_epoch=WARM_STEPS + STEPS,
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=mark)],
        verbose=0,
        shuffle=False,
    )
    backend.unshare(network.trainable_variables)  # of the moving average, which is saved later
    return marks


def _epoch_end(network: keras.Model, data: TrainingData, batch: int, folder: Path) -> float:
    """Seconds for the inner scores and the checkpoint of one epoch."""
    images, labels = data.inner_clean[:SCORED], data.inner_labels[:SCORED]
    score(network, images, labels, batch)
    began = time.perf_counter()
    score(network, images, labels, batch)
    versions = len(data.inner_versions)
    scoring_s = (time.perf_counter() - began) * versions * len(data.inner_labels) / len(labels)
    began = time.perf_counter()
    checkpoint.save(folder / "checkpoint.h5", checkpoint.State(best=network.get_weights()), network)
    return scoring_s + time.perf_counter() - began


def _finish(
    network: keras.Model, recipe: Recipe, data: TrainingData, predicted: int, folder: Path
) -> float:
    """Seconds for the export, and for the predictions: clean and shifted, in all views."""
    began = time.perf_counter()
    names = [str(number) for number in range(data.classes)]
    image_px = data.images.shape[1]
    about = {"name": recipe.name, "classes": names, "image_px": image_px}
    write_member(folder / "member.h5", network, about)
    runtime = read_member(folder / "member.h5")
    images = data.images[:SCORED]
    runtime.probs(images)
    began, once_s = time.perf_counter(), time.perf_counter() - began
    runtime.probs(images)
    image_s = (time.perf_counter() - began) / len(images)
    return once_s + 2 * len(VIEWS) * predicted * image_s


def _pipeline(batches: tf.data.Dataset) -> float:
    """Seconds a batch out of the pipeline while nothing else computes."""
    iterator = iter(batches)
    for _ in range(WARM_STEPS):
        next(iterator)
    began, count = time.perf_counter(), 0
    while count < STEPS and time.perf_counter() - began < SECONDS / 4:
        next(iterator)
        count += 1
    return (time.perf_counter() - began) / count


@contextmanager
def highest_memory() -> Iterator[list[float]]:
    """A list whose one number is this process's highest memory meanwhile, in MB."""
    process, highest, over = psutil.Process(), [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            highest[0] = max(highest[0], process.memory_info().rss / MB)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield highest
    finally:
        over.set()
        thread.join()
