"""What each operation of `keras.ops` becomes: operations of `submission/model.py`.

A functional graph holds them beside layers: `x * (1 / 6)` is one. A layer outside the table of
`trainers/operations.py` is taken apart into them. One that is not in SYMBOLIC cannot be exported.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from trainers.program import Program, Shape, Unsupported, Value


@dataclass(frozen=True)
class Call:
    """One call of an operation: itself, its arguments by name, and the shapes that come out.

    An argument is a Value where it is a tensor of the graph, else what was passed.
    """

    operation: Any
    arguments: dict[str, Any]
    shapes: list[Shape]

    @property
    def x(self) -> Value:
        """The first argument, of an operation with one tensor."""
        first = next(iter(self.arguments.values()))
        if not isinstance(first, Value):
            raise Unsupported(f"expected one tensor of the graph first, got {first}")
        return first


def _images(shape: Shape) -> int:
    """The axis that counts images: of unknown size; the first where a model fixes its batch."""
    return shape.index(None) if None in shape else 0


def _number(program: Program, operand: Any) -> int:
    return operand.number if isinstance(operand, Value) else program.constant(operand)


def _binary(op: str) -> Callable[[Program, Call], int]:
    def express(program: Program, call: Call) -> int:
        operands = [call.arguments["x1"], call.arguments["x2"]]
        shapes = [each.shape for each in operands if isinstance(each, Value) and each.shape]
        if len({_images(shape) - len(shape) for shape in shapes}) > 1:
            raise Unsupported(f"expected images at the same axis, got {shapes}")
        return program.add(op, *(_number(program, each) for each in operands))

    return express


def _matmul(program: Program, call: Call) -> int:
    """Raises Unsupported where the axis that is summed over counts images."""
    for key, summed in (("x1", -1), ("x2", -2)):
        operand = call.arguments[key]
        if isinstance(operand, Value) and _images(operand.shape) - len(operand.shape) == summed:
            raise Unsupported(f"{key}: expected no sum over images, got {operand.shape}")
    return _binary("matmul")(program, call)


def _multiply(program: Program, call: Call) -> int:
    """By one number a channel: a scale, which the runtime can merge into what comes before."""
    pair = [call.arguments["x1"], call.arguments["x2"]]
    tensors = [each for each in pair if isinstance(each, Value)]
    others = [np.asarray(each) for each in pair if not isinstance(each, Value)]
    if others and others[0].shape == (tensors[0].shape[-1],):
        return program.add("scale", tensors[0].number, arrays={"scale": others[0]})
    return _binary("multiply")(program, call)


def _same(program: Program, call: Call) -> int:
    return call.x.number


def _cast(program: Program, call: Call) -> int:
    if "float" not in str(call.operation.dtype):
        raise Unsupported(f"to {call.operation.dtype}: the runtime computes in float32 throughout")
    return call.x.number


def _each(kind: str) -> Callable[[Program, Call], int]:
    return lambda program, call: program.add("activation", call.x.number, kind=kind)


def _by(factor: float) -> Callable[[Program, Call], int]:
    return lambda program, call: program.add("multiply", call.x.number, program.constant(factor))


def _to_the(exponent: float) -> Callable[[Program, Call], int]:
    return lambda program, call: program.add("power", call.x.number, program.constant(exponent))


def _square(program: Program, call: Call) -> int:
    return program.add("multiply", call.x.number, call.x.number)


def _softsign(program: Program, call: Call) -> int:
    above = program.add("activation", call.x.number, kind="abs")
    return program.add("divide", call.x.number, program.add("add", above, program.constant(1.0)))


def _gelu(program: Program, call: Call) -> int:
    kind = "gelu_tanh" if call.operation.approximate else "gelu"
    return program.add("activation", call.x.number, kind=kind)


def _leaky(program: Program, x: int, slope: float) -> int:
    """x above 0, slope * x below."""
    below = program.add("minimum", x, program.constant(0.0))
    below = program.add("multiply", below, program.constant(slope))
    return program.add("add", program.add("activation", x, kind="relu"), below)


def _leaky_relu(program: Program, call: Call) -> int:
    return _leaky(program, call.x.number, call.operation.negative_slope)


def _relu(program: Program, call: Call) -> int:
    x, operation = call.x.number, call.operation
    if operation.threshold:
        raise Unsupported(f"threshold: expected 0, got {operation.threshold}")
    if operation.negative_slope:
        x = _leaky(program, x, float(operation.negative_slope))
    elif operation.max_value == 6:
        return program.add("activation", x, kind="relu6")
    else:
        x = program.add("activation", x, kind="relu")
    if operation.max_value is None:
        return x
    return program.add("minimum", x, program.constant(operation.max_value))


def _elu(program: Program, call: Call) -> int:
    x, alpha = call.x.number, float(call.operation.alpha)
    if alpha == 1:
        return program.add("activation", x, kind="elu")
    below = program.add("minimum", x, program.constant(0.0))
    below = program.add("activation", below, kind="elu")
    below = program.add("multiply", below, program.constant(alpha))
    return program.add("add", program.add("activation", x, kind="relu"), below)


def _clip(program: Program, call: Call) -> int:
    return _between(program, call.x.number, call.operation.x_min, call.operation.x_max)


def _between(program: Program, x: int, low: Any, high: Any) -> int:
    x = program.add("maximum", x, program.constant(low))
    return program.add("minimum", x, program.constant(high))


def _softmax(program: Program, call: Call) -> int:
    if call.operation.axis not in (-1, len(call.x.shape) - 1):
        raise Unsupported(f"axis: expected the last, got {call.operation.axis}")
    _axes(call.operation.axis, call.x.shape)
    return program.add("softmax", call.x.number)


def _axes(axis: Any, shape: Shape) -> list[int]:
    """Axes as numbers >= 0. Raises Unsupported where different images would meet."""
    every = range(len(shape))
    given = every if axis is None else axis if isinstance(axis, list | tuple) else [axis]
    axes = [every[each] for each in given]
    if _images(shape) in axes or any(shape[each] is None for each in axes):
        raise Unsupported(f"axis: expected one within an image, got {axis}")
    return axes


def _reduced(program: Program, x: int, kind: str, call: Call) -> int:
    """x, of the shape of the call's tensor, reduced as the call says; kind: avg or max."""
    if getattr(call.operation, "initial", None) is not None:
        raise Unsupported(f"initial: expected none, got {call.operation.initial}")
    axes, keepdims = _axes(call.operation.axis, call.x.shape), bool(call.operation.keepdims)
    return program.add("reduce", x, kind=kind, axis=axes, keepdims=keepdims)


