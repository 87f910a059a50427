"""The two layers that ConvNeXt needs and Keras keeps private."""

from typing import Any

import keras


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
