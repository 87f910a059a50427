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

The answer is the weighted average of the members' probabilities, each averaged over the views.
With a deadline, counted from the import of this file, only the passes that fit are run: an average
of whole passes, the same ones in every call. Images stream through in batches, and each pass's
probabilities are added to its member's, so memory does not grow with the number of views.
"""

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

FORMAT = 2  # of weights.h5 and member.h5; a newer file is refused
RUNTIME_VERSION = 1  # raised when the numbers below could change: stored predictions are then stale
SEAL = b"bcsub sha256 "  # begins a file; then its checksum, filled up with zeros to 512 bytes
BATCH = 64
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
            self.members = [Network(group) for group in groups]
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
        done = [each for each in fixed or self.passes if self._add(each, images, sums, until_s)]
        said = f"{len(done)} of {len(self.passes)} passes done"
        if not done:
            cheapest = min(self.passes, key=lambda each: self.members[each[0]].operations)
            self._add(cheapest, images, sums, math.inf)
            done, said = [cheapest], "not even one pass fits, the cheapest is done"
        _CHOSEN[self._file] = done
        if self.deadline_s < math.inf or len(done) < len(self.passes):
            now_s = clock() - STARTED_S
            print(f"model.py: {said} at {now_s:.1f} s, deadline {self.deadline_s:g} s", flush=True)
        counts = np.bincount([index for index, _ in done], minlength=len(self.members))
        weights = np.where(counts > 0, self.weights, 0) / np.maximum(counts, 1)
        total = sum(weight * each for weight, each in zip(weights, sums, strict=True))
        return (total / (weights * counts).sum()).astype(np.float32)

    def _add(self, which: Any, images: np.ndarray, sums: np.ndarray, until_s: float) -> bool:
        """Add the probabilities of one pass, (member, view), to its member's in `sums`.

        Returns False, and adds nothing, as soon as it would end after `until_s`.
        """
        index, view = which
        if not self._fits(index, len(images), until_s):
            return False
        if until_s < math.inf:
            self.members[index].trace(images, view)
        probs = np.empty(sums.shape[1:], np.float32)
        for rows, _, batch_probs in self.members[index].stream(images, view):
            probs[rows] = batch_probs
            if not self._fits(index, len(images) - rows.stop, until_s):
                return False
        sums[index] += probs
        return True

    def _fits(self, index: int, images: int, until_s: float) -> bool:
        return not images or clock() + MARGIN * self._seconds(index, images) <= until_s

    def _seconds(self, index: int, images: int) -> float:
        """What that many more images will take a member: at its own pace, where it has one.

        Else its operations at the pace of all that ran, and its trace at theirs; before any ran, 0.
        """
        member, ran = self.members[index], [each for each in self.members if each.images]
        if member.images or not ran:
            return images * member.seconds / max(member.images, 1)
        pace = sum(m.seconds for m in ran) / sum(m.operations * m.images for m in ran)
        trace = sum(m.trace_s for m in ran) / sum(m.steps for m in ran)
        return images * member.operations * pace + member.steps * trace


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
        self.operations, self.steps = operations(group), len(program["ops"])
        self.images, self.seconds, self.trace_s = 0, 0.0, 0.0  # run, and what that and tracing took
        self._steps, self._weights = _fold(program["ops"], arrays, program["logits"])
        self._logits_at, self._output_at = program["logits"], program["output"]
        shape = (None, self.image_px, self.image_px, 3)
        signature = [tf.TensorSpec(shape, tf.float32)]
        # no autograph: it reads this file again, which may lie where no source can be read
        self._run = tf.function(self._forward, input_signature=signature, autograph=False)

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
            start = rows.stop
            self.images, self.seconds = self.images + len(batch), self.seconds + clock() - start_s
            yield rows, logits, probs

    def trace(self, images: np.ndarray, view: str) -> None:
        """Run a batch, in which TensorFlow makes its graph and tunes; the pace is without that."""
        if not self.trace_s:
            start_s = clock()
            next(self.stream(images, view))
            self.images, self.seconds, self.trace_s = 0, 0.0, clock() - start_s

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
    """The folder of this file; the working directory when it was run through `exec`."""
    return os.path.dirname(os.path.abspath(globals().get("__file__", "model.py")))


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
    uses: dict[int, int] = {}
    for step in ops:
        for index in step["in"]:
            uses[index] = uses.get(index, 0) + 1
    for step in ops:
        step = {**step, "arrays": dict(step["arrays"])}
        if step["op"] == "batch_norm":
            step = _as_scale(step, arrays)
        source = maker.get(step["in"][0])
        alone = uses.get(step["in"][0]) == 1 and step["in"][0] != logits_at
        if step["op"] == "scale" and source and source["op"] in _CHANNEL_AXIS and alone:
            _scale_into(source, step, arrays)
            source["out"] = step["out"]
            maker[step["out"]] = source
            continue
        steps.append(step)
        maker[step["out"]] = step
    used = {name for step in steps for name in step["arrays"].values()}
    return steps, {name: tf.constant(arrays[name]) for name in used}


_CHANNEL_AXIS = {"conv": 3, "depthwise": 2, "dense": 1}


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
    scale = arrays[step["arrays"]["scale"]]
    axis = _CHANNEL_AXIS[source["op"]]
    shape = [1] * kernel.ndim
    shape[axis] = -1
    if axis == 2:  # depthwise (h, w, channels, multiplier): outputs run over both last axes
        shape[3] = kernel.shape[3]
    bias = arrays[source["arrays"]["bias"]] if "bias" in source["arrays"] else np.float32(0)
    shift = arrays[step["arrays"]["shift"]] if "shift" in step["arrays"] else np.float32(0)
    names = {"kernel": f"{step['out']}/kernel", "bias": f"{step['out']}/bias"}
    arrays[names["kernel"]] = kernel * scale.reshape(shape)
    arrays[names["bias"]] = np.broadcast_to(bias * scale + shift, scale.shape).astype(np.float32)
    source["arrays"] = names


# ---- the cell mask -----------------------------------------------------------------------------

GRID = 48  # the mask is found on a grid of this many squares a side, whatever the image's size
REACH = 18  # squares that the cell may reach beyond the middle, bends included
MIDDLE = (0.16, 0.22)  # radius, as a share of the image, within which the cell must lie in part


def cell_mask(images: Any, ops: Any = tf) -> Any:
    """Isolate the cell in the middle: all around it takes the colour of the image's own ground.

    images: (n, px, px, 3) float32, 0-255. Returns the same shape and range. Each image is masked
    by itself, and turned or flipped it gets the same mask. One in which no cell is found (no stain
    in the middle, nearly all of the image, or something darker in the middle that is not in the
    mask) stays as it is.
    ops: the library that computes: tf here, keras.ops in training. Only functions that both of
    them and NumPy have under one name are used, so that there is one definition of the arithmetic.

    The ground's own colour and not black: a dark nucleus keeps its outline, a mask a little too
    large does not show, and a missed cell looks like the plain ground that networks know.
    """
    mask, ground = find_cell(images, ops)
    return ground + mask * (images - ground)


def find_cell(images: Any, ops: Any = tf) -> tuple[Any, Any]:
    """The cell in the middle of each image, and the colour of what lies behind the cells.

    images: (n, px, px, 3) float32, 0-255. Returns (n, px, px, 1), 0-1, and (n, 1, 1, 3), 0-255.

    Ground: the mean colour of the border's greenest fifth, since plasma absorbs no green. Stain:
    dyes absorb green and spare blue (azure) or red (eosin); haemoglobin spares neither, which
    tells a red cell from a white one. Near a nucleus whatever is not ground counts too, a pale
    cytoplasm for instance. What is left when thin bridges are cut, and is connected with the
    middle, is the cell, with its holes filled. Nothing jumps: thresholds are ramps, and connection
    is morphological reconstruction of grey values, so that no rounding error can decide.
    Source: Vincent 1993, doi:10.1109/83.217222 (reconstruction); the idea of separating stains by
    the light that they absorb from Ruifrok & Johnston 2001, here with weights chosen by eye.
    """
    px = images.shape[1]
    planes = _on_grid(images, px, ops)
    ground = _ground(planes, ops)
    absorbed = 1 - planes / ops.reshape(ops.maximum(ground, 1.0), (-1, 3, 1, 1))
    mask = _connected(_stained(absorbed, ops), ops)
    mask = 1 - _plausible(mask, absorbed, ops) * (1 - mask)
    mask = ops.reshape(_both_ways(_enlarging(px), mask, ops), (-1, px, px, 1))
    return mask, ops.reshape(ground, (-1, 1, 1, 3))


def _on_grid(images: Any, px: int, ops: Any) -> Any:
    """Mean colours of the grid's squares: (n, 3, GRID, GRID)."""
    means = _averaging(px, GRID)
    rows = ops.matmul(means, ops.reshape(images, (-1, px, px * 3)))
    rows = ops.transpose(ops.reshape(rows, (-1, GRID, px, 3)), (0, 3, 1, 2))
    return ops.reshape(ops.matmul(ops.reshape(rows, (-1, px)), means.T), (-1, 3, GRID, GRID))


