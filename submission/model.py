"""The model that is uploaded: this file and `weights.h5` beside it, nothing else.

Run:    from model import Model; labels = Model().predict(X)
Takes:  X (n, px, px, 3), values 0-255, uint8 or any other number type. Gives labels (n,) int64.
Needs:  NumPy, TensorFlow and h5py. No Keras, no custom operations, no pickle.

weights.h5, the bundle, holds `members/00`, `01`, ...: each a `program` (JSON, a list of primitive
operations, `OPS` below, in the order they run), its `arrays` and its `weight`. Matrices and
convolutions are stored small, beside a float32 scale per output channel; here they become float32
again, and only then are batch norms and layer scales folded into the operation before them.
The file begins with a checksum, and is refused when it no longer fits. Its attributes:
    classes, image_px   the names that labels count, and the side of the images
    views               flips and quarter turns, in each of which every member sees the images
    passes              [member, view] pairs, the one that gains most per operation first
    deadline_s          seconds that all may take; mostly absent. BCSUB_DEADLINE_S overrides it
    answer              what `predict` gives: labels, tensor or one-hot
    bfloat16            products may be computed in it where that is faster; mostly absent, since
                        a label in a thousand changes. BCSUB_BFLOAT16=1 or =0 overrides it

The answer is the weighted average of the members' probabilities, each averaged over the views.
With a deadline, counted from the import of this file, only the passes that fit are run: an average
of whole passes, and those of the first call again in every later one, however late that is. Images
stream through in batches, and each pass's probabilities are added to its member's, so memory does
not grow with the number of views.
"""

import collections
import contextlib
import functools
import hashlib
import itertools
import json
import math
import operator
import os
import time
from collections.abc import Iterator
from typing import Any

clock = time.monotonic
STARTED_S = clock()  # a deadline counts from the import, TensorFlow's own included

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

tf.config.experimental.enable_tensor_float_32_execution(False)  # float32 is float32 on a GPU too

FORMAT = 2  # of weights.h5 and member.h5; a newer file is refused
RUNTIME_VERSION = 2  # raised when the numbers below could change: stored predictions are then stale
SEAL = b"bcsub sha256 "  # begins a file; then its checksum, filled up with zeros to 512 bytes
BATCH = 64
WORTH = 0.9  # bfloat16 is taken where a network needs less than this share of float32's seconds
MARGIN = 1.1  # a pass must fit at this many times its estimated seconds: machines waver

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

# what `predict` makes of class indices (n,) int64, given the number of classes
ANSWERS: dict[str, Any] = {
    "labels": lambda labels, _: labels,
    "tensor": lambda labels, _: tf.constant(labels),
    "one-hot": lambda labels, classes: np.eye(classes, dtype=np.float32)[labels],
}

_LOW: dict[str, bool] = {}  # whether a member's products are in bfloat16: measured once a process
_CHOSEN: dict[Any, list[Any]] = {}  # the passes of each bundle's first call: every later one's too


