"""Speeds on this machine, side by side in one run: `make bench`, or `python -m trainers.bench`.

The uploaded runtime against stock `keras.applications`, PyTorch and Keras's SavedModel, same
weights, and what a large bundle takes to load; `storage` compares trained members, which must be
named. Training: stock against ours. The input pipeline against the network that it feeds. Training
steps by what becomes of freed memory. The cell mask, and how well it fits. Each table in a process
of its own; ratios are what counts: rates depend on the machine and on who shares it.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from cells.cell_kinds import KINDS
from cells.dataset import open_dataset
from cells.drawn_cells import draw_cells
from trainers.bench_beside import SHAPES, saved, torch
from trainers.bench_load import loading
from trainers.bench_runtime import STOCK, exported, inference, shares
from trainers.bench_steps import alone, compiled, memory, pipeline
from trainers.bench_storage import storage
from trainers.catalog import member
from trainers.cell_mask import find_cell
from trainers.layers import CellMask
from trainers.objective import compile_network
from trainers.pretrained import stock_of
from trainers.recipe import Recipe, overridden

BATCH = 32


def rate(work: Callable[[], object], images: int, repeats: int) -> float:
    """Median images a second of `work` over `repeats`, after one call to warm up."""
    work()
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        rates.append(images / (time.perf_counter() - start))
    return statistics.median(rates)


def bare(name: str) -> Recipe:
    """The member's full recipe without upsampling and stochastic layers, so that networks match."""
    return overridden(
        member(name).RECIPE, ["network_px=none", "drop_path=0", "dropout=0", "head_units="]
    )


def training(names: list[str], repeats: int) -> Table:
    """Images a second of training steps on one batch, stock body against ours, same head."""
    table = Table(title=f"Training steps, 96 px, batch {BATCH}: images/s")
    for column in ("network", "stock Keras", "ours", "ours / stock"):
        table.add_column(column, justify="left" if column == "network" else "right")
    rng = np.random.default_rng(0)
    x = tf.constant(rng.integers(0, 256, (BATCH, 96, 96, 3)), tf.float32)
    y = tf.one_hot(rng.integers(0, 8, BATCH), 8)
    for name in names:
        recipe = bare(name)
        body = stock_of(name).network()
        stock = keras.Model(body.input, keras.layers.Dense(8)(body.output))
        rates = []
        for network in (stock, member(name).build(recipe, 96, 8)):
            compile_network(network, recipe)
            rates.append(rate(partial(network.train_on_batch, x, y), BATCH, repeats))
        row = (f"{rates[0]:.1f}", f"{rates[1]:.1f}", f"{rates[1] / rates[0]:.1f}x")
        table.add_row(name, *row)
        keras.backend.clear_session()
    return table


def masking(repeats: int, calls: int = 20) -> Table:
    """How fast the cell mask is, in the uploaded runtime and as a Keras layer.

    calls: timed together, since one takes a few milliseconds.
    """
    table = Table(title=f"Cell mask, 96 px, batch {BATCH}: images/s")
    for column in ("where", "images/s", "images/s of CPU time"):
        table.add_column(column, justify="left" if column == "where" else "right")
    cells = draw_cells(np.arange(BATCH) % len(KINDS), 96, np.random.default_rng(0))
    network = keras.Sequential([keras.Input((96, 96, 3)), CellMask()])
    network.add(keras.layers.GlobalAveragePooling2D())  # a member ends in one number a class
    layer, images = tf.function(network, autograph=False), tf.constant(cells, tf.float32)
    ways: dict[str, Callable[[], object]] = {
        "runtime": partial(exported(network).probs, cells),
        "Keras layer": lambda: layer(images).numpy(),
    }
    for where, way in ways.items():

        def work(way: Callable[[], object] = way) -> None:
            for _ in range(calls):
                way()

        found = rate(work, calls * BATCH, repeats)
        start = time.process_time()
        work()
        of_cpu = calls * BATCH / (time.process_time() - start)
        table.add_row(where, f"{found:.0f}", f"{of_cpu:.0f}")
    return table


