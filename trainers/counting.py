"""How much a program computes for one image."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from cells.errors import ExportError
from submission.model import OPS


def count_operations(
    ops: Sequence[dict[str, Any]], arrays: dict[str, np.ndarray], shape: Sequence[int | None]
) -> int:
    """Floating-point operations for one image: 2 for each multiplication with its addition.

    Of convolutions, dense layers and products of matrices; all else is left out.
    ops, arrays: of a program (`trainers.export.to_program`). shape: of the images, (n, px, px, 3).
    Raises ExportError, naming the layer, where shapes do not fit.
    """
    total = 0
    with tf.Graph().as_default():  # shapes alone: nothing is computed
        values = {0: tf.compat.v1.placeholder(tf.float32, (1, *shape[1:]))}
        for step in ops:
            inputs = [values[index] for index in step["in"]]
            if step["op"] == "batch_norm":
                values[step["out"]] = inputs[0]
                continue
            named = {
                key: tf.compat.v1.placeholder(tf.float32, arrays[name].shape)
                for key, name in step["arrays"].items()
            }
            try:
                out = OPS[step["op"]](*inputs, **named, **step["attrs"])
            except ValueError as error:  # TensorFlow's, about shapes
                text = " ".join(str(error).split())[:300]
                raise ExportError(f"{step['name']} ({step['op']}): {text}.") from None
            values[step["out"]] = out
            total += _terms(step["op"], inputs, named) * math.prod(getattr(out, "shape", ()))
    return 2 * total


def _terms(op: str, inputs: list[Any], named: dict[str, Any]) -> int:
    """Products that are added for each number that comes out."""
    if op in ("conv", "dense"):
        return math.prod(named["kernel"].shape[:-1])
    if op == "depthwise":
        return math.prod(named["kernel"].shape[:2])
    return inputs[0].shape[-1] if op == "matmul" else 0