class Model:
    """A bundle of members behind the platform's `predict`.

    path: the folder that holds weights.h5; by default the one this file lies in.
    Raises ValueError when weights.h5 is missing, damaged, changed or of a newer format.
    """

    def __init__(self, path: Any = None) -> None:
        folder = os.fspath(path) if path is not None else _here()
        file_name = os.path.join(folder, "weights.h5")
        with _open(file_name, "bundle") as file:
            about = dict(file.attrs)
            groups = [file["members"][key] for key in sorted(file["members"])]
            self.classes = tuple(json.loads(about["classes"]))
            self.views = tuple(json.loads(about["views"]))
            self.image_px = int(about["image_px"])
            self.weights = np.array([group.attrs["weight"] for group in groups], np.float64)
            low = (os.environ.get("BCSUB_BFLOAT16") or str(int(about.get("bfloat16", 0)))) != "0"
            self.members = [Network(group, low) for group in groups]
            self._answer = ANSWERS[about.get("answer", "labels")]
        every = itertools.product(range(len(groups)), self.views)
        self.passes = json.loads(about["passes"]) if "passes" in about else list(every)
        self.deadline_s = _deadline(about.get("deadline_s", math.inf))
        self._file = os.path.abspath(file_name), about.get("fingerprint")

    def predict(self, X: Any) -> Any:
        """Class indices of X (n, px, px, 3), values 0-255: (n,) int64.

        A bundle may ask for another `answer`: a TensorFlow tensor of them, or (n, classes) float32
        one-hot. One image without the first axis counts as n = 1.
        """
        labels = self.predict_proba(X).argmax(axis=1).astype(np.int64)
        return self._answer(labels, len(self.classes))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities of X (n, px, px, 3), values 0-255: (n, classes) float32."""
        images = check_images(X, self.image_px)
        if not len(images):
            return np.zeros((0, len(self.classes)), np.float32)
        sums = np.zeros((len(self.members), len(images), len(self.classes)), np.float64)
        fixed = _CHOSEN.get(self._file)
        until_s = STARTED_S + self.deadline_s if fixed is None else math.inf
        cheapest = min(self.passes, key=lambda each: self.members[each[0]].operations)
        done: list[Any] = []
        for each in fixed or self.passes:
            needed = not done and each[0] == cheapest[0]  # once begun it is all there will be
            if self._add(each, images, sums, until_s, needed):
                done.append(each)
        if not done:
            self._add(cheapest, images, sums, math.inf)
            done = [cheapest]
        now_s = clock() - STARTED_S
        said = f"{len(done)} of {len(self.passes)} passes done"
        if now_s > self.deadline_s:
            none = not fixed and [index for index, _ in done] == [cheapest[0]]
            said = "not even one pass fits, the cheapest is done" if none else f"late: {said}"
        _CHOSEN[self._file] = done
        if self.deadline_s < math.inf or len(done) < len(self.passes):
            print(f"model.py: {said} at {now_s:.1f} s, deadline {self.deadline_s:g} s", flush=True)
        counts = np.bincount([index for index, _ in done], minlength=len(self.members))
        weights = np.where(counts > 0, self.weights, 0) / np.maximum(counts, 1)
        total = sum(weight * each for weight, each in zip(weights, sums, strict=True))
        return (total / (weights * counts).sum()).astype(np.float32)

    def _add(
        self, which: Any, images: np.ndarray, sums: np.ndarray, until_s: float, needed: bool = False
    ) -> bool:
        """Add the probabilities of one pass, (member, view), to its member's in `sums`.

        Returns False, and adds nothing, as soon as it would end after `until_s`; a `needed` one is
        not given up any more once it has begun.
        """
        index, view = which
        member = self.members[index]
        if not self._fits(index, len(images), until_s):
            return False
        probs = np.empty(sums.shape[1:], np.float32)
        for rows, _, batch_probs in member.stream(images, view):
            probs[rows] = batch_probs
            known = member.images and not needed  # a pace to judge by, and a choice
            if known and not self._fits(index, len(images) - rows.stop, until_s):
                return False
        sums[index] += probs
        return True

    def _fits(self, index: int, images: int, until_s: float) -> bool:
        return not images or clock() + MARGIN * self._seconds(index, images) <= until_s

    def _seconds(self, index: int, images: int) -> float:
        """What that many more images will take a member: at its own pace, where it has one.

        After one batch at that one's, tracing included. Before any, its operations at the pace of
        all that ran, and tracing at theirs; 0 when none did.
        """
        member = self.members[index]
        if member.images:
            return images * member.seconds / member.images
        if member.first:
            return images * member.first_s / member.first
        ran = [each for each in self.members if each.first]
        if not ran:
            return 0.0
        paces = [(m.images, m.seconds) if m.images else (m.first, m.first_s) for m in ran]
        work = sum(m.operations * n for m, (n, _) in zip(ran, paces, strict=True))
        pace = sum(seconds for _, seconds in paces) / work
        traces = [max(0, m.first_s - m.first * s / n) for m, (n, s) in zip(ran, paces, strict=True)]
        trace = sum(traces) / sum(m.steps for m in ran)
        return images * member.operations * pace + member.steps * trace


model = Model  # the name that older editions of the competition import


class Network:
    """One member: its program, ready to run.

    group: the HDF5 group or file that holds `program` and `arrays`.
    bfloat16: whether it may be used where it is faster, which is measured here on a few images.
    """

    def __init__(self, group: Any, bfloat16: bool = False) -> None:
        program = json.loads(group["program"][()])
        unknown = {step["op"] for step in program["ops"]} - {*OPS, "batch_norm"}
        if unknown:
            raise ValueError(
                f"{group.file.filename}: expected operations of this model.py, got "
                f"{', '.join(sorted(unknown))}. Take the model.py that was written with it."
            )
        arrays = {key: _stored(item) for key, item in group["arrays"].items()}
        self.name = str(group.attrs["name"])
        self.classes = tuple(json.loads(group.attrs["classes"]))
        self.image_px = int(group.attrs["image_px"])
        self.batch = BATCH
        self.operations, self.steps = operations(group), len(program["ops"])
        self.first, self.first_s = 0, 0.0  # images of the first batch, and what it took
        self.images, self.seconds = 0, 0.0  # of all batches after it
        self._steps, self._weights = _fold(program["ops"], arrays, program["logits"])
        self._steps = _joined(self._steps, program["logits"])
        self._logits_at, self._output_at = program["logits"], program["output"]
        self._run, self.bfloat16 = self._function(tf.float32), False
        if bfloat16:
            low, key = (
                self._function(tf.bfloat16),
                str(group.attrs.get("member_fingerprint", self.name)),
            )
            if key not in _LOW:
                _LOW[key] = self._seconds(low) < WORTH * self._seconds(self._run)
            self.bfloat16 = _LOW[key]
            self._run = low if self.bfloat16 else self._run

    def probs(self, images: np.ndarray, view: str = "identity") -> np.ndarray:
        """Probabilities of images (n, px, px, 3), 0-255, seen as `view`: (n, classes) float32."""
        return self._whole(images, view, 1)

    def logits(self, images: np.ndarray, view: str = "identity") -> np.ndarray:
        """What goes into the last softmax: (n, classes) float32."""
        return self._whole(images, view, 0)

    def _whole(self, images: np.ndarray, view: str, which: int) -> np.ndarray:
        values = np.empty((len(images), len(self.classes)), np.float32)
        for rows, *outputs in self.stream(images, view):
            values[rows] = outputs[which]
        return values

    def stream(self, images: np.ndarray, view: str) -> Iterator[tuple[slice, Any, Any]]:
        """Rows, logits and probabilities, batch by batch, as long as more are asked for.

        The batch is halved when memory runs out, and stays so.
        """
        start = 0
        while start < len(images):
            start_s = clock()
            batch = turn(images[start : start + self.batch], view)
            try:
                outputs = self._run(tf.constant(np.ascontiguousarray(batch, np.float32)))
                logits, probs = outputs[0].numpy(), outputs[1].numpy()
            except (tf.errors.ResourceExhaustedError, MemoryError):
                if self.batch == 1:
                    raise
                self.batch //= 2
                continue
            rows = slice(start, start + len(batch))
            start, took_s = rows.stop, clock() - start_s
            if not self.first:  # in it TensorFlow makes its graph and tunes: no pace to go by
                self.first, self.first_s = len(batch), took_s
            else:
                self.images, self.seconds = self.images + len(batch), self.seconds + took_s
            yield rows, logits, probs

    def _function(self, dtype: tf.DType) -> Any:
        signature = [tf.TensorSpec((None, self.image_px, self.image_px, 3), tf.float32)]
        # no autograph: it reads this file again, which may lie where no source can be read
        forward = functools.partial(self._forward, dtype)
        return tf.function(forward, input_signature=signature, autograph=False)

    def _seconds(self, run: Any) -> float:
        """What a few images take, at best; infinity where this machine cannot."""
        images, took = tf.zeros((16, self.image_px, self.image_px, 3)), [math.inf]
        with contextlib.suppress(tf.errors.OpError):
            for _ in range(4):  # the first makes the graph
                start_s = clock()
                run(images)[0].numpy()
                took.append(clock() - start_s)
        return min(took)

    def _forward(self, low: tf.DType, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits and probabilities of a batch. low: the dtype of products that allow another one.

        A product that makes the logits stays float32, as does all that is no product.
        """
        values: dict[int, tf.Tensor] = {0: images}
        for step in self._steps:
            product = step["op"] in ("conv", "dense") and step["out"] != self._logits_at
            dtype = low if product else tf.float32
            inputs = [tf.cast(values[index], dtype) for index in step["in"]]
            named = step["arrays"].items()
            arrays = {key: tf.cast(self._weights[name], dtype) for key, name in named}
            values[step["out"]] = OPS[step["op"]](*inputs, **arrays, **step["attrs"])
        return values[self._logits_at], values[self._output_at]


