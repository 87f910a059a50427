"""Which GPUs each backend tells of; a JAX of our own, so that it need not be installed."""

import sys
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf

from trainers import backend, devices
from trainers.backend import Gpu
from trainers.recipe import Phase, Recipe

RECIPE = Recipe(name="toy", whole=Phase(epochs=1, peak_lr=1))


def device(platform: str, **about: str) -> SimpleNamespace:
    return SimpleNamespace(platform=platform, id=0, device_kind="Big GPU", **about)


def pretend(monkeypatch, *found: SimpleNamespace) -> None:
    """JAX computes, and sees these devices; TensorFlow sees none."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setitem(sys.modules, "jax", SimpleNamespace(devices=lambda: list(found)))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])


def test_jax_tells_its_own_gpus(monkeypatch):
    pretend(monkeypatch, device("gpu", compute_capability="9.0"))
    assert backend.gpus() == [Gpu("gpu:0", "Big GPU", (9, 0))]
    assert devices.gpus() == ["gpu:0"]
    assert devices.precision(RECIPE) == "mixed_bfloat16"
    pretend(monkeypatch, device("cuda", compute_capability="7.5"))
    assert devices.precision(RECIPE) == "mixed_float16"


def test_a_gpu_without_cuda_gets_what_all_of_them_have(monkeypatch):
    pretend(monkeypatch, device("rocm"))
    assert backend.gpus() == [Gpu("gpu:0", "Big GPU", None)]
    assert devices.precision(RECIPE) == "mixed_float16"


def test_a_cpu_is_no_gpu(monkeypatch):
    pretend(monkeypatch, device("cpu"))
    assert backend.gpus() == []
    assert devices.precision(RECIPE) == "float32"


def test_tensorflow_tells_its_own(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    found = SimpleNamespace(name="/physical_device:GPU:0")
    details = {"device_name": "Big GPU", "compute_capability": (8, 6)}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [found])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)
    assert backend.gpus() == [Gpu("/physical_device:GPU:0", "Big GPU", (8, 6))]


def test_a_rate_set_amid_an_epoch_is_the_next_steps(monkeypatch):
    """Of three steps the first and the last count; JAX's numbers stay where they are meanwhile."""
    images = keras.Input((2,))
    network = keras.Model(images, keras.layers.Dense(1, use_bias=False)(images))
    network.set_weights([np.zeros((2, 1))])
    network.compile(keras.optimizers.SGD(1.0), keras.losses.MeanSquaredError())
    network.optimizer.build(network.trainable_variables)
    put_back = []
    if keras.backend.backend() == "jax":
        sync = network.jax_state_sync

        def noted():
            put_back.append(not network._jax_state_synced)
            sync()

        monkeypatch.setattr(network, "jax_state_sync", noted)

    class Rates(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.set_rate = backend.rate_setter(self.model)

        def on_train_batch_begin(self, batch, logs=None):
            self.set_rate([0.25, 0.0, 0.5][batch])

    x, y = np.array([[1.0, 0.0]], np.float32), np.array([[1.0]], np.float32)
    batches = tf.data.Dataset.from_tensors((x, y)).repeat()
    network.fit(batches, steps_per_epoch=3, callbacks=[Rates()], verbose=0, shuffle=False)
    # a step of rate r leaves the share 1 - 2r of what is missing: a half, all, nothing
    np.testing.assert_allclose(network.get_weights()[0], [[1.0], [0.0]], atol=1e-6)
    assert float(np.asarray(network.optimizer.learning_rate)) == 0.5
    assert sum(put_back) <= 1  # at the end of the epoch
