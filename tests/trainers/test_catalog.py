import keras
import numpy as np
import pytest

from cells.errors import RecipeError
from submission.model import read_member
from trainers.catalog import MEMBERS, member, members_with
from trainers.export import write_member
from trainers.layers import DropPath, LayerScale
from trainers.objective import compile_network, set_trainable
from trainers.recipe import Recipe, with_preset

CLASSES = ("a", "b", "c")
PX = 24
SMALL = {"widths": (4, 6, 8, 10), "depths": (1, 1, 1, 1), "head_units": (5,)}


def small_recipe(name: str) -> Recipe:
    """The member's own recipe, but for its size; upsampled if it is upsampled."""
    recipe = MEMBERS[name].RECIPE
    network_px = 40 if recipe.network_px else 32 if name.startswith("convnext") else None
    return recipe.model_copy(update={**SMALL, "network_px": network_px})


def let_every_layer_matter(network: keras.Model, images: np.ndarray) -> None:
    """Gammas from U(.3, 1), random statistics, logits with mean 0 and sd 1 over the images."""
    rng = np.random.default_rng(0)
    for weight in network.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.3, 1, weight.shape))
        elif weight.name in ("beta", "bias", "moving_mean"):
            weight.assign(rng.normal(0, 0.3, weight.shape))
    head = network.get_layer("head_logits")
    head.bias.assign(np.zeros(len(CLASSES)))
    logits = np.asarray(network(images))
    head.kernel.assign(head.kernel / logits.std(axis=0))
    head.bias.assign(-logits.mean(axis=0) / logits.std(axis=0))


# ---- every member --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_has_a_recipe_of_its_name_and_presets_that_fit_it(name):
    module = MEMBERS[name]
    assert module.RECIPE.name == name
    assert set(module.PRESETS) <= {"full", "cpu", "demo"}
    for preset in module.PRESETS:
        recipe = with_preset(module.RECIPE, module.PRESETS, preset)
        assert len(recipe.widths) == len(recipe.depths) > 0
        assert (recipe.weights == "imagenet") == (recipe.head is not None)
    assert f"bcsub train {name}" in module.__doc__


@pytest.mark.parametrize("name", MEMBERS)
def test_a_training_step_and_the_exported_member_gives_the_same_numbers(name, tmp_path):
    recipe = small_recipe(name)
    network = MEMBERS[name].build(recipe, PX, len(CLASSES))
    assert network.input_shape == (None, PX, PX, 3)
    assert network.output_shape == (None, 3)

    set_trainable(network, recipe.whole)
    compile_network(network, recipe)
    network.run_eagerly = True  # one step is not worth a graph
    network.optimizer.learning_rate.assign(1e-3)
    rng = np.random.default_rng(1)
    images = rng.uniform(0, 255, (6, 4, 4, 3)).repeat(6, axis=1).repeat(6, axis=2)
    labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    before = network.get_weights()
    loss = network.train_on_batch(images, labels)
    assert np.isfinite(loss)
    for weight, old in zip(network.weights, before, strict=True):
        assert (np.asarray(weight) != old).any(), weight.path

    let_every_layer_matter(network, images)
    logits = np.asarray(network(images), np.float64)  # not training: nothing is dropped
    np.testing.assert_allclose(logits.std(axis=0), 1, rtol=1e-3)
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    about = {"name": name, "run": "r", "fold": 0, "classes": CLASSES, "image_px": PX}
    write_member(
        tmp_path / "member.h5",
        network,
        {**about, "data_fingerprint": "d", "recipe_fingerprint": "r"},
    )
    found = read_member(tmp_path / "member.h5").probs(images)
    # float16 kernels of so few channels; in float32 it is 1e-6 (tests/submission/test_parity.py)
    np.testing.assert_allclose(found, probs, atol=5e-3)


@pytest.mark.parametrize("name", MEMBERS)
def test_widths_and_depths_make_the_stages(name):
    recipe = small_recipe(name).model_copy(update={"depths": (1, 2, 1, 1)})
    network = MEMBERS[name].build(recipe, PX, len(CLASSES))
    blocks = [layer.output.shape[-1] for layer in network.layers if "add" in layer.name]
    assert blocks == [4, 6, 6, 8, 10]


@pytest.mark.parametrize("name", MEMBERS)
def test_size_inside_the_network_and_stochastic_depth_are_the_recipes(name):
    recipe = small_recipe(name).model_copy(update={"network_px": 40, "drop_path": 0.3})
    network = MEMBERS[name].build(recipe, PX, 3)
    (resize,) = (layer for layer in network.layers if isinstance(layer, keras.layers.Resizing))
    assert resize.output.shape == (None, 40, 40, 3)
    rates = [layer.rate for layer in network.layers if isinstance(layer, DropPath)]
    np.testing.assert_allclose(rates, [0.1, 0.2, 0.3])


@pytest.mark.parametrize("name", MEMBERS)
def test_first_layer_scale_or_batch_norm_momentum_are_the_recipes(name):
    own, strange = ("layer_scale", "norm_momentum")
    if name == "custom-cnn":
        own, strange = strange, own
    network = MEMBERS[name].build(small_recipe(name).model_copy(update={own: 0.125}), PX, 3)
    if own == "layer_scale":
        scales = [layer.gamma for layer in network.layers if isinstance(layer, LayerScale)]
        assert len(scales) == 4
        assert all((np.asarray(gamma) == 0.125).all() for gamma in scales)
    else:
        kind = keras.layers.BatchNormalization
        norms = [layer.momentum for layer in network.layers if isinstance(layer, kind)]
        assert set(norms) == {0.125}
    with pytest.raises(RecipeError, match=f"{name}: {strange}: expected none"):
        MEMBERS[name].build(small_recipe(name).model_copy(update={strange: 0.125}), PX, 3)


# ---- looking up ----------------------------------------------------------------------------------


def test_members_by_preset():
    assert members_with("cpu") == ["custom-cnn", "convnext-atto"]
    assert members_with("demo") == ["custom-cnn", "convnext-atto"]
    full = ["custom-cnn", "convnext-small", "convnext-base", "convnext-large"]
    assert members_with("full") == full


def test_a_preset_that_nobody_has():
    with pytest.raises(RecipeError) as error:
        members_with("gpu")
    assert str(error.value) == "no member has a preset 'gpu'; there are cpu, demo, full."


def test_a_member_by_its_name():
    assert member("custom-cnn") is MEMBERS["custom-cnn"]


@pytest.mark.parametrize(
    ("name", "hint"), [("convnext-smal", " Did you mean 'convnext-small'?"), ("zebra", "")]
)
def test_an_unknown_member_names_the_nearest(name, hint):
    with pytest.raises(RecipeError) as error:
        member(name)
    assert str(error.value) == (
        f"no member '{name}'; there are custom-cnn, convnext-atto, convnext-small, convnext-base, "
        f"convnext-large.{hint}"
    )
