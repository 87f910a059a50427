"""What each Keras layer becomes: operations of `submission/model.py`, with arrays and settings.

A layer that only trains becomes nothing. One that is not in LAYERS is taken apart into the
operations of `keras.ops` that its `call` consists of (`trainers/graph.py`).
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from trainers.layers import Depthwise, DropPath
from trainers.program import Program, Unsupported, Value

Express = Callable[[Program, Any, Value], int]  # program, layer, input: number of the output


def _nothing(program: Program, layer: Any, x: Value) -> int:
    return x.number


def _pair(values: Any) -> Any:
    """One number where both ways are the same."""
    rows, columns = (int(each) for each in values)
    return rows if rows == columns else [rows, columns]


def _conv_attrs(layer: Any) -> dict[str, Any]:
    return {
        "strides": _pair(layer.strides),
        "padding": layer.padding.upper(),
        "dilation": _pair(layer.dilation_rate),
    }


def _bias(layer: Any) -> dict[str, Any]:
    return {"bias": layer.bias} if layer.use_bias else {}


def _conv2d(program: Program, layer: layers.Conv2D, x: Value) -> int:
    kernel, attrs = np.asarray(layer.kernel), _conv_attrs(layer)
    if layer.groups == 1:
        arrays = {"kernel": kernel, **_bias(layer)}
        return program.add("conv", x.number, arrays=arrays, **attrs)
    if kernel.shape[2] == 1 and isinstance(attrs["strides"], int):
        kernel = kernel.reshape(*kernel.shape[:2], layer.groups, -1)
        arrays = {"kernel": kernel, **_bias(layer)}
        return program.add("depthwise", x.number, arrays=arrays, **attrs)
    # TensorFlow has no groups of several channels on every CPU: one convolution for each
    width, parts = kernel.shape[2], []
    for group, part in enumerate(np.split(kernel, layer.groups, axis=3)):
        channels = [[None] * 3] * 3 + [[group * width, (group + 1) * width, None]]
        piece = program.add("slice", x.number, key=channels)
        parts.append(program.add("conv", piece, arrays={"kernel": part}, **attrs))
    joined = program.add("concatenate", *parts, axis=-1)
    if not layer.use_bias:
        return joined
    return program.add("add", joined, program.constant(layer.bias))


def _depthwise(program: Program, layer: layers.DepthwiseConv2D, x: Value) -> int:
    attrs = _conv_attrs(layer)
    if isinstance(attrs["strides"], list):
        raise Unsupported(f"strides: expected the same both ways, got {layer.strides}")
    arrays = {"kernel": layer.kernel, **_bias(layer)}
    return program.add("depthwise", x.number, arrays=arrays, **attrs)


def _separable(program: Program, layer: layers.SeparableConv2D, x: Value) -> int:
    attrs = _conv_attrs(layer)
    if isinstance(attrs["strides"], list):
        raise Unsupported(f"strides: expected the same both ways, got {layer.strides}")
    kernel = {"kernel": layer.depthwise_kernel}
    value = program.add("depthwise", x.number, arrays=kernel, **attrs)
    arrays = {"kernel": layer.pointwise_kernel, **_bias(layer)}
    return program.add("conv", value, arrays=arrays, strides=1, padding="VALID", dilation=1)


def _dense(program: Program, layer: layers.Dense, x: Value) -> int:
    return program.add("dense", x.number, arrays={"kernel": layer.kernel, **_bias(layer)})


def _plain(layer: Any, x: Value, **settings: Any) -> None:
    """Raises Unsupported unless the layer acts on the last axis and its settings are as given."""
    axis = getattr(layer, "axis", -1)
    last = (-1, len(x.shape) - 1)
    if any(each not in last for each in (axis if isinstance(axis, list | tuple) else (axis,))):
        raise Unsupported(f"expected the last axis, got {axis}")
    for name, expected in settings.items():
        if getattr(layer, name, expected) != expected:
            raise Unsupported(f"{name}: expected {expected}, got {getattr(layer, name)}")


def _affine(layer: Any) -> dict[str, Any]:
    """gamma and beta of a norm, where it has them."""
    gamma = {"gamma": layer.gamma} if layer.scale else {}
    return {**gamma, "beta": layer.beta} if layer.center else gamma


def _layer_norm(program: Program, layer: layers.LayerNormalization, x: Value) -> int:
    _plain(layer, x, rms_scaling=False)
    epsilon = float(layer.epsilon)
    return program.add("layer_norm", x.number, arrays=_affine(layer), epsilon=epsilon)


def _batch_norm(program: Program, layer: layers.BatchNormalization, x: Value) -> int:
    _plain(layer, x)
    arrays = {"mean": layer.moving_mean, "variance": layer.moving_variance, **_affine(layer)}
    return program.add("batch_norm", x.number, arrays=arrays, epsilon=float(layer.epsilon))


def _normalization(program: Program, layer: layers.Normalization, x: Value) -> int:
    _plain(layer, x, invert=False)
    deviation = np.maximum(np.sqrt(np.ravel(layer.variance)), keras.backend.epsilon())
    scale, mean = 1 / deviation, np.ravel(layer.mean)
    return program.add("scale", x.number, arrays={"scale": scale, "shift": -mean * scale})


def _rescaling(program: Program, layer: layers.Rescaling, x: Value) -> int:
    for name in ("scale", "offset"):
        shape = np.shape(getattr(layer, name))
        if shape not in ((), (1,), tuple(x.shape[-1:])):
            raise Unsupported(f"{name}: expected one number, or one a channel, got shape {shape}")
    arrays = {"scale": np.ravel(layer.scale), "shift": np.ravel(layer.offset)}
    return program.add("scale", x.number, arrays=arrays)


def _pool(kind: str) -> Express:
    def express(program: Program, layer: Any, x: Value) -> int:
        about: dict[str, Any] = {"size": list(layer.pool_size), "strides": list(layer.strides)}
        return program.add("pool", x.number, kind=kind, **about, padding=layer.padding.upper())

    return express


def _global_pool(kind: str) -> Express:
    return lambda program, layer, x: program.add(
        "global_pool", x.number, kind=kind, keepdims=bool(layer.keepdims)
    )


def _padding(program: Program, layer: layers.ZeroPadding2D, x: Value) -> int:
    rows, columns = layer.padding
    return program.add("pad", x.number, paddings=[[0, 0], list(rows), list(columns), [0, 0]])


def _resizing(program: Program, layer: layers.Resizing, x: Value) -> int:
    if layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio:
        raise Unsupported("resizing that keeps the aspect ratio")
    if getattr(layer, "antialias", False):
        raise Unsupported("antialias: expected False, got True")
    return program.add(
        "resize", x.number, size=[layer.height, layer.width], method=layer.interpolation
    )


def _up_sampling(program: Program, layer: layers.UpSampling2D, x: Value) -> int:
    rows, columns = x.shape[1:3]
    if rows is None or columns is None:
        raise Unsupported(f"expected images of one size, got {x.shape}")
    size = [rows * layer.size[0], columns * layer.size[1]]
    return program.add("resize", x.number, size=size, method=layer.interpolation)


# An Activation is its function, which `trainers/graph.py` expresses after any layer that has one.
LAYERS: dict[type, Express] = {
    layers.Activation: _nothing,
    layers.ActivityRegularization: _nothing,
    layers.AlphaDropout: _nothing,
    layers.AveragePooling2D: _pool("avg"),
    layers.BatchNormalization: _batch_norm,
    layers.Conv2D: _conv2d,
    layers.Dense: _dense,
    layers.DepthwiseConv2D: _depthwise,
    layers.Dropout: _nothing,
    layers.Flatten: lambda program, layer, x: program.add("flatten", x.number),
    layers.GaussianDropout: _nothing,
    layers.GaussianNoise: _nothing,
    layers.GlobalAveragePooling2D: _global_pool("avg"),
    layers.GlobalMaxPooling2D: _global_pool("max"),
    layers.LayerNormalization: _layer_norm,
    layers.MaxPooling2D: _pool("max"),
    layers.Normalization: _normalization,
    layers.Rescaling: _rescaling,
    layers.Resizing: _resizing,
    layers.SeparableConv2D: _separable,
    layers.SpatialDropout2D: _nothing,
    layers.UpSampling2D: _up_sampling,
    layers.ZeroPadding2D: _padding,
    Depthwise: _depthwise,
    DropPath: _nothing,
    # inactive outside training
    layers.RandomBrightness: _nothing,
    layers.RandomContrast: _nothing,
    layers.RandomFlip: _nothing,
    layers.RandomRotation: _nothing,
    layers.RandomTranslation: _nothing,
    layers.RandomZoom: _nothing,
}

# What makes float32 of whole numbers. Others do not, whatever type they say: Resizing rounds.
TAKES_INTEGERS = {layers.Normalization, layers.Rescaling}
