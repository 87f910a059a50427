"""Where a member's ImageNet weights come from: a network of `keras.applications`.

A trainer's module says it in one line, `STOCK = Stock(constructor, file, digest)`; None where Keras
publishes no weights for the member's network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from cells.errors import RecipeError
from trainers.recipe import Recipe

# Fields that shape networks of our own; Keras fixes what they would change.
_OURS = ("widths", "depths", "drop_path", "layer_scale", "norm_momentum")


def copy_by_name(stock: keras.Model, network: keras.Model) -> int:
    """Copy the stock network's arrays into the layers of the same name in ours.

    Returns how many arrays were copied. Raises KeyError or ValueError when a layer has no
    counterpart, or one of another shape.
    """
    ours = {layer.name: layer for layer in network.layers}
    copied = 0
    for layer in stock.layers:
        if layer.weights:
            ours[layer.name].set_weights(layer.get_weights())
            copied += len(layer.weights)
    return copied


@dataclass(frozen=True)
class Stock:
    """A network of `keras.applications` and its published weights.

    constructor: such as keras.applications.ConvNeXtBase. file: what Keras calls the published
    weights without the top. digest: their MD5 or SHA-256, as Keras's own table has it. copy: takes
    a stock network without its top and the member's, copies every array from the first into the
    second, and returns how many; raises KeyError or ValueError when the two do not fit.
    """

    constructor: Callable[..., keras.Model]
    file: str
    digest: str
    copy: Callable[[keras.Model, keras.Model], int] = copy_by_name

    def network(self, weights: str | None = None) -> keras.Model:
        """Without its top, pooled; with random weights, unless "imagenet" is asked for."""
        return self.constructor(
            include_top=False, weights=weights, pooling="avg", input_shape=(96, 96, 3)
        )

    def features(self, images: keras.KerasTensor, recipe: Recipe) -> keras.KerasTensor:
        """Pooled features (n, channels) of `images` (n, px, px, 3), with random weights.

        The layers become part of the caller's graph, so that a fraction of them can be trained.
        Raises RecipeError for a field of the recipe that Keras's network has no place for.
        """
        for field, value in recipe:
            if field in _OURS and value != Recipe.model_fields[field].default:
                raise RecipeError(
                    f"{recipe.name}: {field}: expected none, since keras.applications fixes it, "
                    f"got {value}."
                )
        body = self.constructor(include_top=False, weights=None, pooling="avg", input_tensor=images)
        return body.output