def overlap(images_each: int) -> Table:
    """Intersection over union of the cell mask and the true area of drawn cells."""
    table = Table(title=f"Cell mask on {images_each} drawn cells a kind")
    table.add_column("kind")
    table.add_column("mean IoU", justify="right")
    table.add_column("5th percentile", justify="right")
    labels = np.repeat(np.arange(len(KINDS)), images_each)
    images, truth = draw_cells(labels, 96, np.random.default_rng(0), return_masks=True)
    found = np.asarray(find_cell(images.astype(np.float32))[0])[..., 0] > 0.5
    ious = (found & truth).sum(axis=(1, 2)) / (found | truth).sum(axis=(1, 2))
    for kind, name in enumerate(KINDS):
        of_kind = ious[labels == kind]
        table.add_row(name, f"{of_kind.mean():.3f}", f"{np.quantile(of_kind, 0.05):.3f}")
    table.add_row("all", f"{ious.mean():.3f}", f"{np.quantile(ious, 0.05):.3f}")
    return table


def processor() -> str:
    """What the CPU calls itself, and which of oneDNN's instructions it has."""
    about = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = [[part.strip() for part in line.split(":", 1)] for line in about.splitlines()]
    lines = {name: value for name, *values in fields for value in values}
    known = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    has = [each for each in known if each in lines.get("flags", "").split()]
    return f"{lines.get('model name', 'unknown CPU')} ({', '.join(has)})"


def main() -> None:
    """Print the tables that are asked for; all of them by default."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    every = ("inference", "where", "torch", "saved", "loading", "training")
    tables = (*every, "pipeline", "memory", "xla", "mask", "storage")
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(tables)}")
    parser.add_argument("--networks", nargs="+", default=[*STOCK, "custom-cnn"])
    parser.add_argument("--members", nargs="+", default=["convnext-small"], help="for training")
    parser.add_argument("--trained", nargs="+", type=Path, help="member.h5 files, for storage")
    parser.add_argument("--dataset", type=Path, default=Path("work/dataset.h5"), help="theirs")
    parser.add_argument("--preset", default="cpu", help="for the pipeline's table")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    asked = parser.parse_args()
    unknown = set(asked.tables) - set(tables)
    if unknown:
        parser.error(f"no table {', '.join(sorted(unknown))}; there are {', '.join(tables)}")
    console = Console(width=132)
    chosen = asked.tables or every
    if "storage" in chosen and not asked.trained:
        parser.error("storage: name trained members, --trained runs/RUN/fold-0/member.h5")
    console.print(
        f"{processor()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} at the start"
    )
    convnexts = [name for name in asked.networks if name in SHAPES]
    if "inference" in chosen:
        console.print(inference(asked.networks, asked.repeats))
    if "where" in chosen:
        console.print(alone(False, shares, convnexts, False))
        console.print(alone(False, shares, convnexts, True))
    if "torch" in chosen:
        console.print(alone(False, torch, convnexts, asked.repeats))
    if "saved" in chosen:
        console.print(alone(False, saved, "ConvNeXtTiny", asked.repeats))
    if "loading" in chosen:
        console.print(loading())
    if "storage" in chosen:
        console.print(alone(False, storage, asked.trained, open_dataset(asked.dataset)))
    if "training" in chosen:
        console.print(alone(True, training, asked.members, 1))
    if "pipeline" in chosen:
        ours = ("custom-cnn", "convnext-atto")
        members = [name for name in ours if asked.preset in member(name).PRESETS]
        console.print(alone(True, pipeline, members, asked.preset, asked.steps))
    if "memory" in chosen:
        console.print(memory(asked.steps))
    if "xla" in chosen:
        console.print(compiled(asked.steps))
    if "mask" in chosen:
        console.print(alone(False, masking, asked.repeats))
        console.print(alone(False, overlap, 40))


if __name__ == "__main__":
    main()
