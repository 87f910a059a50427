"""The model that is uploaded: this file and `weights.h5` beside it, nothing else.

Run:    from model import Model; labels = Model().predict(X)
Takes:  X (n, px, px, 3), values 0-255, uint8 or any other number type. Gives labels (n,) int64.
Needs:  NumPy, TensorFlow and h5py. No Keras, no custom operations, no pickle.

weights.h5 holds one or more members. A member is a program: a list of primitive operations
(`OPS` below) in the order they run, and their arrays. Matrices and convolutions are stored as
float16 times a float32 scale per output channel; here they become float32 again, and only then
are batch norms and layer scales folded into the operation before them.

The answer is the weighted average of the members' probabilities, each averaged over the bundle's
views (flips and quarter turns). Images stream through in batches; each view's probabilities are
added to one array, so memory does not grow with the number of members or views.
"""

import collections
import contextlib
import functools
import json
import math
import operator
import os
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import tensorflow as tf

FORMAT = 2  # of weights.h5 and member.h5; a newer file is refused
RUNTIME_VERSION = 1  # raised when the numbers below could change: stored predictions are then stale
BATCH = 64

# name: quarter turns anticlockwise, after a left-right flip or not
VIEWS = {
    "identity": (0, False),
    "rot90": (1, False),
    "rot180": (2, False),
    "rot270": (3, False),
    "flip": (0, True),
    "flip-rot90": (1, True),
    "flip-rot180": (2, True),
    "flip-rot270": (3, True),
}


