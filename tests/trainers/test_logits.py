"""Where the logits are, however a network ends, and the ends that are refused."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from cells.errors import ExportError
from trainers.export import to_program


def ending(*end: Any, units: int = 4) -> keras.Model:
    """Images, a dense layer to `units`, and what follows."""
    images = keras.Input((4, 4, 3))
    x = layers.Dense(units, name="last")(layers.Flatten()(images))
    for layer in end:
        x = layer(x)
    return keras.Model(images, x, name="net")


def ends(network: keras.Model) -> list[str]:
    """Operations from the one that makes the logits; the last makes the probabilities."""
    program, _ = to_program(network)
    assert program["output"] == len(program["ops"])
    return [step["op"] for step in program["ops"][program["logits"] - 1 :]]


INNER = keras.Sequential([keras.Input((4,)), layers.Dense(4, activation="softmax")])


@pytest.mark.parametrize(
    "end",
    [
        [],
        [layers.Dropout(0.5)],
        [layers.Activation("softmax")],
        [layers.Softmax(), layers.Activation("linear", dtype="float32")],
        [layers.Dense(4, "softmax")],
        [ops.softmax],
        [INNER],
        [keras.Sequential([keras.Input((4,)), INNER, layers.Dropout(0.1)])],
    ],
)
def test_logits_come_before_the_one_softmax(end: list[Any]) -> None:
    assert ends(ending(*end)) == ["dense", "softmax"]


@pytest.mark.parametrize(
    "end",
    [
        [layers.Softmax(name="first"), layers.Softmax()],
        [layers.Softmax(name="first"), layers.Dense(4, "softmax", name="free"), layers.Softmax()],
        [layers.Softmax(name="first"), ops.square, layers.Softmax()],
    ],
)
def test_probabilities_that_would_go_through_a_second_softmax(end: list[Any]) -> None:
    name = "free" if isinstance(end[1], layers.Dense) else "first"
    with pytest.raises(ExportError, match=f"net: expected one softmax, .*, got that of {name},"):
        to_program(ending(*end))


def two(x: Any) -> tuple[Any, Any]:
    return layers.Softmax(name="first")(x), layers.Dense(4, "softmax", name="other")(x)


FIRST = layers.Softmax(name="first")
POSITIVE = layers.Activation("softplus", name="first")


@pytest.mark.parametrize(
    "end",
    [
        [FIRST, layers.Reshape((2, 2)), layers.Flatten()],
        [FIRST, layers.Rescaling(2.0)],
        [lambda x: layers.Average()([FIRST(x), layers.Dense(4)(x)])],
        [lambda x: layers.Average()(two(x))],
        [lambda x: 0.25 * two(x)[0] + 0.75 * two(x)[1]],
        [lambda x: layers.Multiply()(two(x))],
        [lambda x: layers.Maximum()(two(x)) * 1.0],
        [FIRST, lambda x: x * 0.9 + 0.1 / 4],
        [FIRST, lambda x: 1 - x],
        [FIRST, lambda x: x**2 / ops.sum(x**2, axis=-1, keepdims=True)],
        [POSITIVE, lambda x: x / ops.sum(x, axis=-1, keepdims=True)],
        [POSITIVE, lambda x: 1 / x],
        [layers.Activation("sigmoid", name="first"), layers.Reshape((2, 2)), layers.Flatten()],
        [layers.Dense(4, "sigmoid", name="first"), layers.Rescaling(0.5)],
        [layers.Reshape((1, 4)), FIRST, layers.GlobalAveragePooling1D()],
    ],
)
def test_what_is_computed_from_probabilities_gets_no_softmax(end: list[Any]) -> None:
    text = (
        r"^net: expected logits or their softmax, got what is computed from probabilities "
        r"\(first\)\. Save the model up to its logits, or adopt each head by itself\.$"
    )
    with pytest.raises(ExportError, match=text):
        to_program(ending(*end))


@pytest.mark.parametrize(
    "end",
    [
        [lambda x: x * layers.Dense(4, "sigmoid")(x)],
        [lambda x: x + layers.Dense(4)(layers.Softmax()(x) * x)],
        [lambda x: x / ops.softplus(layers.Dense(4)(x))],
        [lambda x: ops.sum(layers.Reshape((4, 1))(FIRST(x)) * layers.Reshape((1, 4))(x), 1)],
        [layers.Reshape((2, 2)), lambda x: ops.matmul(ops.softmax(x), x), layers.Flatten()],
    ],
)
def test_attention_and_gates_leave_logits_what_they_are(end: list[Any]) -> None:
    assert ends(ending(*end))[-1] == "softmax"


def test_a_softmax_with_weights_after_it_is_no_end() -> None:
    assert ends(ending(layers.Softmax(), layers.Dense(4))) == ["dense", "softmax"]


@pytest.mark.parametrize(
    ("end", "found"),
    [
        ([layers.Activation("sigmoid")], "sigmoid"),
        ([layers.Dense(4, "relu")], "relu"),
        ([layers.Dense(4, "softsign")], "softsign"),
        ([layers.LeakyReLU()], "LeakyReLU"),
        ([ops.tanh], "tanh"),
        ([keras.Sequential([keras.Input((4,)), layers.Dense(4, "tanh")])], "tanh"),
    ],
)
def test_another_activation_at_the_end(end: list[Any], found: str) -> None:
    with pytest.raises(ExportError, match=f"net: expected logits or their softmax .* got {found}"):
        to_program(ending(*end))


def test_one_number_an_image_and_images_at_the_end() -> None:
    with pytest.raises(ExportError, match=r"two or more classes, got \(None, 1\)"):
        to_program(ending(units=1))
    with pytest.raises(ExportError, match=r"one output \(n, classes\) .* got \(None, 2, 2\)"):
        to_program(ending(layers.Reshape((2, 2))))
    images = keras.Input((4, 4, 3))
    two = [layers.Dense(2)(layers.Flatten()(images)) for _ in range(2)]
    with pytest.raises(ExportError, match=r"one output .* got \(None, 2\), \(None, 2\)"):
        to_program(keras.Model(images, two))


def test_the_logits_are_the_same_with_and_without_a_softmax() -> None:
    plain = ending()
    ended = keras.Sequential([plain, layers.Softmax()])
    (first, arrays), (second, others) = to_program(plain), to_program(ended)
    assert [first[key] for key in ("logits", "output")] == [
        second[key] for key in ("logits", "output")
    ]
    for name, array in arrays.items():
        np.testing.assert_array_equal(others[name], array)
