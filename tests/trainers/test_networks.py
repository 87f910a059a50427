import keras
import numpy as np
import pytest
from keras import layers

from cells.errors import RecipeError
from trainers.catalog import MEMBERS
from trainers.layers import CellMask, DropPath
from trainers.networks import HEAD_PREFIX, drop_rates, first_layers, head, own_field
from trainers.recipe import Phase, Recipe, overridden


def head_of(**fields) -> keras.Model:
    recipe = Recipe(name="toy", whole=Phase(epochs=1, peak_lr=1), **fields)
    features = keras.Input((6,))
    return keras.Model(features, head(features, recipe, 3))


def test_a_bare_head_is_one_layer_of_logits():
    _, logits = head_of().layers
    assert (logits.name, logits.units) == ("head_logits", 3)
    assert logits.activation is keras.activations.linear


def test_hidden_layers_and_dropout_stand_where_the_recipe_says():
    network = head_of(head_units=(5, 4), dropout=0.3)
    inside = network.layers[1:]
    assert [layer.name for layer in inside] == [
        "head_dense0",
        "head_dense1",
        "head_dropout",
        "head_logits",
    ]
    assert all(layer.name.startswith(HEAD_PREFIX) for layer in inside)
    assert [layer.units for layer in inside if isinstance(layer, layers.Dense)] == [5, 4, 3]
    assert inside[0].activation is keras.activations.gelu
    assert network.get_layer("head_dropout").rate == 0.3


def test_the_penalty_lies_on_every_kernel_of_the_head_and_on_no_bias():
    network = head_of(head_units=(5,), l1=0.5, l2=0.25)
    for weight in network.weights:
        weight.assign(np.full(weight.shape, -2.0))
    numbers = 6 * 5 + 5 * 3
    total = sum(float(loss) for loss in network.losses)
    assert total == pytest.approx(numbers * (0.5 * 2 + 0.25 * 4))
    assert head_of(head_units=(5,)).losses == []


def test_logits_are_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = head_of(head_units=(5,))
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.get_layer("head_dense0").compute_dtype == "bfloat16"
    assert network.output.dtype == "float32"


def test_images_are_resized_only_to_another_size():
    images = keras.Input((12, 12, 3))
    for network_px, wanted in ((None, 12), (12, 12), (20, 20)):
        recipe = Recipe(name="toy", whole=Phase(epochs=1, peak_lr=1))
        x = first_layers(images, recipe.model_copy(update={"network_px": network_px}), 12)
        assert x.shape == (None, wanted, wanted, 3)
        assert (x is images) == (wanted == 12)


def test_the_mask_comes_first_at_the_images_own_size():
    images = keras.Input((12, 12, 3))
    recipe = Recipe(name="toy", mask=True, network_px=20, whole=Phase(epochs=1, peak_lr=1))
    network = keras.Model(images, first_layers(images, recipe, 12))
    first, mask, last = network.layers
    assert isinstance(first, layers.InputLayer)
    assert isinstance(mask, CellMask)
    assert (mask.output.shape, last.output.shape) == ((None, 12, 12, 3), (None, 20, 20, 3))


@pytest.mark.parametrize("name", MEMBERS)
def test_every_member_has_the_mask_where_its_recipe_says_so(name):
    module = MEMBERS[name]
    small = ["widths=4,4,4,4", "depths=1,1,1,1", "head_units=", "mask=true"]
    for settings, masks in ((small, 1), (small[:3], 0)):
        network = module.build(overridden(module.RECIPE, settings), 32, 3)
        assert sum(isinstance(layer, CellMask) for layer in network.layers) == masks


def test_stochastic_depth_grows_linearly():
    recipe = Recipe(name="toy", drop_path=0.4, whole=Phase(epochs=1, peak_lr=1))
    np.testing.assert_allclose(drop_rates(recipe, 5), [0, 0.1, 0.2, 0.3, 0.4])


def test_a_field_that_a_network_has_no_use_for_is_refused():
    recipe = Recipe(name="toy", layer_scale=0.1, whole=Phase(epochs=1, peak_lr=1))
    assert own_field(recipe, "layer_scale") == 0.1
    with pytest.raises(RecipeError, match=r"toy: layer_scale: expected none, .* got 0\.1"):
        own_field(recipe, "norm_momentum")
    bare = recipe.model_copy(update={"layer_scale": None})
    with pytest.raises(RecipeError, match=r"toy: layer_scale: expected a number, got None"):
        own_field(bare, "layer_scale")


def test_drop_path_zeroes_whole_images_and_keeps_the_mean():
    layer = DropPath(0.25)
    branch = np.ones((4000, 2, 2, 3), np.float32)
    assert (np.asarray(layer(branch)) == 1).all()  # only training drops
    dropped = np.asarray(layer(branch, training=True))
    of_image = dropped.reshape(4000, -1)
    assert (of_image == of_image[:, :1]).all()
    assert set(np.round(of_image[:, 0], 4)) == {0.0, np.float32(1.3333)}
    assert (of_image[:, 0] == 0).mean() == pytest.approx(0.25, abs=0.03)