def read_member(path: Any, bfloat16: bool = False) -> Network:
    """The network in a member.h5. Raises ValueError when the file is missing or damaged."""
    with _open(os.fspath(path), "member") as file:
        return Network(file, bfloat16)


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
    try:
        images = np.asarray(X)
    except ValueError:
        raise ValueError("X: expected images of one size, got a list of several.") from None
    if images.shape[:1] == (0,):
        return np.zeros((0, image_px, image_px, 3), np.uint8)
    shape, plain = images.shape, (image_px, image_px)
    if shape == (*plain, 3):
        images = images[None]
    elif images.ndim != 4 or shape[1:] != (*plain, 3):
        advice = "Pass RGB images, channels last."
        if shape[-3:] == (3, *plain):
            advice = "This looks like channels first: transpose it to (n, px, px, 3)."
        elif shape[-2:] == plain or shape[-3:] == (*plain, 1):
            advice = "This looks like grayscale: repeat it for red, green and blue."
        elif shape[-1:] == (3,) and images.ndim in (3, 4):
            advice = f"Resize the images to {image_px} px."
        raise ValueError(f"X: expected shape (n, {image_px}, {image_px}, 3), got {shape}. {advice}")
    if images.dtype == np.uint8:
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
    """The folder of this file; through `exec`, where `__file__` is another's, the working one."""
    folders = [os.path.dirname(os.path.abspath(globals().get("__file__", "model.py"))), os.getcwd()]
    holding = [each for each in folders if os.path.isfile(os.path.join(each, "weights.h5"))]
    return [*holding, *folders][0]


