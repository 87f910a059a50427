"""What the members' networks share: first layers, stochastic depth, the head, a check of fields."""

from typing import Any

import keras
import numpy as np
from keras import layers

from cells.errors import RecipeError
from trainers.layers import CellMask
from trainers.recipe import Recipe

HEAD_PREFIX = "head_"


def first_layers(images: keras.KerasTensor, recipe: Recipe, image_px: int) -> keras.KerasTensor:
    """What every network does with its images first: isolate the cell, then resize.

    The cell where `recipe.mask` says so; to `recipe.network_px`, bilinear, where that is another
    size than their own.
    """
    x = images
    if recipe.mask:
        x = CellMask(name="cell_mask")(x)
    if recipe.network_px in (None, image_px):
        return x
    return layers.Resizing(recipe.network_px, recipe.network_px, name="resize")(x)


def drop_rates(recipe: Recipe, blocks: int) -> list[float]:
    """Stochastic depth of each block: from 0 linearly to `recipe.drop_path` at the last."""
    return [float(rate) for rate in np.linspace(0.0, recipe.drop_path, blocks)]


def own_field(recipe: Recipe, field: str) -> float:
    """Of the fields that only some networks have, the one that this network uses.

    Raises RecipeError when it is missing, or when another of them is set, which would do nothing.
    """
    values: dict[str, Any] = {
        "layer_scale": recipe.layer_scale,
        "norm_momentum": recipe.norm_momentum,
    }
    for name, value in values.items():
        if (value is None) == (name == field):
            expected = "a number" if name == field else "none, since this network has no such thing"
            raise RecipeError(f"{recipe.name}: {name}: expected {expected}, got {value}.")
    return float(values[field])


def head(features: keras.KerasTensor, recipe: Recipe, classes: int) -> keras.KerasTensor:
    """Pooled features (n, channels) to logits (n, classes), through `recipe.head_units`.

    Layers' names begin with HEAD_PREFIX: phase 1 trains those alone. Logits are float32 also
    under mixed precision.
    """
    x = features
    penalty = keras.regularizers.L1L2(recipe.l1, recipe.l2) if recipe.l1 or recipe.l2 else None
    for index, units in enumerate(recipe.head_units):
        x = layers.Dense(
            units, "gelu", kernel_regularizer=penalty, name=f"{HEAD_PREFIX}dense{index}"
        )(x)
    if recipe.dropout:
        x = layers.Dropout(recipe.dropout, name=f"{HEAD_PREFIX}dropout")(x)
    return layers.Dense(
        classes, dtype="float32", kernel_regularizer=penalty, name=f"{HEAD_PREFIX}logits"
    )(x)
