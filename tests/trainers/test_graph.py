"""Calls are followed, not layers: shared ones, models in models, layers taken apart."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from cells.errors import ExportError
from trainers.counting import count_operations
from trainers.export import to_program
from trainers.graph import walk
from trainers.program import Program


@keras.saving.register_keras_serializable(package="tests")
class Gate(layers.Layer):
    """A layer of somebody's own: with a weight, a layer inside and a way of its own to train."""

    def build(self, input_shape: Any) -> None:
        self.slope = self.add_weight(shape=(), initializer="ones", name="slope")
        self.inner = layers.Dense(input_shape[-1], name="inner")
        self.inner.build(input_shape)

    def call(self, inputs: Any, training: bool = True) -> Any:
        if training:
            return inputs
        return ops.sigmoid(self.inner(inputs) * self.slope) * inputs


@keras.saving.register_keras_serializable(package="tests")
class Odd(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return ops.flip(inputs, axis=1)


@keras.saving.register_keras_serializable(package="tests")
class Odder(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return np.asarray(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


def network(*middle: Any) -> keras.Model:
    images = x = keras.Input((8, 8, 3))
    for layer in middle:
        x = layer(x)
    return keras.Model(images, layers.Dense(2)(layers.Flatten()(x)), name="net")


def steps(*middle: Any) -> list[dict[str, Any]]:
    """What stands between images and head."""
    return to_program(network(*middle))[0]["ops"][:-3]


def test_names_the_layer_that_it_cannot_express() -> None:
    inner = keras.Sequential([keras.Input((8, 8, 3)), Odd(name="strange")], name="inner")
    text = r"net/inner/strange \(Odd\)/\S+ \(Flip\): \S+\.Flip is not among the operations"
    with pytest.raises(ExportError, match=text):
        to_program(network(inner))
    inner = keras.Sequential([keras.Input((8, 8, 3)), Odder(name="strange")], name="inner")
    text = r"net/inner/strange \(Odder\): \S+\.Odder is not among the layers .* keras.ops alone"
    with pytest.raises(ExportError, match=text):
        to_program(network(inner))


def test_needs_a_functional_model() -> None:
    class Subclassed(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

    for model, name in ((Subclassed(), "Subclassed"), (keras.Sequential(), "Sequential")):
        with pytest.raises(ExportError, match=f"expected a functional model, got {name}"):
            to_program(model)


def test_a_layer_called_twice_is_two_steps_with_one_kernel() -> None:
    shared = layers.Conv2D(3, 3, padding="same")
    program, arrays = to_program(network(shared, layers.ReLU(), shared))
    kinds = [step["op"] for step in program["ops"]]
    assert kinds == ["conv", "activation", "conv", "flatten", "dense", "softmax"]
    first, _, second, *_ = program["ops"]
    assert first["arrays"] == second["arrays"]
    assert len(arrays) == 4


def test_a_layer_called_at_two_sizes() -> None:
    """Only its call knows the shape that a layer got."""
    norm, up = layers.LayerNormalization(), layers.UpSampling2D(2)
    found = steps(norm, up, norm, up)
    assert [step["attrs"].get("size") for step in found] == [None, [16, 16], None, [32, 32]]


def test_the_order_of_arguments_stays() -> None:
    def between(x: Any) -> Any:
        return (1 - x) / ops.subtract(x, 2)

    images = keras.Input((8, 8, 3))
    program = Program("net")
    walk(keras.Model(images, between(images)), [0], program, "net")
    by_number = {step["out"]: step for step in program.ops}

    def written(number: int) -> str:
        if number == 0:
            return "x"
        step = by_number[number]
        if step["op"] == "constant":
            return f"{step['attrs']['value']:g}"
        left, right = (written(index) for index in step["in"])
        return f"({left} {step['op']} {right})"

    assert written(len(program.ops)) == "((1 subtract x) divide (x subtract 2))"


def test_a_constant_is_there_once() -> None:
    found = steps(lambda x: ops.maximum(x * 2.0, 1.0), lambda x: ops.maximum(x, 1.0) + 2.0)
    assert sum(step["op"] == "constant" for step in found) == 2


def test_a_factor_for_each_channel_is_a_scale() -> None:
    (step,) = steps(lambda x: x * np.array([1.0, 2.0, 3.0], np.float32))
    assert step["op"] == "scale"
    assert [step["op"] for step in steps(lambda x: x * np.ones((8, 1, 1), np.float32))] == [
        "constant",
        "multiply",
    ]


def test_a_layer_of_ones_own_is_taken_apart_as_it_predicts() -> None:
    gate = Gate(name="gate")
    net = network(gate)
    calls = len(gate._inbound_nodes), len(gate.inner._inbound_nodes)
    program, arrays = to_program(net)
    found = [(step["op"], step["name"]) for step in program["ops"][:-3]]
    assert found == [
        ("dense", "inner"),
        ("constant", "gate"),
        ("multiply", "gate"),
        ("activation", "gate"),
        ("multiply", "gate"),
    ]
    again = to_program(net)
    assert again[0] == program  # the same names and numbers, so the same fingerprint
    assert list(again[1]) == list(arrays)
    assert (len(gate._inbound_nodes), len(gate.inner._inbound_nodes)) == calls


def test_models_in_models_with_several_inputs_and_outputs() -> None:
    left, right = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    inner = keras.Model([left, right], [left - right, right - left], name="inner")

    def both(x: Any) -> Any:
        return layers.Concatenate()(inner([x, layers.ReLU()(x)]))

    *found, joined = steps(both)
    by_number = {step["out"]: (step["op"], step["in"]) for step in found}
    assert by_number[1] == ("activation", [0])
    differences = [by_number[number] for number in joined["in"]]
    assert differences == [("subtract", [0, 1]), ("subtract", [1, 0])]


def test_images_never_meet() -> None:
    for mixing in (
        lambda x: x[1:, :],
        lambda x: x - ops.mean(x),
        lambda x: x - ops.max(x, axis=0),
    ):
        with pytest.raises(ExportError, match=r"expected (all images|one within an image)"):
            to_program(network(mixing))


@pytest.mark.parametrize(
    ("mixing", "text"),
    [
        (lambda x: ops.concatenate([x, x], axis=0), "axis: expected one within an image, got 0"),
        (lambda x: ops.concatenate([x, x], axis=-4), "axis: expected one within an image, got -4"),
        (lambda x: ops.pad(x, 1), r"pad_width: .* axis of images, got \[\[1, 1\], \[1"),
        (lambda x: ops.pad(x, ((1, 0), (0, 0), (0, 0), (0, 0))), "pad_width: expected none"),
        (lambda x: ops.softmax(ops.transpose(x)), "axis: expected one within|images to stay first"),
        (lambda x: x - ops.transpose(x, (1, 0, 2, 3)), "at the same axis|images to stay first"),
        (lambda x: x - x[:, 0], r"at the same axis, got \[\((None|8), 8, 8, 3\), \((None|8), 8, 3"),
    ],
)
def test_the_axis_of_images_is_left_alone(mixing: Any, text: str) -> None:
    for batch in (None, 8):
        images = keras.Input(batch_shape=(batch, 8, 8, 3))
        with pytest.raises(ExportError, match=text):
            walk(keras.Model(images, mixing(images)), [0], Program("net"), "net")


def test_queries_keys_and_values_may_be_split_in_front_of_the_images() -> None:
    def attention(x: Any) -> Any:
        split = ops.transpose(ops.reshape(x, (-1, 64, 3, 1, 1)), (2, 0, 3, 1, 4))
        return ops.reshape(split[0] + split[1] * split[2], (-1, 8, 8, 1))

    assert [step["op"] for step in steps(attention)][:3] == ["reshape", "transpose", "slice"]
    images = keras.Input((8, 8, 3))
    moved = layers.Activation("relu")(
        ops.transpose(ops.reshape(images, (-1, 8, 8, 3, 1)), (1, 0, 2, 3, 4))
    )
    with pytest.raises(ExportError, match=r"expected images first, got \(8, None, 8, 3, 1\)"):
        walk(keras.Model(images, moved), [0], Program("net"), "net")


@pytest.mark.parametrize("largest", [ops.max, ops.min])
def test_the_largest_of_a_tensor_and_a_number(largest: Any) -> None:
    with pytest.raises(ExportError, match=r"initial: expected none, got 0\.5"):
        to_program(network(lambda x: x - largest(x, axis=1, keepdims=True, initial=0.5)))


def of_integers(*middle: Any) -> keras.Model:
    images = x = keras.Input((8, 8, 3), dtype="uint8")
    for layer in middle:
        x = layer(x)
    return keras.Model(images, layers.Dense(2)(layers.Flatten()(x)), name="net")


def test_whole_numbers_are_made_float_before_anything_is_computed() -> None:
    for first in (layers.Rescaling(0.5), lambda x: ops.cast(x, "float32") * 0.5):
        assert "dense" in [step["op"] for step in to_program(of_integers(first))[0]["ops"]]
    text = "expected floating-point numbers, got uint8. Cast to float32 first"
    for first in (lambda x: x + x, layers.Dropout(0.1), layers.Resizing(4, 4)):
        with pytest.raises(ExportError, match=text):
            to_program(of_integers(first, layers.Rescaling(0.5)))


def test_a_model_of_whole_numbers_gets_the_images_only() -> None:
    inner = of_integers(layers.Rescaling(0.5))
    images = keras.Input((8, 8, 3))
    to_program(keras.Model(images, inner(images)))
    scaled = layers.Rescaling(1 / 255)(images)
    with pytest.raises(ExportError, match=r"/net \(Functional\): expected float inputs, got uint8"):
        to_program(keras.Model(images, inner(scaled)))


def test_inputs_by_name_could_change_places() -> None:
    left, right = keras.Input((8, 8, 3), name="z"), keras.Input((8, 8, 3), name="a")
    inner = keras.Model([left, right], left - right, name="inner")
    named = keras.Model({"z": left, "a": right}, left - right, name="inner")
    text = r"net/inner \(Functional\): expected inputs in a list, got them by name"
    for model in (inner, named):
        with pytest.raises(ExportError, match=text):
            to_program(network(lambda x, model=model: model({"z": x, "a": layers.ReLU()(x)})))


def test_shapes_that_do_not_fit_name_their_layer() -> None:
    step = {"op": "add", "name": "sum", "in": [0, 1], "out": 2, "arrays": {}, "attrs": {}}
    first = {"op": "slice", "name": "cut", "in": [0], "out": 1, "arrays": {}}
    first["attrs"] = {"key": [[None, None, None], [0, 5, None]]}
    with pytest.raises(ExportError, match=r"^sum \(add\): Dimensions must be equal"):
        count_operations([first, step], {}, (None, 8, 8, 3))


def test_a_product_never_sums_over_images() -> None:
    x = keras.Input((192,))
    y = ops.transpose(x)
    for product, text in (
        (ops.matmul(y, x), "x1: expected no sum over images"),
        (ops.matmul(np.ones((2, 192), np.float32), y), None),
        (ops.matmul(x, y), "expected images at the same axis"),
    ):
        graph = keras.Function(x, product)
        if text is None:
            walk(graph, [0], Program("net"), "net")
            continue
        with pytest.raises(ExportError, match=text):
            walk(graph, [0], Program("net"), "net")