def _reduce(kind: str) -> Callable[[Program, Call], int]:
    return lambda program, call: _reduced(program, call.x.number, kind, call)


def _sum(program: Program, call: Call) -> int:
    sizes = [call.x.shape[axis] or 0 for axis in _axes(call.operation.axis, call.x.shape)]
    mean = _reduced(program, call.x.number, "avg", call)
    return program.add("multiply", mean, program.constant(math.prod(sizes)))


def _least(program: Program, call: Call) -> int:
    """Minus the largest of what has the other sign."""
    minus = program.add("multiply", call.x.number, program.constant(-1))
    largest = _reduced(program, minus, "max", call)
    return program.add("multiply", largest, program.constant(-1))


def _moments(program: Program, call: Call) -> list[int]:
    x, keepdims = call.x.number, bool(call.operation.keepdims)
    axes = _axes(call.operation.axes, call.x.shape)
    centre = program.add("reduce", x, kind="avg", axis=axes, keepdims=True)
    off = program.add("subtract", x, centre)
    square = program.add("multiply", off, off)
    return [
        program.add("reduce", each, kind="avg", axis=axes, keepdims=keepdims)
        for each in (x, square)
    ]


def _reshape(program: Program, call: Call) -> int:
    """Also what adds or drops axes of one element: only the shape that comes out counts."""
    first, *rest = call.shapes[0]
    if first is not None or None in rest:
        raise Unsupported(f"expected images first and fixed sizes, got {call.shapes[0]}")
    return program.add("reshape", call.x.number, shape=rest)


def _transpose(program: Program, call: Call) -> int:
    """Images may move, where their axis can still be told from the others: by its unknown size."""
    every = range(len(call.x.shape))
    axes = [every[each] for each in call.operation.axes or every[::-1]]
    if axes[0] and None not in call.x.shape:
        raise Unsupported(f"axes: expected images to stay first in a batch of {call.x.shape[0]}")
    return program.add("transpose", call.x.number, axes=axes)


