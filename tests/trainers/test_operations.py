import keras
import pytest
from keras import layers

from cells.errors import ExportError
from trainers.operations import OPERATIONS, Step


def steps(layer: layers.Layer, channels: int = 3) -> list[Step]:
    """What a layer becomes once it is built for images of 8 px."""
    layer(keras.Input((8, 8, channels)))
    return OPERATIONS[type(layer)](layer)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (layers.Conv2D(6, 3, groups=3, name="grouped"), "grouped: 3 groups of several channels"),
        (layers.Conv2D(4, 3, strides=(1, 2), name="lame"), "lame: strides and dilation must be"),
        (layers.Activation("mish"), "activation mish: the runtime has elu, gelu"),
        (layers.Resizing(4, 4, crop_to_aspect_ratio=True, name="r"), "r: resizing that keeps"),
    ],
)
def test_refuses_what_the_runtime_lacks(layer: layers.Layer, text: str) -> None:
    with pytest.raises(ExportError, match=text):
        steps(layer, channels=6)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (layers.LayerNormalization(axis=1), r"expected the last axis, got \[?1"),
        (layers.BatchNormalization(axis=1), "expected the last axis, got 1"),
        (layers.Normalization(axis=1, mean=0.0, variance=1.0), "expected the last axis"),
        (layers.Normalization(mean=0.0, variance=1.0, invert=True), "invert: expected False"),
        (layers.Softmax(axis=1), "expected the last axis, got 1"),
    ],
)
def test_another_axis_is_refused_and_not_exported_wrong(layer: layers.Layer, text: str) -> None:
    with pytest.raises(ExportError, match=text):
        steps(layer)


def test_only_a_plain_relu_is_expressed() -> None:
    assert steps(layers.ReLU()) == [("activation", {}, {"kind": "relu"})]
    for strange in (layers.ReLU(max_value=6), layers.ReLU(negative_slope=0.1)):
        with pytest.raises(ExportError, match="expected a plain ReLU, got max_value"):
            steps(strange)


def test_a_grouped_convolution_becomes_a_depthwise_one() -> None:
    ((operation, arrays, _),) = steps(layers.Conv2D(3, 5, groups=3, use_bias=False))
    assert operation == "depthwise"
    assert {name: array.shape for name, array in arrays.items()} == {"kernel": (5, 5, 3, 1)}
