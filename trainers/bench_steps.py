"""Tables of `trainers.bench` on training steps: what feeds them, freed memory, XLA."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from rich.table import Table

from trainers import backend
from trainers.batches import training_batches
from trainers.catalog import member
from trainers.objective import compile_network
from trainers.recipe import with_preset
from trainers.train import build_network

ENOUGH = 1.2  # a pipeline that gives so many times what the network takes does not hold it up
KEEP = "TF_CPU_ALLOCATOR_USE_BFC"  # as `bcsub train` sets it; the platform leaves it alone


def pipeline(names: list[str], preset: str, steps: int) -> Table:
    """What the input pipeline gives alone, what the network takes alone, and both together."""
    table = Table(title=f"Preset {preset}: images/s of the pipeline, of the network, of both")
    columns = ("pipeline alone", "network alone", "both", "pipeline / network", "limited by")
    for column in ("member", *columns):
        table.add_column(column, justify="left" if column == "member" else "right")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (1024, 96, 96, 3)).astype(np.uint8)
    labels = rng.integers(0, 8, 1024)
    for name in names:
        module = member(name)
        recipe = with_preset(module.RECIPE, module.PRESETS, preset)
        batches = training_batches(images, labels, 8, recipe, recipe.batch, 0, 0)
        iterator = iter(batches)
        one = next(iterator)
        start = time.perf_counter()
        for _ in range(steps):
            next(iterator)
        alone = recipe.batch * steps / (time.perf_counter() - start)
        del iterator
        network = build_network(module, recipe.model_copy(update={"weights": "none"}), 96, 8, None)
        compile_network(network, recipe)
        network.optimizer.build(network.trainable_variables)
        repeated = tf.data.Dataset.from_tensors(one).repeat()
        rates = [
            recipe.batch * steps_per_second(network, source, steps)
            for source in (repeated, batches)
        ]
        ratio = alone / rates[0]
        limit = "network" if ratio >= ENOUGH else "pipeline"
        cells = (f"{alone:.0f}", f"{rates[0]:.0f}", f"{rates[1]:.0f}", f"{ratio:.1f}x", limit)
        table.add_row(name, *cells)
        keras.backend.clear_session()
    return table


def memory(steps: int) -> Table:
    """What it costs a training on a CPU to give freed memory back to the kernel."""
    ways = {
        "given back at once, as after from_generator": (False, True),
        "glibc's default": (False, False),
        "kept by TensorFlow's allocator, as bcsub trains": (True, False),
    }
    rates = {
        way: alone(keep, cnn_rate, steps, generator) for way, (keep, generator) in ways.items()
    }
    return _cnn_table("freed memory", rates)


def compiled(steps: int) -> Table:
    """What XLA brings a training here."""
    ways = {"operation by operation": False, "compiled by XLA": True}
    rates = {way: alone(True, cnn_rate, steps, False, xla) for way, xla in ways.items()}
    return _cnn_table("steps", rates)


def _cnn_table(what: str, rates: dict[str, float]) -> Table:
    """A row for every rate, in images a second, each also as a multiple of the first."""
    table = Table(title="The custom CNN's training steps, preset cpu: images/s")
    table.add_column(what)
    table.add_column("images/s", justify="right")
    table.add_column("", justify="right")
    first = next(iter(rates.values()))
    for way, found in rates.items():
        table.add_row(way, f"{found:.0f}", f"{found / first:.1f}x")
    return table


def cnn_rate(steps: int, generator: bool, xla: bool | None = None) -> float:
    """Images a second of the custom CNN's training steps, preset cpu, in this process.

    generator: whether the batches come out of a `tf.data` dataset made by from_generator.
    """
    module = member("custom-cnn")
    recipe = with_preset(module.RECIPE, module.PRESETS, "cpu").model_copy(update={"xla": xla})
    network = module.build(recipe, 96, 8)
    compile_network(network, recipe)
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (recipe.batch, 96, 96, 3)).astype(np.float32)
    y = np.eye(8, dtype=np.float32)[rng.integers(0, 8, recipe.batch)]

    def endless() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            yield x, y

    batches = tf.data.Dataset.from_tensors((x, y)).repeat()
    if generator:
        spec = batches.element_spec
        batches = tf.data.Dataset.from_generator(endless, output_signature=spec)
    return recipe.batch * steps_per_second(network, batches, steps)


def steps_per_second(network: keras.Model, batches: tf.data.Dataset, steps: int) -> float:
    """Training steps a second, the first few not counted; each is awaited, on a GPU too."""
    marks: list[float] = []
    mark = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: marks.append(time.perf_counter())
    )
    network.fit(batches, steps_per_epoch=steps + 4, callbacks=[mark], verbose=0, shuffle=False)
    backend.unshare(network.trainable_variables)  # of the moving average, for the next `fit`
    return steps / (marks[-1] - marks[3])


def alone(keep: bool, work: Callable[..., Any], *arguments: object) -> Any:
    """What `work(*arguments)` returns in a fresh process; keep: freed memory stays with it."""
    os.environ[KEEP] = str(keep).lower()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()
