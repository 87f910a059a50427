"""What `trainers.bench_beside` runs under each TensorFlow: load a network, and predict with it.

Run:    python bench_saved.py saved|bundle REPEATS, in a folder that holds saved/ (a SavedModel), or
        model.py and weights.h5, and images.npy
Prints, as JSON: version of TensorFlow, outcome ("loads", or the error's class), load_s, images a
second. Nothing of ours but that model.py, and no Keras.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf


def load(kind: str) -> Callable[[np.ndarray], Any]:
    """A function from images to something whose values are there when it returns."""
    if kind == "bundle":
        sys.path.insert(0, os.getcwd())
        from model import Model  # type: ignore[import-not-found]

        return Model(os.getcwd()).predict_proba  # type: ignore[no-any-return]
    loaded = tf.saved_model.load("saved")  # its variables live as long as it does
    return lambda images: loaded.serve(tf.constant(images, tf.float32)).numpy()


def main(kind: str, repeats: int) -> None:
    """Load, predict, print."""
    images, start = np.load("images.npy"), time.perf_counter()
    found: dict[str, Any] = {"version": tf.__version__, "outcome": "loads"}
    try:
        predict = load(kind)
        found["load_s"], took = time.perf_counter() - start, []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            predict(images)
            took.append(time.perf_counter() - start)
        found["rate"] = len(images) / statistics.median(took[1:])
    except Exception as error:  # whatever another version says is the answer
        found["outcome"] = type(error).__name__
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
