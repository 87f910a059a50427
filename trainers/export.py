"""A trained Keras network becomes `member.h5`: a program of primitive operations and its arrays.

The operations are those of `submission/model.py`, which is all that ever runs a member. Arrays are
stored unfolded; kernels as float16 beside a float32 scale per output channel, the rest (norms,
biases, layer scales: well under 1 % of a network) as float32.
"""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cells.errors import ExportError
from cells.files import fingerprint, replacing_h5
from submission.model import FORMAT, SEAL
from trainers.operations import OPERATIONS, Step


class Program:
    """The list that grows while the graph is walked. Value 0 is the batch of images, 0-255."""

    def __init__(self) -> None:
        self.ops: list[dict[str, Any]] = []
        self.arrays: dict[str, np.ndarray] = {}

    def add(self, step: Step, inputs: list[int], name: str) -> int:
        """Append one operation; returns the number of its output value."""
        op, arrays, attrs = step
        out = len(self.ops) + 1
        names = {}
        for key, array in arrays.items():
            names[key] = f"{out:04d}-{key}"
            self.arrays[names[key]] = np.asarray(array, np.float32)
        self.ops.append(
            {"op": op, "name": name, "in": inputs, "out": out, "arrays": names, "attrs": attrs}
        )
        return out


def to_program(network: keras.Model) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A functional network from images to logits, as a program and its float32 arrays.

    Raises ExportError for a layer that the runtime cannot express, naming layer, class and path.
    """
    program = Program()
    logits = _walk(network, [0], program, network.name)[0]
    output = program.add(("softmax", {}, {}), [logits], "softmax")
    return {"ops": program.ops, "logits": logits, "output": output}, program.arrays


def write_member(path: Path, network: keras.Model, attrs: dict[str, Any], half: bool = True) -> str:
    """Write member.h5 in one step; returns its fingerprint.

    attrs: name, run, fold, classes, image_px, data_fingerprint, recipe_fingerprint.
    half: kernels as float16, half the size; False keeps float32.
    """
    program, arrays = to_program(network)
    text = json.dumps(program)
    depthwise = {step["arrays"]["kernel"] for step in program["ops"] if step["op"] == "depthwise"}
    packed = {
        key: pack_array(array, key in depthwise) if half else (array,)
        for key, array in arrays.items()
    }
    parts = [part.tobytes() for key in sorted(packed) for part in packed[key]]
    member_fingerprint = fingerprint(text, *parts)
    with replacing_h5(path, seal=SEAL) as file:
        file.attrs.update({**attrs, "classes": json.dumps(list(attrs["classes"]))})
        file.attrs.update({"kind": "member", "format": FORMAT})
        file.attrs["member_fingerprint"] = member_fingerprint
        file["program"] = text
        group = file.create_group("arrays")
        for key, stored in packed.items():
            if len(stored) == 1:
                group[key] = stored[0]
            else:
                group[f"{key}/values"], group[f"{key}/scale"] = stored
    return member_fingerprint


def pack_array(array: np.ndarray, depthwise: bool = False) -> tuple[np.ndarray, ...]:
    """(float32 array,) for a vector; (float16 values, float32 scale) for a kernel.

    The scale of an output channel is its largest magnitude, so that values lie in -1..1.
    """
    if array.ndim < 2:
        return (array,)
    channels = (2, 3) if depthwise else (array.ndim - 1,)
    axes = tuple(axis for axis in range(array.ndim) if axis not in channels)
    scale = np.abs(array).max(axis=axes, keepdims=True)
    scale[scale == 0] = 1
    return (array / scale).astype(np.float16), scale


def _walk(model: keras.Model, inputs: list[int], program: Program, path: str) -> list[int]:
    """Append the operations of a functional model; returns its outputs' numbers."""
    if isinstance(model, keras.Sequential):
        value = inputs[0]
        for layer in model.layers:
            value = _call(layer, [value], program, f"{path}/{layer.name}")
        return [value]
    if not hasattr(model, "_nodes_by_depth"):
        raise ExportError(
            f"{path}: expected a functional model, got {type(model).__name__}. "
            "Build it with keras.Model(inputs, outputs)."
        )
    values: dict[int, int] = {
        id(tensor): number for tensor, number in zip(model.inputs, inputs, strict=True)
    }
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            arguments = [values[id(tensor)] for tensor in node.input_tensors]
            operation: Any = node.operation
            value = _call(operation, arguments, program, f"{path}/{operation.name}")
            values[id(node.output_tensors[0])] = value
    return [values[id(tensor)] for tensor in model.outputs]


def _call(layer: Any, inputs: list[int], program: Program, path: str) -> int:
    """Append one layer, which may itself be a model."""
    if isinstance(layer, keras.Model):
        return _walk(layer, inputs, program, path)[0]
    express = OPERATIONS.get(type(layer))
    if express is not None:
        if getattr(layer, "data_format", None) == "channels_first":
            raise ExportError(f"{path}: channels first. Build the network channels last.")
        value = inputs
        for step in express(layer):
            value = [program.add(step, value, layer.name)]
        return value[0]
    known = sorted(kind.__name__ for kind in OPERATIONS)
    raise ExportError(
        f"{path}: {type(layer).__module__}.{type(layer).__name__} is not among the layers that "
        f"the uploaded runtime can express: {', '.join(known)}."
    )
