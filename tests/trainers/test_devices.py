from types import SimpleNamespace

import keras
import pytest
import tensorflow as tf
from keras import layers

from trainers import devices
from trainers.recipe import HeadPhase, Phase, Recipe

RECIPE = Recipe(name="toy", whole=Phase(epochs=10, peak_lr=1), head=HeadPhase(epochs=4, peak_lr=1))


@pytest.fixture
def gpu(monkeypatch):
    """Pretend that TensorFlow computes and has one GPU; give its compute capability."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")

    def pretend(*capability: int) -> None:
        found = SimpleNamespace(name="/physical_device:GPU:0")
        details = {"compute_capability": capability} if capability else {}
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [found])
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)

    return pretend


@pytest.mark.parametrize(
    ("capability", "policy"),
    [((9, 0), "mixed_bfloat16"), ((8, 0), "mixed_bfloat16"), ((7, 5), "mixed_float16")],
)
def test_a_gpu_computes_in_the_half_precision_that_it_is_good_at(gpu, capability, policy):
    gpu(*capability)
    assert devices.precision(RECIPE) == policy


def test_an_unknown_gpu_gets_what_all_of_them_have(gpu):
    gpu()
    assert devices.precision(RECIPE) == "mixed_float16"
    assert devices.gpus() == ["/physical_device:GPU:0"]


def test_the_recipe_can_forbid_half_precision(gpu):
    gpu(9, 0)
    assert devices.precision(RECIPE.model_copy(update={"mixed_precision": False})) == "float32"


def test_a_cpu_computes_in_float32(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    assert devices.precision(RECIPE) == "float32"
    assert devices.gpus() == []


def test_want_of_memory_is_known_by_class_by_text_and_behind_a_later_error():
    plain = ValueError("another shape")
    assert not devices.out_of_memory(plain)
    assert devices.out_of_memory(MemoryError())
    assert devices.out_of_memory(tf.errors.ResourceExhaustedError(None, None, "OOM"))
    assert devices.out_of_memory(RuntimeError("RESOURCE_EXHAUSTED: Out of memory"))
    plain.__context__ = RuntimeError("RESOURCE_EXHAUSTED: Out of memory")
    assert devices.out_of_memory(plain)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same")(images)  # 3·3·3·4 numbers, 4·4 places: 1728
    x = layers.DepthwiseConv2D(3, padding="same")(x)  # 3·3·4 numbers, 16 places: 576
    x = layers.Dense(5)(layers.LayerNormalization()(x))  # 4·5 numbers, 16 places: 320
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(10)(x))  # 5·10 numbers: 50


def test_multiply_adds_by_hand(network):
    assert devices.multiply_adds(network) == 1728 + 576 + 320 + 50


def test_hours_by_hand(network, monkeypatch):
    monkeypatch.setattr(devices, "matmul_gflops", lambda: 0.02)
    # a forward pass over a million images: 2 · 2674 · 1e6 operations = 5.348 gigaflop, 267.4 s
    whole = devices.estimated_hours(network, RECIPE, 1_000_000)
    assert whole == pytest.approx(267.4 * 3 * 10 / 3600)
    pretrained = RECIPE.model_copy(update={"weights": "imagenet"})
    with_head = devices.estimated_hours(network, pretrained, 1_000_000)
    assert with_head == pytest.approx(267.4 * (3 * 10 + 4) / 3600)
    moved = HeadPhase(epochs=4, peak_lr=1, trainable_layers=1)
    with_more = pretrained.model_copy(update={"head": moved})
    hours = devices.estimated_hours(network, with_more, 1_000_000)
    assert hours == pytest.approx(267.4 * 3 * (10 + 4) / 3600)


def test_the_matrix_product_rate_is_plausible():
    assert 0.01 < devices.matmul_gflops(size=128, repeats=2) < 1e6