class Model:
    """A bundle of members behind the platform's `predict`.

    path: the folder that holds weights.h5; by default the one this file lies in.
    Raises ValueError when weights.h5 is missing, damaged or of a newer format.
    """

    def __init__(self, path: Any = None) -> None:
        folder = os.fspath(path) if path is not None else _here()
        file_name = os.path.join(folder, "weights.h5")
        with _open(file_name, "bundle") as file:
            self.classes = tuple(json.loads(file.attrs["classes"]))
            self.views = tuple(json.loads(file.attrs["views"]))
            self.image_px = int(file.attrs["image_px"])
            groups = [file["members"][key] for key in sorted(file["members"])]
            self.weights = np.array([group.attrs["weight"] for group in groups], np.float64)
            self.members = [Network(group) for group in groups]
        self.weights /= self.weights.sum()

    def predict(self, X: Any) -> np.ndarray:
        """Class indices of X (n, px, px, 3), values 0-255: (n,) int64."""
        return self.predict_proba(X).argmax(axis=1).astype(np.int64)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities of X (n, px, px, 3), values 0-255: (n, classes) float32."""
        images = check_images(X, self.image_px)
        total = np.zeros((len(images), len(self.classes)), np.float64)
        for weight, member in zip(self.weights, self.members, strict=True):
            for view in self.views:
                total += weight / len(self.views) * member.probs(images, view)
        return total.astype(np.float32)


model = Model  # the name that older editions of the competition import


class Network:
    """One member: its program, ready to run.

    group: the HDF5 group or file that holds `program` and `arrays`.
    """

    def __init__(self, group: Any) -> None:
        program = json.loads(group["program"][()])
        unknown = {step["op"] for step in program["ops"]} - {*OPS, "batch_norm"}
        if unknown:
            raise ValueError(
                f"{group.file.filename}: expected operations of this model.py, got "
                f"{', '.join(sorted(unknown))}. Take the model.py that was written with it."
            )
        arrays = {key: _float32(item) for key, item in group["arrays"].items()}
        self.name = str(group.attrs["name"])
        self.classes = tuple(json.loads(group.attrs["classes"]))
        self.image_px = int(group.attrs["image_px"])
        self.batch = BATCH
        self._steps, self._weights = _fold(program["ops"], arrays, program["logits"])
        self._logits_at, self._output_at = program["logits"], program["output"]
        shape = (None, self.image_px, self.image_px, 3)
        signature = [tf.TensorSpec(shape, tf.float32)]
        # no autograph: it reads this file again, which may lie where no source can be read
        self._run = tf.function(self._forward, input_signature=signature, autograph=False)

    def probs(self, images: np.ndarray, view: str = "identity") -> np.ndarray:
        """Probabilities of images (n, px, px, 3), 0-255, seen as `view`: (n, classes) float32."""
        return self._stream(images, view)[1]

    def logits(self, images: np.ndarray, view: str = "identity") -> np.ndarray:
        """What goes into the last softmax: (n, classes) float32."""
        return self._stream(images, view)[0]

    def _stream(self, images: np.ndarray, view: str) -> tuple[np.ndarray, np.ndarray]:
        """Logits and probabilities, batch by batch; the batch is halved when memory runs out."""
        logits = np.empty((len(images), len(self.classes)), np.float32)
        probs = np.empty_like(logits)
        start = 0
        while start < len(images):
            batch = turn(images[start : start + self.batch], view)
            try:
                outputs = self._run(tf.constant(np.ascontiguousarray(batch, np.float32)))
                stop = start + len(batch)
                logits[start:stop], probs[start:stop] = outputs[0].numpy(), outputs[1].numpy()
                start = stop
            except tf.errors.ResourceExhaustedError:
                if self.batch == 1:
                    raise
                self.batch //= 2
        return logits, probs

    def _forward(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        values: dict[int, tf.Tensor] = {0: images}
        for step in self._steps:
            inputs = [values[index] for index in step["in"]]
            arrays = {key: self._weights[name] for key, name in step["arrays"].items()}
            values[step["out"]] = OPS[step["op"]](*inputs, **arrays, **step["attrs"])
        return values[self._logits_at], values[self._output_at]


def read_member(path: Any) -> Network:
    """The network in a member.h5. Raises ValueError when the file is missing or damaged."""
    with _open(os.fspath(path), "member") as file:
        return Network(file)


def turn(images: np.ndarray, view: str) -> np.ndarray:
    """Images (n, px, px, 3) as `view`, a name of VIEWS, shows them."""
    quarters, flip = VIEWS[view]
    if flip:
        images = images[:, :, ::-1]
    return np.rot90(images, quarters, axes=(1, 2))


def check_images(X: Any, image_px: int) -> np.ndarray:
    """X as an array (n, image_px, image_px, 3), values 0-255; one image may lack the first axis.

    Raises ValueError for another shape, NaN or infinity, values outside 0-255, and fractions that
    all lie in 0-1: those were divided by 255 somewhere, and the networks do that themselves.
    """
    images = np.asarray(X)
    if images.ndim == 3:
        images = images[None]
    expected = (image_px, image_px, 3)
    if images.ndim != 4 or images.shape[1:] != expected:
        raise ValueError(
            f"X: expected shape (n, {image_px}, {image_px}, 3), got {images.shape}. "
            "Pass RGB images, channels last."
        )
    if images.dtype == np.uint8 or not len(images):
        return images
    if images.dtype.kind not in "iuf":
        raise ValueError(f"X: expected numbers 0-255, got dtype {images.dtype}.")
    low, high = images.min(), images.max()
    if not np.isfinite([low, high]).all():
        raise ValueError("X: expected values 0-255, got NaN or infinity.")
    if low < 0 or high > 255:
        raise ValueError(f"X: expected values 0-255, got {low:g} to {high:g}.")
    if images.dtype.kind == "f" and high <= 1 and (images % 1 != 0).any():
        raise ValueError("X: expected values 0-255, got fractions 0-1. Multiply by 255.")
    return images


# ---- reading -----------------------------------------------------------------------------------


def _here() -> str:
    """The folder of this file; the working directory when it was run through `exec`."""
    return os.path.dirname(os.path.abspath(globals().get("__file__", "model.py")))


@contextlib.contextmanager
def _open(file_name: str, kind: str) -> Iterator[h5py.File]:
    """The file, open while its arrays are read. Raises ValueError when it is not what it should."""
    if not os.path.isfile(file_name):
        raise ValueError(f"{file_name}: no such file. It must lie beside model.py.")
    try:
        with h5py.File(file_name, "r") as file:
            found, version = file.attrs.get("kind"), file.attrs.get("format", 0)
            if found != kind or version > FORMAT:
                raise ValueError(
                    f"{file_name}: expected a {kind} of format {FORMAT} or older, "
                    f"got {found} of format {version}."
                )
            yield file
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{file_name}: damaged or truncated ({error}).") from None


def _float32(item: Any) -> np.ndarray:
    """An array as stored: plain float32, or a group of float16 `values` and float32 `scale`."""
    if isinstance(item, h5py.Group):
        return item["values"][()].astype(np.float32) * item["scale"][()]
    return item[()]


# ---- folding -----------------------------------------------------------------------------------


def _fold(
    ops: list[dict[str, Any]], arrays: dict[str, np.ndarray], logits_at: int
) -> tuple[list[dict[str, Any]], dict[str, tf.Tensor]]:
    """Merge every per-channel scale and shift into the linear operation before it, in float32.

    Returns the shorter program, and its arrays as tensors.
    """
    arrays = dict(arrays)
    steps: list[dict[str, Any]] = []
    maker: dict[int, dict[str, Any]] = {}
    uses = collections.Counter([logits_at, *(index for step in ops for index in step["in"])])
    for step in ops:
        step = {**step, "arrays": dict(step["arrays"])}
        if step["op"] == "batch_norm":
            step = _as_scale(step, arrays)
        source = maker.get(step["in"][0]) if step["op"] == "scale" else None
        if source and source["op"] in _CHANNEL_AXIS and uses[source["out"]] == 1:
            _scale_into(source, step, arrays)
            source["out"] = step["out"]
            step = source
        else:
            steps.append(step)
        maker[step["out"]] = step
    used = {name for step in steps for name in step["arrays"].values()}
    return steps, {name: tf.constant(arrays[name]) for name in used}


_CHANNEL_AXIS = {"conv": 3, "depthwise": 2, "dense": 1}  # of the kernel: the first of its outputs


def _as_scale(step: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, written as y = x scale + shift."""
    named = {key: arrays[name] for key, name in step["arrays"].items()}
    scale = named.get("gamma", 1.0) / np.sqrt(named["variance"] + step["attrs"]["epsilon"])
    shift = named.get("beta", 0.0) - named["mean"] * scale
    names = {"scale": f"{step['out']}/scale", "shift": f"{step['out']}/shift"}
    arrays[names["scale"]] = scale.astype(np.float32)
    arrays[names["shift"]] = shift.astype(np.float32)
    return {**step, "op": "scale", "arrays": names, "attrs": {}}


