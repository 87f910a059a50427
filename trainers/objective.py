"""What a training minimises and how: which layers train, the optimiser, the loss."""

import keras

from trainers.networks import HEAD_PREFIX
from trainers.recipe import Phase, Recipe

OPTIMIZERS: dict[str, type[keras.optimizers.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "nadam": keras.optimizers.Nadam,
    "adamw": keras.optimizers.AdamW,
    "lion": keras.optimizers.Lion,
}


def set_trainable(network: keras.Model, phase: Phase, share: float = 1.0) -> None:
    """Let the head train, and of the backbone's layers with weights the last that `phase` names.

    share: of those layers, the last ones (staged unfreezing).
    """
    backbone = [
        layer
        for layer in network.layers
        if layer.weights and not layer.name.startswith(HEAD_PREFIX)
    ]
    counted = phase.trainable_layers
    wanted = len(backbone) * phase.trainable_fraction if counted is None else counted
    frozen = round(len(backbone) - wanted * share)
    for index, layer in enumerate(backbone):
        free = index >= frozen
        layer.trainable = free and not isinstance(layer, keras.layers.Normalization)


def compile_network(network: keras.Model, recipe: Recipe, parts: int = 1) -> None:
    """Optimiser and loss on logits; the learning rate is set before every step.

    parts: a batch comes in so many; their gradients are averaged before each step. The moving
    average is taken after each part, its momentum such that a whole batch moves it as one would.
    """
    momentum = recipe.ema_momentum ** (1 / parts)
    betas = dict(zip(("beta_1", "beta_2"), recipe.betas, strict=False))
    optimizer = OPTIMIZERS[recipe.optimizer](
        learning_rate=recipe.whole.peak_lr,
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.clip_norm,
        use_ema=recipe.ema_momentum > 0,
        ema_momentum=momentum or 0.99,
        gradient_accumulation_steps=parts if parts > 1 else None,
        **betas,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    xla = "auto" if recipe.xla is None else recipe.xla
    network.compile(optimizer, _loss(recipe), jit_compile=xla)


def _loss(recipe: Recipe) -> keras.losses.Loss:
    """Cross-entropy, or focal loss (Lin et al. 2017, arXiv:1708.02002) without its class factor."""
    smoothing = recipe.label_smoothing
    if not recipe.focal_gamma:
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    return keras.losses.CategoricalFocalCrossentropy(
        alpha=1.0, gamma=recipe.focal_gamma, from_logits=True, label_smoothing=smoothing
    )
