"""Layers that Keras lacks: the cell mask, and what ConvNeXt needs and Keras keeps private."""

from typing import Any

import keras
import numpy as np

from trainers import backend
from trainers.cell_mask import cell_mask

FEW_PLACES = 64  # of a map on which products pay: measured at 6x6, hardly any more at 12x12


@keras.saving.register_keras_serializable(package="bcsub")
class CellMask(keras.layers.Layer):
    """Isolate the cell in the middle; the rest takes the colour of the image's own ground.

    The arithmetic is `trainers/cell_mask.py`; in float32 also under mixed precision, in which 0-255
    has too few steps.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Images (n, px, px, 3), 0-255; the same shape and range."""
        return cell_mask(inputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """As the inputs."""
        return input_shape


@keras.saving.register_keras_serializable(package="bcsub")
class Depthwise(keras.layers.DepthwiseConv2D):
    """Keras's; on small maps, with JAX on a GPU, as one matrix product a channel.

    The gradient of a 7x7 convolution of 6x6 places takes 27 times as long as that of those products
    (docs/results.md). For stride 1, "same" padding and one filter a channel; others are Keras's.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create kernel and bias as Keras does; what each tap of the kernel joins is a constant."""
        super().build(input_shape)
        self.taps = None
        rows, columns = input_shape[1:3]
        if not rows or not columns or rows * columns > FEW_PLACES or not self._is_plain():
            return
        if keras.backend.backend() == "jax" and backend.gpus():
            self.taps = joined_by_taps(self.kernel_size, (rows, columns))

    def _is_plain(self) -> bool:
        one_to_one = self.strides == self.dilation_rate == (1, 1) and self.depth_multiplier == 1
        return one_to_one and self.padding == "same" and self.data_format == "channels_last"

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Same shape as the inputs, where it is products."""
        if self.taps is None:
            return super().call(inputs)
        channels, places = inputs.shape[-1], self.taps.shape[-1]
        taps = keras.ops.convert_to_tensor(self.taps, inputs.dtype)
        kernel = keras.ops.reshape(self.kernel, (len(self.taps), channels))
        joined = keras.ops.einsum("tqp,tc->cqp", taps, kernel)
        x = keras.ops.reshape(inputs, (-1, places, channels))
        x = keras.ops.einsum("nqc,cqp->npc", x, joined)
        if self.use_bias:
            x = x + self.bias
        return self.activation(keras.ops.reshape(x, (-1, *inputs.shape[1:])))


def joined_by_taps(kernel: tuple[int, int], places: tuple[int, int]) -> np.ndarray:
    """Which place each tap of a kernel brings where, with zeros around the map.

    kernel, places: (rows, columns). Returns (taps, places in, places out) float32 zeros and ones.
    """
    one_way = []
    for taps, size in zip(kernel, places, strict=True):
        shifts = np.arange(taps) - (taps - 1) // 2
        one_way.append(np.stack([np.eye(size, k=-int(shift)) for shift in shifts]))
    both = np.einsum("iab,jcd->ijacbd", *one_way).astype(np.float32)
    return both.reshape(kernel[0] * kernel[1], places[0] * places[1], -1)


@keras.saving.register_keras_serializable(package="bcsub")
class LayerScale(keras.layers.Layer):
    """Multiply every channel by its own learned number. Source: arXiv:2103.17239."""

    def __init__(self, init_value: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.init_value = init_value

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create gamma, (channels,)."""
        self.gamma = self.add_weight(
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(self.init_value),
            name="gamma",
        )

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Same shape as the inputs."""
        return inputs * self.gamma

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "init_value": self.init_value}


@keras.saving.register_keras_serializable(package="bcsub")
class DropPath(keras.layers.Layer):
    """Stochastic depth: while training, zero whole images' branches at `rate`.

    Source: Huang et al. 2016, arXiv:1603.09382.
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.noise = keras.layers.Dropout(
            rate, noise_shape=(None, 1, 1, 1), dtype=self.dtype_policy
        )

    # False, not None: Keras would then take over the True that a Resizing before it defaults to.
    def call(self, inputs: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        """Same shape as the inputs."""
        return self.noise(inputs, training=training)

    def get_config(self) -> dict[str, Any]:
        """What rebuilds the layer."""
        return {**super().get_config(), "rate": self.rate}