def _deadline(stored_s: float) -> float:
    """Seconds from the import; infinity where neither the bundle nor the environment sets any."""
    text = os.environ.get("BCSUB_DEADLINE_S") or stored_s
    with contextlib.suppress(ValueError):
        if float(text) > 0:
            return float(text)
    raise ValueError(f"BCSUB_DEADLINE_S: expected seconds above 0, got {text!r}. Correct it.")


def check_seal(file_name: str) -> bool:
    """Whether a file begins with its checksum; those of format 1 don't.

    It is of all after the first 512 bytes, and is checked before HDF5 reads any of them: a changed
    byte there may end the process. Raises ValueError when it does not fit.
    """
    digest = hashlib.sha256()
    with open(file_name, "rb") as file:
        head = file.read(512)
        if not head.startswith(SEAL):
            return False
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if head != (SEAL + digest.hexdigest().encode()).ljust(512, b"\0"):
        raise ValueError(f"{file_name}: damaged or truncated (changed since it was written).")
    return True


def operations(group: Any) -> float:
    """Additions and multiplications that a member takes per image.

    A program of format 1 does not say; a guess then: each weight meets one pixel in 16 x 16.
    """
    program, arrays = json.loads(group["program"][()]), group["arrays"].values()
    sizes = [(item["values"] if isinstance(item, h5py.Group) else item).size for item in arrays]
    guess = 2 * sum(sizes) * (group.attrs["image_px"] / 16) ** 2
    return max(1.0, float(program.get("operations", guess)))


@contextlib.contextmanager
def _open(file_name: str, kind: str) -> Iterator[h5py.File]:
    """The file, open while its arrays are read. Raises ValueError when it is not what it should."""
    if not os.path.isfile(file_name):
        raise ValueError(f"{file_name}: no such file. It must lie beside model.py.")
    sealed = check_seal(file_name)
    try:
        with h5py.File(file_name, "r") as file:
            found, version = file.attrs.get("kind"), file.attrs.get("format", 0)
            if found != kind or version > FORMAT:
                raise ValueError(
                    f"{file_name}: expected a {kind} of format {FORMAT} or older, "
                    f"got {found} of format {version}."
                )
            if version > 1 and not sealed:
                raise OSError("changed since it was written")
            yield file
    except (OSError, KeyError, RuntimeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file_name}: damaged or truncated ({error}).") from None


Stored = tuple[np.ndarray, Any]  # values, and the float32 factor that makes them float32 again


def _stored(item: Any) -> Stored:
    """A plain float32 array, or a group of small `values` and float32 `scale`."""
    return (
        (item["values"][()], item["scale"][()])
        if isinstance(item, h5py.Group)
        else (item[()], None)
    )


def _float32(values: np.ndarray, factor: Any) -> np.ndarray:
    if factor is None:
        return values
    array = values.astype(np.float32)
    array *= factor  # in place: fresh memory costs more than the product
    return array


