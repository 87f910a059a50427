"""Layers that Keras lacks: the cell mask, and two that ConvNeXt needs and Keras keeps private."""

from typing import Any

import keras

from trainers.cell_mask import cell_mask


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
