"""Tables of `trainers.bench` on the uploaded runtime: beside stock Keras, and where its time goes.

Both run the very same network: it is built by `keras.applications` (or by our trainer), every bias
and gamma drawn at random so that each layer counts, and exported as a member.
"""

import math
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from rich.table import Table

from submission.model import Network, read_member
from trainers import custom_cnn
from trainers.bench_steps import alone
from trainers.export import write_member
from trainers.storage import Storage

IMAGES = 64  # per call: two of Keras's batches, one of the runtime's
CLASSES = [str(number) for number in range(8)]
STOCK = ("ConvNeXtTiny", "ConvNeXtSmall", "ConvNeXtBase", "EfficientNetV2B0")
ABOUT = {"classes": CLASSES, "image_px": 96}
PRODUCTS = (  # rows, inner, outer: ConvNeXtBase's largest, of 64 images, and a square one
    (IMAGES * 6 * 6, 512, 2048),
    (IMAGES * 6 * 6, 2048, 512),
    (IMAGES * 12 * 12, 256, 1024),
    (2048, 2048, 2048),
)
KINDS = {  # of TensorFlow's kernels, by a part of their names
    "MatMul": "matrix products, with their gelu",
    "Depthwise": "depthwise",
    "Conv2D": "convolutions",
    "Cast": "casts",
}


def network_of(name: str) -> keras.Model:
    """96 px images to 8 logits: a network of `keras.applications`, or our custom CNN."""
    if name in STOCK:
        options = {"include_top": False, "weights": None, "pooling": "avg"}
        body = getattr(keras.applications, name)(input_shape=(96, 96, 3), **options)
        network = keras.Model(body.input, keras.layers.Dense(8)(body.output), name=name.lower())
    else:
        network = custom_cnn.build(custom_cnn.RECIPE, 96, 8)
    rng = np.random.default_rng(0)
    for variable in network.weights:
        kind = variable.path.rsplit("/", 1)[-1]
        if kind in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.3, 1, variable.shape))
        elif kind in ("beta", "bias", "moving_mean"):
            variable.assign(rng.normal(0, 0.2, variable.shape))
    return network


def exported(network: keras.Model, storage: Storage = "float32", bfloat16: bool = False) -> Network:
    """The network as the runtime reads it from a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "member.h5"
        classes = CLASSES[: network.output_shape[-1]]
        about = {"name": network.name, "classes": classes, "image_px": 96}
        write_member(path, network, about, storage)
        return read_member(path, bfloat16)


def some_images() -> np.ndarray:
    """(IMAGES, 96, 96, 3) uint8, noise: no network is faster on cells."""
    return np.random.default_rng(0).integers(0, 256, (IMAGES, 96, 96, 3)).astype(np.uint8)


def side_by_side(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each way over `repeats` rounds of all, after one call each to warm up.

    In turns, so that whatever else the machine does meanwhile slows all of them alike.
    """
    took: dict[str, list[float]] = {way: [] for way in ways}
    for round_ in range(repeats + 1):
        for way, work in ways.items():
            start = time.perf_counter()
            work()
            if round_:
                took[way].append(time.perf_counter() - start)
    return {way: statistics.median(each) for way, each in took.items()}


def product(rows: int, inner: int, outer: int) -> Callable[[], object]:
    """A float32 matrix product by TensorFlow, to be called."""
    left, right = tf.ones((rows, inner)), tf.ones((inner, outer))
    return lambda: tf.matmul(left, right).numpy()[0, 0]


def inference(names: list[str], repeats: int) -> Table:
    """Images a second of `predict`: stock Keras's and the runtime's, in float32 and bfloat16."""
    table = Table(title=f"Inference, 96 px, {IMAGES} images: images/s")
    table.add_column("network", no_wrap=True)
    for column in (
        "stock Keras",
        "runtime",
        "runtime / stock",
        "apart, sd",
        "share of matmul",
        "bfloat16",
        "bfloat16 / float32",
    ):
        table.add_column(column, justify="right")
    for name in names:
        table.add_row(name, *alone(False, inferred, name, repeats))
    return table


def inferred(name: str, repeats: int) -> list[str]:
    """A row of `inference`."""
    images, network = some_images(), network_of(name)
    plain, low = exported(network), exported(network, bfloat16=True)
    ways: dict[str, Callable[[], object]] = {
        "stock": partial(network.predict, images.astype(np.float32), verbose=0),
        "runtime": partial(plain.probs, images),
        **{str(sizes): product(*sizes) for sizes in PRODUCTS},
    }
    if low.bfloat16:
        ways["low"] = partial(low.probs, images)
    took = side_by_side(ways, repeats)
    fastest = max(2 * math.prod(sizes) / took[str(sizes)] for sizes in PRODUCTS)
    share = IMAGES * plain.operations / took["runtime"] / fastest
    rates = {way: IMAGES / seconds for way, seconds in took.items()}
    logits = np.asarray(network.predict(images.astype(np.float32), verbose=0))
    apart = np.abs(plain.logits(images) - logits).max() / logits.std(axis=0).mean()
    bfloat16 = ("slower: not used", "")
    if low.bfloat16:
        bfloat16 = f"{rates['low']:.1f}", f"{rates['low'] / rates['runtime']:.2f}x"
    return [
        f"{rates['stock']:.1f}",
        f"{rates['runtime']:.1f}",
        f"{rates['runtime'] / rates['stock']:.2f}x",
        f"{apart:.0e}",
        f"{share:.0%} of {fastest / 1e9:.0f} GFLOP/s",
        *bfloat16,
    ]


def shares(names: list[str], low: bool) -> Table:
    """Shares of the runtime's time by kind of kernel; low: in bfloat16, where it pays."""
    dtype = "bfloat16 where it pays" if low else "float32"
    table = Table(title=f"Where the runtime's time goes, {dtype}")
    table.add_column("network", no_wrap=True)
    kinds = [*KINDS.values(), "all else"]
    for kind in kinds:
        table.add_column(kind, justify="right")
    for name in names:
        took = kernels(exported(network_of(name), bfloat16=low), some_images())
        table.add_row(name, *(f"{took[kind] / took.total():.0%}" for kind in kinds))
        keras.backend.clear_session()
    return table


def kernels(member: Network, images: np.ndarray) -> Counter[str]:
    """Seconds that each kind of TensorFlow kernel took for one batch, by TensorFlow's own trace."""
    v1 = tf.compat.v1
    function = member._run.get_concrete_function()
    traced, options = v1.RunMetadata(), v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE)
    values = [images.astype(np.float32), *(each.numpy() for each in function.captured_inputs)]
    with tf.Graph().as_default(), v1.Session() as session:
        tf.graph_util.import_graph_def(function.graph.as_graph_def(), name="")
        outputs = [each.name for each in function.outputs]
        feed = {each.name: value for each, value in zip(function.inputs, values, strict=True)}
        for _ in range(2):
            session.run(outputs, feed)
        session.run(outputs, feed, options=options, run_metadata=traced)
    took: Counter[str] = Counter()
    for device in traced.step_stats.dev_stats:
        for node in device.node_stats:
            kernel = node.timeline_label.split(" = ")[-1].partition("(")[0]
            took[kind_of(kernel)] += node.all_end_rel_micros / 1e6
    return took


def kind_of(kernel: str) -> str:
    """What a kernel computes, by its name."""
    return next((said for part, said in KINDS.items() if part in kernel), "all else")