# ---- folding -----------------------------------------------------------------------------------


def _fold(
    ops: list[dict[str, Any]], arrays: dict[str, Stored], logits_at: int
) -> tuple[list[dict[str, Any]], dict[str, tf.Tensor]]:
    """Merge every per-channel scale and shift into the linear operation before it, in float32.

    A scale goes into the kernel's factor: values are touched once, when they become a tensor.
    Returns the shorter program, and its arrays as tensors; `arrays` is emptied meanwhile.
    """
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
    for name in arrays.keys() - used:
        del arrays[name]
    return steps, {name: tf.constant(_float32(*arrays.pop(name))) for name in used}


def _joined(steps: list[dict[str, Any]], logits_at: int) -> list[dict[str, Any]]:
    """Each activation goes into the dense operation before it: oneDNN then computes them at once.

    A convolution and its activation are joined by TensorFlow itself; a reshape keeps these apart.
    """
    inputs = [logits_at, *(index for step in steps for index in step["in"])]
    joined: list[dict[str, Any]] = []
    for step in steps:
        before = joined[-1] if joined else step
        alone = step["in"] == [before["out"]] and inputs.count(before["out"]) == 1
        free = before["op"] == "dense" and "activation" not in before["attrs"]
        if step["op"] == "activation" and free and alone:
            attrs = {**before["attrs"], "activation": step["attrs"]["kind"]}
            joined[-1] = {**before, "attrs": attrs, "out": step["out"]}
        else:
            joined.append(step)
    return joined


_CHANNEL_AXIS = {"conv": 3, "depthwise": 2, "dense": 1}  # of the kernel: the first of its outputs


def _as_scale(step: dict[str, Any], arrays: dict[str, Stored]) -> dict[str, Any]:
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, written as y = x scale + shift."""
    named = {key: _float32(*arrays[name]) for key, name in step["arrays"].items()}
    scale = named.get("gamma", 1.0) / np.sqrt(named["variance"] + step["attrs"]["epsilon"])
    shift = named.get("beta", 0.0) - named["mean"] * scale
    names = {"scale": f"{step['out']}/scale", "shift": f"{step['out']}/shift"}
    arrays[names["scale"]] = scale.astype(np.float32), None
    arrays[names["shift"]] = shift.astype(np.float32), None
    return {**step, "op": "scale", "arrays": names, "attrs": {}}


def _scale_into(source: dict[str, Any], step: dict[str, Any], arrays: dict[str, Stored]) -> None:
    """Multiply the kernel and bias of `source` by the scale of `step`, and add its shift."""
    values, factor = arrays[source["arrays"]["kernel"]]
    outputs = values.shape[_CHANNEL_AXIS[source["op"]] :]  # depthwise: channels, multiplier
    own, given = source["arrays"], step["arrays"]
    scale = np.broadcast_to(_float32(*arrays[given["scale"]]), math.prod(outputs))
    bias = _float32(*arrays[own["bias"]]) if "bias" in own else np.float32(0)
    shift = _float32(*arrays[given["shift"]]) if "shift" in given else np.float32(0)
    names = {"kernel": f"{step['out']}/kernel", "bias": f"{step['out']}/bias"}
    arrays[names["kernel"]] = values, scale.reshape(outputs) * (1 if factor is None else factor)
    arrays[names["bias"]] = bias * scale + shift, None
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


def _dense(x: Any, kernel: Any, bias: Any = None, activation: str | None = None) -> tf.Tensor:
    inner, outer = kernel.shape
    y = _plus(tf.matmul(tf.reshape(x, (-1, inner)), kernel), bias)
    y = y if activation is None else ACTIVATIONS[activation](y)
    return tf.reshape(y, tf.concat([tf.shape(x)[:-1], [outer]], 0)) if x.shape.rank > 2 else y


def _layer_norm(x: Any, gamma: Any = None, beta: Any = None, epsilon: float = 1e-3) -> tf.Tensor:
    x = x - tf.reduce_mean(x, -1, keepdims=True)  # as tf.nn.moments, in fewer walks over memory
    x = x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), -1, keepdims=True) + epsilon)
    x = x if gamma is None else x * gamma
    return x if beta is None else x + beta


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
    "gelu": lambda x: (tf.math.erf(x * 0.5**0.5) + 1) * 0.5 * x,  # oneDNN knows it so written
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