def _slice(program: Program, call: Call) -> int:
    key, rank = call.arguments["key"], len(call.x.shape)
    parts = list(key) if isinstance(key, tuple | list) else [key]
    if any(not isinstance(part, int | slice | None | type(...)) for part in parts):
        raise Unsupported(f"expected numbers, slices, None and ... between brackets, got {key}")
    if Ellipsis not in parts:
        parts.append(Ellipsis)
    at, given = parts.index(Ellipsis), len(parts) - 1 - parts.count(None)
    parts[at : at + 1] = [slice(None)] * (rank - given)
    taken = [part for part in parts if part is not None]
    for axis, part in enumerate(taken):
        image = axis == _images(call.x.shape) or call.x.shape[axis] is None
        if image and part != slice(None):
            raise Unsupported(f"expected all images, got {key}")
    plain = [
        [part.start, part.stop, part.step] if isinstance(part, slice) else part for part in parts
    ]
    return program.add("slice", call.x.number, key=plain)


def _pad(program: Program, call: Call) -> int:
    value = call.arguments.get("constant_values") or 0
    if call.operation.mode != "constant" or value:
        raise Unsupported(f"expected zeros, got mode {call.operation.mode}, value {value}")
    widths = [[int(width) for width in pair] for pair in call.operation.pad_width]
    if len(widths) == 1:
        widths *= len(call.x.shape)
    if any(widths[_images(call.x.shape)]):
        raise Unsupported(f"pad_width: expected none for the axis of images, got {widths}")
    return program.add("pad", call.x.number, paddings=widths)


def _concatenate(program: Program, call: Call) -> int:
    _axes(call.operation.axis, call.shapes[0])
    numbers = [_number(program, each) for each in call.arguments["xs"]]
    return program.add("concatenate", *numbers, axis=call.operation.axis)


def _sort(program: Program, call: Call) -> int:
    (axis,) = _axes(call.operation.axis, call.x.shape)
    return program.add("sort", call.x.number, axis=axis)


# Activations that Keras computes without an operation of its own in the graph.
WRITTEN_OUT: dict[Any, Callable[[Any], Any]] = {
    keras.activations.hard_silu: keras.ops.hard_silu,
    keras.activations.mish: lambda x: x * keras.ops.tanh(keras.ops.softplus(x)),
}

# By the name of the class in keras.src.ops (ReLU: in keras.src.activations).
SYMBOLIC: dict[str, Callable[[Program, Call], int | list[int]]] = {
    "Absolute": _each("abs"),
    "Add": _binary("add"),
    "Amax": _reduce("max"),
    "Amin": _least,
    "Cast": _cast,
    "Clip": _clip,
    "Concatenate": _concatenate,
    "Divide": _binary("divide"),
    "Elu": _elu,
    "Exp": _each("exp"),
    "ExpandDims": _reshape,
    "Gelu": _gelu,
    "GetItem": _slice,
    "HardSigmoid": _each("hard_sigmoid"),
    "HardSilu": _each("hard_silu"),
    "HardTanh": lambda program, call: _between(program, call.x.number, -1.0, 1.0),
    "LeakyRelu": _leaky_relu,
    "Matmul": _matmul,
    "Max": _reduce("max"),
    "Maximum": _binary("maximum"),
    "Mean": _reduce("avg"),
    "Min": _least,
    "Minimum": _binary("minimum"),
    "Moments": _moments,
    "Multiply": _multiply,
    "Negative": _by(-1.0),
    "Pad": _pad,
    "Power": _binary("power"),
    "ReLU": _relu,
    "Relu": _each("relu"),
    "Relu6": _each("relu6"),
    "Reshape": _reshape,
    "Rsqrt": _to_the(-0.5),
    "Selu": _each("selu"),
    "Sigmoid": _each("sigmoid"),
    "Silu": _each("silu"),
    "Softmax": _softmax,
    "Softplus": _each("softplus"),
    "Softsign": _softsign,
    "Sort": _sort,
    "Sqrt": _to_the(0.5),
    "Square": _square,
    "Squeeze": _reshape,
    "StopGradient": _same,
    "Subtract": _binary("subtract"),
    "Sum": _sum,
    "Tanh": _each("tanh"),
    "Transpose": _transpose,
    "TrueDivide": _binary("divide"),
}
