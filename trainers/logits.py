"""Where a network's logits are: before its softmax, or at its end, where a softmax is added."""

from typing import Any

import keras
from keras import layers

from cells.errors import ExportError
from trainers.graph import functional
from trainers.program import Program

# What hands probabilities on: nothing in it is learned, but for a factor and a shift a channel.
_CARRIES_ON = {
    *("activation", "add", "concatenate", "divide", "flatten", "global_pool", "maximum", "minimum"),
    *("multiply", "pad", "pool", "power", "reduce", "reshape", "resize", "scale", "slice", "sort"),
    *("subtract", "transpose"),
}
# Activations whose values are probabilities, or become such when divided by their sum.
_POSITIVE = {"exp", "hard_sigmoid", "sigmoid", "softplus"}


def last_softmax(network: keras.Model, program: Program, outputs: list[int]) -> tuple[int, int]:
    """Numbers of the logits and of the probabilities; the program gets a softmax if it has none.

    outputs: of the network, in the program that it became.
    Raises ExportError unless the network ends in (n, classes) logits or in one softmax of them:
    for another activation at the end, for what is computed from probabilities, and for a softmax
    whose probabilities would go through a second one.
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
        blended = _probabilities(program, _POSITIVE).get(output)
        if blended is not None:
            raise ExportError(
                f"{network.name}: expected logits or their softmax, got what is computed from "
                f"probabilities ({blended['name']}). Save the model up to its logits, or adopt "
                "each head by itself."
            )
        program.name = "softmax"
        logits, output = output, program.add("softmax", output)
    else:
        logits = last["in"][0]
        another = _probabilities(program, set()).get(logits)
        if another is not None:
            raise ExportError(
                f"{network.name}: expected one softmax, as the last operation, got that of "
                f"{another['name']}, whose probabilities would go through another. Take one of "
                "them away."
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


def _probabilities(program: Program, kinds: set[str]) -> dict[int, dict[str, Any]]:
    """By number, the values that are computed from probabilities with nothing learned in between.

    Each with the operation that they come from: a softmax, or an activation of one of the kinds.
    """
    found: dict[int, dict[str, Any]] = {}
    for step in program.ops:
        if step["op"] == "softmax" or step["attrs"].get("kind") in kinds:
            found[step["out"]] = step
        elif step["op"] in _CARRIES_ON:
            makers = {number: program.maker(number) for number in step["in"]}
            tensors = [at for at, made in makers.items() if not made or made["op"] != "constant"]
            if step["op"] in ("divide", "power"):
                tensors = tensors[:1]  # x over a sum of probabilities is what x is
            sources = [found[at] for at in tensors if at in found]
            # x times probabilities is attention or a gate: logits where x is
            if sources and (step["op"] != "multiply" or len(sources) == len(tensors)):
                found[step["out"]] = sources[0]
    return found
