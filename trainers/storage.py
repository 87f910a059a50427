"""How a member's arrays lie in its file: a kernel as small numbers and a scale per output channel.

The runtime multiplies them back and computes in float32, whatever the storage.
"""

from typing import Literal

import numpy as np

Storage = Literal["float16", "int8", "float32"]

# Rounding errors average out over the inputs of a kernel. Those with fewer than so many (a first
# convolution, a depthwise one) weigh little in the file and stay float16 where the rest is int8.
FEW_INPUTS = 64


def pack_array(
    array: np.ndarray, storage: Storage = "float16", depthwise: bool = False
) -> tuple[np.ndarray, ...]:
    """(float32 array,) for a vector; (values, float32 scale) for a kernel, product the array.

    storage: of the values. float16 lie in -1..1, int8 in -127..127: the scale of an output channel
    is its largest magnitude, or 1/127 of that. float32 has no scale.
    """
    if array.ndim < 2 or storage == "float32":
        return (array,)
    channels = (2, 3) if depthwise else (array.ndim - 1,)
    axes = tuple(axis for axis in range(array.ndim) if axis not in channels)
    scale = np.abs(array).max(axis=axes, keepdims=True)
    scale[scale == 0] = 1
    if storage == "float16" or array.size < FEW_INPUTS * scale.size:
        return (array / scale).astype(np.float16), scale
    scale /= 127
    return np.rint(array / scale).astype(np.int8), scale
