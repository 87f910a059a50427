"""A trained Keras network becomes `member.h5`: a program of primitive operations and its arrays.

The operations are those of `submission/model.py`, which is all that ever runs a member. Arrays are
stored unfolded; kernels as float16 beside a float32 scale per output channel, the rest (norms,
biases, layer scales: well under 1 % of a network) as float32.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from cells.errors import ExportError
from cells.files import fingerprint, replacing_h5
from submission.model import ACTIVATIONS, FORMAT
from trainers.layers import CellMask, DropPath, LayerScale

Step = tuple[str, dict[str, np.ndarray], dict[str, Any]]  # operation, its arrays, its settings


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
    with replacing_h5(path) as file:
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
    express = EXPRESS.get(type(layer))
    if express is not None:
        if getattr(layer, "data_format", None) == "channels_first":
            raise ExportError(f"{path}: channels first. Build the network channels last.")
        value = inputs
        for step in express(layer):
            value = [program.add(step, value, layer.name)]
        return value[0]
    raise ExportError(
        f"{path}: {type(layer).__module__}.{type(layer).__name__} is not among the layers that "
        f"the uploaded runtime can express: {', '.join(sorted(kind.__name__ for kind in EXPRESS))}."
    )


# ---- what each layer becomes ---------------------------------------------------------------------


def _nothing(layer: Any) -> list[Step]:
    return []


def _activation(function: Any) -> list[Step]:
    name = getattr(function, "__name__", str(function))
    if name == "linear":
        return []
    if name == "softmax":
        return [("softmax", {}, {})]
    if name not in ACTIVATIONS:
        raise ExportError(
            f"activation {name}: the runtime has {', '.join(sorted(ACTIVATIONS))}, softmax."
        )
    return [("activation", {}, {"kind": name})]


def _relu(layer: layers.ReLU) -> list[Step]:
    settings = (layer.max_value, layer.negative_slope, layer.threshold)
    if settings != (None, 0, 0):
        raise ExportError(
            f"{layer.name}: expected a plain ReLU, got max_value, negative_slope, threshold "
            f"{settings}. Use keras.layers.Activation with a function that the runtime has."
        )
    return _activation(keras.activations.relu)


def _bias(layer: Any) -> dict[str, np.ndarray]:
    return {"bias": np.asarray(layer.bias)} if layer.use_bias else {}


def _conv_attrs(layer: Any) -> dict[str, Any]:
    if len(set(layer.strides)) > 1 or len(set(layer.dilation_rate)) > 1:
        raise ExportError(f"{layer.name}: strides and dilation must be the same both ways.")
    return {
        "strides": int(layer.strides[0]),
        "padding": layer.padding.upper(),
        "dilation": int(layer.dilation_rate[0]),
    }


def _conv2d(layer: layers.Conv2D) -> list[Step]:
    kernel = np.asarray(layer.kernel)
    arrays = {"kernel": kernel, **_bias(layer)}
    if layer.groups > 1 and layer.groups == kernel.shape[-1] and kernel.shape[2] == 1:
        arrays["kernel"] = kernel.transpose(0, 1, 3, 2)
        return [("depthwise", arrays, _conv_attrs(layer)), *_activation(layer.activation)]
    if layer.groups > 1:
        raise ExportError(f"{layer.name}: {layer.groups} groups of several channels each.")
    return [("conv", arrays, _conv_attrs(layer)), *_activation(layer.activation)]


def _depthwise(layer: layers.DepthwiseConv2D) -> list[Step]:
    arrays = {"kernel": np.asarray(layer.kernel), **_bias(layer)}
    return [("depthwise", arrays, _conv_attrs(layer)), *_activation(layer.activation)]


def _dense(layer: layers.Dense) -> list[Step]:
    arrays = {"kernel": np.asarray(layer.kernel), **_bias(layer)}
    return [("dense", arrays, {}), *_activation(layer.activation)]


def _plain(layer: Any, **settings: Any) -> None:
    """Raises ExportError unless the layer acts on the last axis and its settings are as given."""
    axis = getattr(layer, "axis", -1)
    last = (-1, len(layer.input.shape) - 1)
    if any(each not in last for each in (axis if isinstance(axis, list | tuple) else (axis,))):
        raise ExportError(f"{layer.name}: expected the last axis, got {axis}.")
    for name, expected in settings.items():
        if getattr(layer, name, expected) != expected:
            found = getattr(layer, name)
            raise ExportError(f"{layer.name}: {name}: expected {expected}, got {found}.")


def _softmax(layer: layers.Softmax) -> list[Step]:
    _plain(layer)
    return [("softmax", {}, {})]


def _layer_norm(layer: layers.LayerNormalization) -> list[Step]:
    _plain(layer, rms_scaling=False)
    arrays = {}
    if layer.scale:
        arrays["gamma"] = np.asarray(layer.gamma)
    if layer.center:
        arrays["beta"] = np.asarray(layer.beta)
    return [("layer_norm", arrays, {"epsilon": float(layer.epsilon)})]


def _batch_norm(layer: layers.BatchNormalization) -> list[Step]:
    _plain(layer)
    arrays = {
        "mean": np.asarray(layer.moving_mean),
        "variance": np.asarray(layer.moving_variance),
    }
    if layer.scale:
        arrays["gamma"] = np.asarray(layer.gamma)
    if layer.center:
        arrays["beta"] = np.asarray(layer.beta)
    return [("batch_norm", arrays, {"epsilon": float(layer.epsilon)})]


def _normalization(layer: layers.Normalization) -> list[Step]:
    _plain(layer, invert=False)
    deviation = np.maximum(np.sqrt(np.ravel(layer.variance)), keras.backend.epsilon())
    scale, mean = 1 / deviation, np.ravel(layer.mean)
    return [("scale", {"scale": scale, "shift": -mean * scale}, {})]


def _rescaling(layer: layers.Rescaling) -> list[Step]:
    scale, shift = np.ravel(layer.scale), np.ravel(layer.offset)
    return [("scale", {"scale": scale, "shift": shift}, {})]


def _pool(kind: str) -> Callable[[Any], list[Step]]:
    def express(layer: Any) -> list[Step]:
        attrs = {
            "kind": kind,
            "size": list(layer.pool_size),
            "strides": list(layer.strides),
            "padding": layer.padding.upper(),
        }
        return [("pool", {}, attrs)]

    return express


def _global_pool(kind: str) -> Callable[[Any], list[Step]]:
    return lambda layer: [("global_pool", {}, {"kind": kind, "keepdims": bool(layer.keepdims)})]


def _padding(layer: layers.ZeroPadding2D) -> list[Step]:
    rows, columns = layer.padding
    return [("pad", {}, {"paddings": [[0, 0], list(rows), list(columns), [0, 0]]})]


def _resizing(layer: layers.Resizing) -> list[Step]:
    if layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio:
        raise ExportError(f"{layer.name}: resizing that keeps the aspect ratio.")
    attrs = {"size": [layer.height, layer.width], "method": layer.interpolation}
    return [("resize", {}, attrs)]


EXPRESS: dict[type, Callable[[Any], list[Step]]] = {
    layers.Activation: lambda layer: _activation(layer.activation),
    layers.Add: lambda layer: [("add", {}, {})],
    layers.AveragePooling2D: _pool("avg"),
    layers.BatchNormalization: _batch_norm,
    layers.Concatenate: lambda layer: [("concatenate", {}, {"axis": layer.axis})],
    layers.Conv2D: _conv2d,
    layers.Dense: _dense,
    layers.DepthwiseConv2D: _depthwise,
    layers.Dropout: _nothing,
    layers.Flatten: lambda layer: [("flatten", {}, {})],
    layers.GlobalAveragePooling2D: _global_pool("avg"),
    layers.GlobalMaxPooling2D: _global_pool("max"),
    layers.InputLayer: _nothing,
    layers.LayerNormalization: _layer_norm,
    layers.MaxPooling2D: _pool("max"),
    layers.Multiply: lambda layer: [("multiply", {}, {})],
    layers.Normalization: _normalization,
    layers.ReLU: _relu,
    layers.Rescaling: _rescaling,
    layers.Reshape: lambda layer: [("reshape", {}, {"shape": list(layer.target_shape)})],
    layers.Resizing: _resizing,
    layers.SpatialDropout2D: _nothing,
    layers.Softmax: _softmax,
    layers.ZeroPadding2D: _padding,
    CellMask: lambda layer: [("cell_mask", {}, {})],
    DropPath: _nothing,
    LayerScale: lambda layer: [("scale", {"scale": np.asarray(layer.gamma)}, {})],
}