def _ground(planes: Any, ops: Any) -> Any:
    """Colour of what lies behind the cells: (n, 3), from planes (n, 3, GRID, GRID)."""
    border = ops.matmul(ops.reshape(planes, (-1, GRID * GRID)), _border())
    border = ops.reshape(border, (-1, 3, border.shape[1]))
    green = border[:, 1]
    fifth = ops.sort(green)[:, -(green.shape[1] // 5)]
    shares = _ramp(green - ops.reshape(fifth, (-1, 1)), -2.0, 2.0, ops) + 1e-6
    total = ops.matmul(shares, np.ones((green.shape[1], 1), np.float32))
    colours = ops.matmul(border, ops.reshape(shares, (-1, green.shape[1], 1)))
    return ops.reshape(colours, (-1, 3)) / total


def _stained(absorbed: Any, ops: Any) -> Any:
    """How likely each square is the cell's: (n, GRID, GRID), 0-1.

    absorbed: (n, 3, GRID, GRID), the share of the ground's light that is missing in each channel.
    """
    red, green, blue = absorbed[:, 0], absorbed[:, 1], absorbed[:, 2]
    stain = green - 1.15 * ops.minimum(blue, red + 0.05)
    positive = ops.maximum(stain, 0.0)
    strength = _mean(positive**3, _middle(), ops) / (_mean(positive**2, _middle(), ops) + 1e-6)
    scale = _ramp(strength, 0.0, 0.4, ops) * 0.7 + 0.3  # less where the whole image is pale
    stain = stain / scale
    nucleus = _ramp(stain, 0.22, 0.32, ops)
    near = ops.minimum(3 * _both_ways(_gaussian(4.0), nucleus, ops), 1.0)
    not_ground = _ramp(_contrast(absorbed, ops) / scale, 0.06, 0.12, ops)
    return _ramp(stain + 0.12 * near * not_ground, 0.05, 0.13, ops)


def _plausible(mask: Any, absorbed: Any, ops: Any) -> Any:
    """1 for a mask that holds what is darkest in the middle, and not all of the image; (n, 1, 1).

    Colours may be so far from any stain that the mask takes the wrong things for the cell.
    """
    share = _mean(mask, np.ones((GRID, GRID)), ops)
    weight = _contrast(absorbed, ops) ** 4
    held = _mean(mask * weight, _middle(), ops) / (_mean(weight, _middle(), ops) + 1e-6)
    return _ramp(held, 0.5, 0.7, ops) * _ramp(-share, -0.9, -0.8, ops)


def _contrast(absorbed: Any, ops: Any) -> Any:
    """The largest difference from the ground in any channel: (n, GRID, GRID)."""
    red, green, blue = abs(absorbed[:, 0]), abs(absorbed[:, 1]), abs(absorbed[:, 2])
    return ops.maximum(ops.maximum(red, green), blue)


def _connected(likely: Any, ops: Any) -> Any:
    """What of (n, GRID, GRID) hangs together with the middle, holes filled, edges smooth; 0-1."""
    likely = ops.transpose(likely, (1, 2, 0))  # images last: three times as fast on a CPU
    opened = _grown(1 - _grown(1 - likely, ops), ops)
    cell = opened * _middle()[:, :, None]
    for _ in range(REACH):  # grows step by step, nowhere above `opened`
        cell = ops.minimum(_grown(cell, ops), opened)
    filled = ops.transpose(_filled(cell, ops), (2, 0, 1))
    return _ramp(_both_ways(_gaussian(0.8), filled, ops), 0.4, 0.9, ops)


def _grown(x: Any, ops: Any) -> Any:
    """The largest value of each square and its eight neighbours: (GRID, GRID, n), values >= 0."""
    x = ops.pad(x, ((1, 1), (1, 1), (0, 0)))
    x = ops.maximum(ops.maximum(x[2:], x[:-2]), x[1:-1])
    return ops.maximum(ops.maximum(x[:, 2:], x[:, :-2]), x[:, 1:-1])


def _filled(x: Any, ops: Any) -> Any:
    """Holes closed: each square as high as what encloses it above, below, left and right."""
    up, down, left, right = x, x, x, x
    step = 1
    while step < GRID:  # running maxima, over twice as many squares each time
        up = ops.maximum(up, ops.pad(up[step:], ((0, step), (0, 0), (0, 0))))
        down = ops.maximum(down, ops.pad(down[:-step], ((step, 0), (0, 0), (0, 0))))
        left = ops.maximum(left, ops.pad(left[:, step:], ((0, 0), (0, step), (0, 0))))
        right = ops.maximum(right, ops.pad(right[:, :-step], ((0, 0), (step, 0), (0, 0))))
        step *= 2
    return ops.minimum(ops.minimum(up, down), ops.minimum(left, right))


def _ramp(x: Any, low: float, high: float, ops: Any) -> Any:
    """0 up to `low`, 1 from `high`, linear between."""
    return ops.minimum(ops.maximum((x - low) / (high - low), 0.0), 1.0)


def _mean(x: Any, weights: np.ndarray, ops: Any) -> Any:
    """Weighted mean over the grid: (n, 1, 1)."""
    column = (weights / weights.sum()).reshape(-1, 1).astype(np.float32)
    return ops.reshape(ops.matmul(ops.reshape(x, (-1, GRID * GRID)), column), (-1, 1, 1))


def _both_ways(matrix: np.ndarray, x: Any, ops: Any) -> Any:
    """A linear filter (out, in) along rows and columns of (..., in, in): (..., out, out)."""
    return ops.matmul(ops.matmul(matrix, x), matrix.T)


def _averaging(px: int, squares: int) -> np.ndarray:
    """Means of `px` pixels over equal lengths: (squares, px)."""
    edges, pixels = np.linspace(0, px, squares + 1)[:, None], np.arange(px)
    overlap = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    overlap = np.maximum(overlap, 0)
    return (overlap / overlap.sum(1, keepdims=True)).astype(np.float32)


def _enlarging(px: int) -> np.ndarray:
    """Bilinear interpolation of the grid's squares at `px` pixels: (px, GRID)."""
    places = np.clip((np.arange(px) + 0.5) * GRID / px - 0.5, 0, GRID - 1)
    return np.maximum(0, 1 - abs(places[:, None] - np.arange(GRID))).astype(np.float32)


def _gaussian(sd: float) -> np.ndarray:
    """Gaussian blur along the grid, sd in squares: (GRID, GRID)."""
    steps = np.arange(GRID)
    weights = np.exp(-0.5 * ((steps[:, None] - steps) / sd) ** 2)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _offsets() -> np.ndarray:
    """Distance of each row or column from the middle, in squares."""
    return abs(np.arange(GRID) - GRID / 2 + 0.5)


def _middle() -> np.ndarray:
    """1 in the middle of the grid, 0 outside a circle: (GRID, GRID)."""
    distance = np.hypot(_offsets()[:, None], _offsets()) / GRID
    return _ramp(-distance, -MIDDLE[1], -MIDDLE[0], np).astype(np.float32)


def _border() -> np.ndarray:
    """Means over the 176 fields of 2 x 2 squares that lie along the edges: (GRID * GRID, 176)."""
    half = _averaging(GRID, GRID // 2)
    edge = np.zeros((GRID // 2, GRID // 2), bool)
    edge[:2] = edge[-2:] = edge[:, :2] = edge[:, -2:] = True
    return np.kron(half, half)[edge.ravel()].T


# ---- the operations ----------------------------------------------------------------------------


def _conv(
    x: Any,
    kernel: Any,
    bias: Any = None,
    strides: int = 1,
    padding: str = "VALID",
    dilation: int = 1,
) -> tf.Tensor:
    y = tf.nn.conv2d(x, kernel, strides, padding, dilations=dilation)
    return y if bias is None else tf.nn.bias_add(y, bias)


def _depthwise(
    x: Any,
    kernel: Any,
    bias: Any = None,
    strides: int = 1,
    padding: str = "VALID",
    dilation: int = 1,
) -> tf.Tensor:
    y = tf.nn.depthwise_conv2d(
        x, kernel, (1, strides, strides, 1), padding, dilations=(dilation, dilation)
    )
    return y if bias is None else tf.nn.bias_add(y, bias)


def _dense(x: Any, kernel: Any, bias: Any = None) -> tf.Tensor:
    inner, outer = kernel.shape
    y = tf.matmul(tf.reshape(x, (-1, inner)), kernel)
    y = y if bias is None else tf.nn.bias_add(y, bias)
    return tf.reshape(y, tf.concat([tf.shape(x)[:-1], [outer]], 0)) if x.shape.rank > 2 else y


def _layer_norm(x: Any, gamma: Any = None, beta: Any = None, epsilon: float = 1e-3) -> tf.Tensor:
    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon)


def _scale(x: Any, scale: Any, shift: Any = None) -> tf.Tensor:
    return x * scale if shift is None else x * scale + shift


def _pool(x: Any, kind: str, size: Any, strides: Any, padding: str) -> tf.Tensor:
    pool = tf.nn.max_pool2d if kind == "max" else tf.nn.avg_pool2d
    return pool(x, size, strides, padding)


def _global_pool(x: Any, kind: str, keepdims: bool = False) -> tf.Tensor:
    reduce = tf.reduce_max if kind == "max" else tf.reduce_mean
    return reduce(x, axis=(1, 2), keepdims=keepdims)


def _flatten(x: Any) -> tf.Tensor:
    return tf.reshape(x, (tf.shape(x)[0], -1))


def _activation(x: Any, kind: str) -> tf.Tensor:
    return ACTIVATIONS[kind](x)


def _resize(x: Any, size: Any, method: str) -> tf.Tensor:
    return tf.image.resize(x, size, method)


ACTIVATIONS: dict[str, Any] = {
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "gelu": lambda x: tf.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: tf.nn.gelu(x, approximate=True),
    "silu": tf.nn.silu,
    "sigmoid": tf.nn.sigmoid,
    "tanh": tf.nn.tanh,
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "softplus": tf.nn.softplus,
}

OPS: dict[str, Any] = {
    "cell_mask": cell_mask,
    "conv": _conv,
    "depthwise": _depthwise,
    "dense": _dense,
    "layer_norm": _layer_norm,
    "scale": _scale,
    "activation": _activation,
    "add": lambda *xs: tf.add_n(xs) if len(xs) > 2 else xs[0] + xs[1],
    "multiply": lambda *xs: functools.reduce(operator.mul, xs),
    "concatenate": lambda *xs, axis: tf.concat(xs, axis),
    "pad": lambda x, paddings: tf.pad(x, paddings),
    "pool": _pool,
    "global_pool": _global_pool,
    "flatten": _flatten,
    "reshape": lambda x, shape: tf.reshape(x, (tf.shape(x)[0], *shape)),
    "resize": _resize,
    "softmax": lambda x: tf.nn.softmax(x),
}
