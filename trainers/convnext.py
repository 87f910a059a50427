"""ConvNeXt, its 7x7 convolutions written as depthwise ones.

The same network as `keras.applications`' layer by layer and name by name. Keras writes the 7x7 as
`Conv2D(groups=channels)`, which TensorFlow runs several times slower on a CPU (docs/results.md).
Source: Liu et al. 2022, arXiv:2201.03545.
"""

import keras
from keras import layers

from cells.errors import RecipeError
from trainers.layers import Depthwise, DropPath, LayerScale
from trainers.networks import drop_rates, first_layers, head, own_field
from trainers.recipe import Recipe

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_VARIANCE = (58.395**2, 57.12**2, 57.375**2)


def build_convnext(recipe: Recipe, image_px: int, classes: int) -> keras.Model:
    """Images (n, image_px, image_px, 3), 0-255, to logits (n, classes).

    recipe.widths, recipe.depths: channels and blocks of the stages. Raises RecipeError for images
    so small that a stage would be left without a pixel.
    """
    scale = own_field(recipe, "layer_scale")
    px, least = recipe.network_px or image_px, 2 ** (len(recipe.widths) + 1)
    if px < least:
        raise RecipeError(
            f"{recipe.name}: network_px: expected {least} px or more, since each stage halves the "
            f"image, got {px}. Enlarge it inside the network: --set network_px={least}."
        )
    images = keras.Input((image_px, image_px, 3), name="images")
    name = recipe.name.replace("-", "_")
    x = first_layers(images, recipe, image_px)
    x = layers.Normalization(
        mean=IMAGENET_MEAN, variance=IMAGENET_VARIANCE, name=f"{name}_prestem_normalization"
    )(x)
    rates = iter(drop_rates(recipe, sum(recipe.depths)))
    for stage, (width, depth) in enumerate(zip(recipe.widths, recipe.depths, strict=True)):
        x = _downsample(x, width, stage, name)
        for index in range(depth):
            label = f"{name}_stage_{stage}_block_{index}"
            x = _block(x, width, next(rates), scale, label)
    x = layers.GlobalAveragePooling2D(name=f"{name}_pool")(x)
    x = _norm(f"{name}_head_layernorm")(x)
    return keras.Model(images, head(x, recipe, classes), name=name)


def _downsample(x: keras.KerasTensor, width: int, stage: int, name: str) -> keras.KerasTensor:
    """The stem (4x4, then norm) or a norm and a 2x2 convolution between stages."""
    if stage == 0:
        x = layers.Conv2D(width, 4, 4, name=f"{name}_stem_conv")(x)
        return _norm(f"{name}_stem_layernorm")(x)
    x = _norm(f"{name}_downsampling_layernorm_{stage - 1}")(x)
    return layers.Conv2D(width, 2, 2, name=f"{name}_downsampling_conv_{stage - 1}")(x)


def _block(
    x: keras.KerasTensor, width: int, drop_rate: float, layer_scale: float, name: str
) -> keras.KerasTensor:
    y = Depthwise(7, padding="same", name=f"{name}_depthwise_conv")(x)
    y = _norm(f"{name}_layernorm")(y)
    y = layers.Dense(4 * width, name=f"{name}_pointwise_conv_1")(y)
    y = layers.Activation("gelu", name=f"{name}_gelu")(y)
    y = layers.Dense(width, name=f"{name}_pointwise_conv_2")(y)
    y = LayerScale(layer_scale, name=f"{name}_layer_scale")(y)
    if drop_rate:
        y = DropPath(drop_rate, name=f"{name}_drop_path")(y)
    return layers.Add(name=f"{name}_add")([x, y])


def _norm(name: str) -> layers.LayerNormalization:
    return layers.LayerNormalization(epsilon=1e-6, name=name)


def copy_stock_weights(stock: keras.Model, network: keras.Model) -> int:
    """Copy every array of a `keras.applications` ConvNeXt (no top) into ours, by layer name.

    A grouped kernel (7, 7, 1, C) becomes a depthwise one (7, 7, C, 1). Returns how many arrays
    were copied. Raises KeyError or ValueError when a layer has no counterpart or another shape,
    which means that Keras changed its network.
    """
    ours = {layer.name: layer for layer in network.layers}
    copied = 0
    for layer in _leaves(stock):
        arrays = layer.get_weights()
        if not arrays or isinstance(layer, layers.Normalization):
            continue
        last_norm = layer is stock.layers[-1]
        target = ours[f"{network.name}_head_layernorm" if last_norm else layer.name]
        if isinstance(target, layers.DepthwiseConv2D):
            arrays[0] = arrays[0].transpose(0, 1, 3, 2)
        target.set_weights(arrays)
        copied += len(arrays)
    return copied


def _leaves(model: keras.Model) -> list[keras.layers.Layer]:
    leaves: list[keras.layers.Layer] = []
    for layer in model.layers:
        leaves += _leaves(layer) if isinstance(layer, keras.Model) else [layer]
    return leaves