def _scale_into(
    source: dict[str, Any], step: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Multiply the kernel and bias of `source` by the scale of `step`, and add its shift."""
    kernel = arrays[source["arrays"]["kernel"]]
    outputs = kernel.shape[_CHANNEL_AXIS[source["op"]] :]  # depthwise: channels, multiplier
    scale = np.broadcast_to(arrays[step["arrays"]["scale"]], math.prod(outputs))
    bias = arrays[source["arrays"]["bias"]] if "bias" in source["arrays"] else np.float32(0)
    shift = arrays[step["arrays"]["shift"]] if "shift" in step["arrays"] else np.float32(0)
    names = {"kernel": f"{step['out']}/kernel", "bias": f"{step['out']}/bias"}
    arrays[names["kernel"]] = kernel * scale.reshape(outputs)
    arrays[names["bias"]] = bias * scale + shift
    source["arrays"] = names


# ---- the operations ----------------------------------------------------------------------------


def _plus(x: tf.Tensor, bias: Any) -> tf.Tensor:
    return x if bias is None else tf.nn.bias_add(x, bias)


def _depthwise(
    x: Any, kernel: Any, strides: int, padding: str, dilation: Any, bias: Any = None
) -> tf.Tensor:
    rates = dilation if isinstance(dilation, list) else [dilation] * 2
    return _plus(
        tf.nn.depthwise_conv2d(x, kernel, [1, strides, strides, 1], padding, None, rates), bias
    )


def _dense(x: Any, kernel: Any, bias: Any = None) -> tf.Tensor:
    inner, outer = kernel.shape
    y = _plus(tf.matmul(tf.reshape(x, (-1, inner)), kernel), bias)
    return tf.reshape(y, tf.concat([tf.shape(x)[:-1], [outer]], 0)) if x.shape.rank > 2 else y


def _layer_norm(x: Any, gamma: Any = None, beta: Any = None, epsilon: float = 1e-3) -> tf.Tensor:
    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon)


def _pool(x: Any, kind: str, size: Any, strides: Any, padding: str) -> tf.Tensor:
    pool = tf.nn.max_pool2d if kind == "max" else tf.nn.avg_pool2d
    return pool(x, size, strides, padding)


def _reduce(x: Any, kind: str, axis: Any = (1, 2), keepdims: bool = False) -> tf.Tensor:
    reduce = tf.reduce_max if kind == "max" else tf.reduce_mean
    return reduce(x, axis=axis, keepdims=keepdims)


def _of_all(function: Any) -> Any:
    """An operation of two or more inputs, by a function of two."""
    return lambda *xs: functools.reduce(function, xs)


ACTIVATIONS: dict[str, Any] = {
    "abs": tf.abs,
    "elu": tf.nn.elu,
    "exp": tf.exp,
    "gelu": lambda x: tf.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: tf.nn.gelu(x, approximate=True),
    "hard_sigmoid": lambda x: tf.nn.relu6(x + 3) / 6,
    "hard_silu": lambda x: x * tf.nn.relu6(x + 3) / 6,
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "selu": tf.nn.selu,
    "sigmoid": tf.nn.sigmoid,
    "silu": tf.nn.silu,
    "softplus": tf.nn.softplus,
    "tanh": tf.nn.tanh,
}

OPS: dict[str, Any] = {
    "activation": lambda x, kind: ACTIVATIONS[kind](x),
    "add": _of_all(operator.add),
    "concatenate": lambda *xs, axis: tf.concat(xs, axis),
    "constant": lambda value: value,  # an array or a number
    "conv": lambda x, kernel, strides, padding, dilation, bias=None: _plus(
        tf.nn.conv2d(x, kernel, strides, padding, dilations=dilation), bias
    ),
    "dense": _dense,
    "depthwise": _depthwise,
    "divide": operator.truediv,
    "flatten": lambda x: tf.reshape(x, (tf.shape(x)[0], -1)),
    "global_pool": _reduce,
    "layer_norm": _layer_norm,
    "matmul": tf.matmul,
    "maximum": _of_all(tf.maximum),
    "minimum": _of_all(tf.minimum),
    "multiply": _of_all(operator.mul),
    "pad": tf.pad,
    "pool": _pool,
    "power": tf.pow,
    "reduce": _reduce,
    "reshape": lambda x, shape: tf.reshape(x, (tf.shape(x)[0] if -1 in shape else -1, *shape)),
    "resize": tf.image.resize,
    "scale": lambda x, scale, shift=None: x * scale if shift is None else x * scale + shift,
    "slice": lambda x, key: x[tuple(slice(*k) if isinstance(k, list) else k for k in key)],
    "softmax": tf.nn.softmax,
    "sort": tf.sort,
    "subtract": operator.sub,
    "transpose": lambda x, axes: tf.transpose(x, axes),
}
