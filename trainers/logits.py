"""Where a network's logits are: before its softmax, or at its end, where a softmax is added."""

from typing import Any

import keras
from keras import layers

from cells.errors import ExportError
from trainers.graph import functional
from trainers.program import Program

# What hands probabilities on as they are, or blends them.
_CARRIES_ON = {"reshape", "flatten", "transpose", "slice", "concatenate", "add", "scale", "divide"}


def last_softmax(network: keras.Model, program: Program, outputs: list[int]) -> tuple[int, int]:
    """Numbers of the logits and of the probabilities; the program gets a softmax if it has none.

    outputs: of the network, in the program that it became.
    Raises ExportError unless the network ends in (n, classes) logits or in one softmax of them:
    for another activation at the end, and for a softmax whose probabilities would go through a
    second one.
    """
    shapes = [tensor.shape for tensor in network.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] < 2:
        raise ExportError(
            f"{network.name}: expected one output (n, classes) of two or more classes, got "
            f"{', '.join(map(str, shapes))}."
        )
    (output,) = outputs
    last = program.maker(output)
    kind = _activation(network)
    if last and last["op"] in ("activation", "maximum", "minimum"):
        kind = last["attrs"].get("kind", last["op"])
    if last is None or last["op"] != "softmax":
        if kind is not None:
            raise ExportError(
                f"{network.name}: expected logits or their softmax at the end, got {kind}. "
                "End with a Dense without activation."
            )
        program.name = "softmax"
        logits, output = output, program.add("softmax", output)
    else:
        logits = last["in"][0]
    another = _softmax_before(program, logits)
    if another is not None:
        raise ExportError(
            f"{network.name}: expected one softmax, as the last operation, got that of "
            f"{another['name']}, whose probabilities would go through another. Take one of them "
            "away."
        )
    return logits, output


def _activation(network: keras.Model) -> str | None:
    """Name of the activation that the last layer is or has; None for a linear one."""
    last = functional(network, network.name).outputs[0]._keras_history.operation
    if hasattr(last, "_nodes_by_depth") or isinstance(last, keras.Sequential):
        return _activation(last)
    if isinstance(last, layers.ReLU | layers.LeakyReLU | layers.ELU | layers.PReLU):
        return type(last).__name__
    function = getattr(last, "activation", keras.activations.linear)
    name: str = getattr(function, "__name__", type(function).__name__)
    return None if name == "linear" else name


def _softmax_before(program: Program, number: int) -> dict[str, Any] | None:
    """The softmax whose probabilities reach a value with nothing learned in between."""
    step = program.maker(number)
    if step is None or step["op"] == "softmax":
        return step
    if step["op"] not in _CARRIES_ON:
        return None
    found = (_softmax_before(program, each) for each in step["in"])
    return next((each for each in found if each is not None), None)
