"""What the members' networks share: the head."""

import keras
from keras import layers

from trainers.recipe import Recipe

HEAD_PREFIX = "head_"


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
