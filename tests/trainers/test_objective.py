import keras
import numpy as np
import pytest
from keras import layers

from trainers.networks import head
from trainers.objective import OPTIMIZERS, compile_network, set_trainable
from trainers.recipe import HeadPhase, Phase, Recipe

JAX = keras.backend.backend() == "jax"  # always compiled; a CPU with TensorFlow never, unasked
BACKBONE = ["conv0", "norm0", "conv1", "norm1", "conv2"]  # layers with weights, in order
HEAD = ["head_dense0", "head_logits"]


def recipe(**fields) -> Recipe:
    fields = {"whole": Phase(epochs=1, peak_lr=0.01), "clip_norm": 1e9, **fields}
    return Recipe(name="toy", **fields)


def network_for(recipe: Recipe) -> keras.Model:
    """One of each: convolution, batch norm, depthwise, layer norm, hidden layer."""
    images = keras.Input((8, 8, 3))
    x = layers.Normalization(mean=[128] * 3, variance=[64**2] * 3)(images)
    x = layers.Conv2D(4, 3, strides=2, name="conv0")(x)
    x = layers.BatchNormalization(name="norm0")(x)
    x = layers.DepthwiseConv2D(3, name="conv1")(x)
    x = layers.LayerNormalization(name="norm1")(x)
    x = layers.Conv2D(5, 1, name="conv2")(x)
    return keras.Model(images, head(layers.GlobalAveragePooling2D()(x), recipe, 3))


def bare_network(recipe: Recipe) -> keras.Model:
    images = keras.Input((8, 8, 3))
    return keras.Model(images, head(layers.GlobalAveragePooling2D()(images), recipe, 3))


# ---- which layers train --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "share", "free"),
    [
        ({"trainable_fraction": 0}, 1, []),
        ({"trainable_fraction": 0.2}, 1, ["conv2"]),
        ({"trainable_fraction": 0.5}, 1, ["conv1", "norm1", "conv2"]),
        ({"trainable_fraction": 1}, 1, BACKBONE),
        ({"trainable_fraction": 1}, 0.4, ["norm1", "conv2"]),
        ({"trainable_layers": 0}, 1, []),
        ({"trainable_layers": 2}, 1, ["norm1", "conv2"]),
        ({"trainable_layers": 2}, 0.5, ["conv2"]),
        ({"trainable_layers": 99}, 1, BACKBONE),
    ],
)
def test_layers_with_weights_are_counted_from_the_last(fields, share, free):
    network = network_for(recipe(head_units=(4,)))
    set_trainable(network, HeadPhase(epochs=1, peak_lr=1))
    assert {weight.path.split("/")[0] for weight in network.trainable_weights} == {*HEAD}
    set_trainable(network, Phase(epochs=1, peak_lr=1, **fields), share)  # thaws what was frozen
    training = {weight.path.split("/")[0] for weight in network.trainable_weights}
    assert training == {*free, *HEAD}


# ---- optimisers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimiser_takes_the_step_of_its_paper(name):
    """Twice the gradient 1, then 4, at rate .1 and betas .5 and .75: worked out below."""
    network = bare_network(recipe())
    compile_network(network, recipe(optimizer=name, betas=(0.5, 0.75)))
    network.optimizer.learning_rate.assign(0.1)
    weight = network.trainable_variables[0]
    weight.assign(np.zeros(weight.shape))
    for gradient in (1.0, 4.0):
        gradients = [np.full(v.shape, gradient, np.float32) for v in network.trainable_variables]
        network.optimizer.apply(gradients, network.trainable_variables)
    m, v = 0.5 * (0.5 * 1) + 0.5 * 4, 0.75 * (0.25 * 1) + 0.25 * 16
    adam = -0.1 * (1 + (m / 0.75) / np.sqrt(v / 0.4375))
    expected = {"adam": adam, "adamw": adam, "lion": -0.2}
    if name == "nadam":  # Dozat 2016, with Keras's schedule of momenta
        u = [0.5 * (1 - 0.5 * 0.96**t) for t in (1, 2, 3)]
        first = (u[1] * 0.5 / (1 - u[0] * u[1]) + (1 - u[0]) * 1 / (1 - u[0])) / np.sqrt(
            0.25 / 0.25
        )
        product = u[0] * u[1]
        second = u[2] * m / (1 - product * u[2]) + (1 - u[1]) * 4 / (1 - product)
        expected["nadam"] = -0.1 * (first + second / np.sqrt(v / 0.4375))
    np.testing.assert_allclose(np.asarray(weight), expected[name], rtol=1e-4)


@pytest.mark.parametrize("name", ["nadam", "adamw", "lion"])
def test_weight_decay_takes_from_kernels_alone(name):
    network = network_for(recipe(head_units=(4,)))
    for weight in network.weights:
        weight.assign(np.ones(weight.shape))
    compile_network(network, recipe(optimizer=name, weight_decay=0.5))
    network.optimizer.learning_rate.assign(0.2)
    weights = network.trainable_variables
    network.optimizer.apply([np.zeros(weight.shape, np.float32) for weight in weights], weights)
    for weight in weights:
        expected = 0.9 if weight.name == "kernel" else 1.0  # 1 - .2 * .5
        np.testing.assert_allclose(np.asarray(weight), expected, rtol=1e-6, err_msg=weight.path)
    assert {weight.name for weight in weights} == {"kernel", "bias", "gamma", "beta"}


@pytest.mark.parametrize(("clip_norm", "share"), [(5.0, 0.1), (500.0, 1.0), (None, 1.0)])
def test_the_gradients_global_norm_is_clipped(clip_norm, share):
    network = bare_network(recipe())
    compile_network(network, recipe(clip_norm=clip_norm))
    kernel, bias = network.trainable_variables
    gradients = [np.zeros((3, 3), np.float32), np.float32([0, 40, 0])]
    gradients[0][1, 2] = 30  # a global norm of 50
    network.optimizer.apply(gradients, [kernel, bias])
    first_moments = [v for v in network.optimizer.variables if "momentum" in v.path]
    assert len(first_moments) == 2
    for moment, gradient in zip(first_moments, gradients, strict=True):
        np.testing.assert_allclose(np.asarray(moment), 0.1 * share * gradient, rtol=1e-5)


def test_parts_move_the_average_as_one_batch_would():
    network = bare_network(recipe())
    compile_network(network, recipe(ema_momentum=0.64), parts=2)
    assert network.optimizer.gradient_accumulation_steps == 2
    assert network.optimizer.ema_momentum == pytest.approx(0.8)


@pytest.mark.parametrize(("xla", "compiled"), [(None, JAX), (False, False), (True, True)])
def test_xla_is_keras_rule_unless_the_recipe_says(xla, compiled):
    network = bare_network(recipe())
    compile_network(network, recipe(xla=xla))
    assert network.jit_compile is compiled
