"""What each Keras layer becomes: operations of `submission/model.py`, with arrays and settings.

A layer that is not in OPERATIONS cannot be exported; one that trains only becomes nothing.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from cells.errors import ExportError
from submission.model import ACTIVATIONS
from trainers.layers import CellMask, DropPath, LayerScale

Step = tuple[str, dict[str, np.ndarray], dict[str, Any]]  # operation, its arrays, its settings


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


OPERATIONS: dict[type, Callable[[Any], list[Step]]] = {
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
