"""Several devices of one host, here two virtual ones: in a process of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

PROGRAM = """
import json, sys
from pathlib import Path
import tensorflow as tf

count, folder = int(sys.argv[1]), Path(sys.argv[2])
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)

import keras, numpy as np
from keras import layers
from cells.policy import Policy
from cells.errors import RunError
from trainers import devices
from trainers.fit import fit
from trainers.keeper import TrainingData
from trainers.networks import head
from trainers.recipe import Phase, Recipe

names = ["CPU:0", "CPU:1"][:count]
if keras.backend.backend() != "jax":  # JAX counts its virtual devices itself
    devices.replicas = lambda: names


class Seen(layers.Layer):  # notes how many images of a batch a device gets
    def call(self, x, training=False):
        if training and keras.backend.backend() != "jax":
            shares.add(x.shape[0])
        return x


class Listener:
    def say(self, text): pass
    def step(self, *where): pass
    def epoch(self, row): rows.append(row)


def train(**fields):
    recipe = Recipe(name="toy", ema_momentum=0.5, weight_decay=0.01, clip_norm=None,
                    policy=Policy(flip=0), whole=Phase(epochs=2, peak_lr=0.02), **fields)
    keras.utils.set_random_seed(0)
    labels = np.arange(40) % 3
    images = np.random.default_rng(0).integers(0, 120, (40, 8, 8, 3))
    images[np.arange(40), :, :, labels] += 60
    images = images.astype(np.uint8)
    data = TrainingData(images, labels, images[:6], images[:6], labels[:6], 3)
    with devices.scope():
        x = inputs = keras.Input((8, 8, 3))
        x = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(Seen()(x)))
        network = keras.Model(inputs, head(layers.GlobalAveragePooling2D()(x), recipe, 3))
        fit(network, recipe, data, 0, folder / "checkpoint.h5", Listener())
        return network


def copies(weight):  # on so many devices it lies
    value = weight.value
    if keras.backend.backend() == "jax":
        return len(value.sharding.device_set)
    return len(getattr(value, "values", [value]))


rows, shares = [], set()
network = train(batch=8)
on = {copies(weight) for weight in network.weights}
try:
    train(batch=7)
    error = ""
except RunError as caught:
    error = str(caught)
weights = [np.asarray(weight).tolist() for weight in network.weights]
together = len(devices.replicas())
print(json.dumps({"rows": rows, "weights": weights, "error": error, "devices": together,
                  "copies": list(on), "shares": list(shares)}))
"""


def trained(count: int, folder: Path, repository: Path) -> dict:
    flags = f"--xla_force_host_platform_device_count={count}"  # read by JAX alone
    made = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(count), str(folder)],
        cwd=repository,
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return json.loads(made.stdout.splitlines()[-1])


def test_two_devices_share_a_batch_and_learn_what_one_would(tmp_path, repository):
    one, two = (trained(count, tmp_path / str(count), repository) for count in (1, 2))
    assert (one["devices"], two["devices"]) == (1, 2)
    assert (one["copies"], two["copies"]) == ([1], [2])  # of every weight
    if keras.backend.backend() != "jax":  # JAX traces the whole batch, and splits it afterwards
        assert (one["shares"], two["shares"]) == ([8], [4])
    assert one["error"] == ""
    assert two["error"] == (
        "toy: batch: expected a multiple of 2, the devices that share it, got 7. Use --set batch=6."
    )
    for found, expected in zip(two["weights"], one["weights"], strict=True):
        np.testing.assert_allclose(found, expected, atol=5e-4)  # Adam makes much of little
    losses = [[row["inner_clean_loss"] for row in found["rows"][:2]] for found in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert losses[0][0] - losses[0][1] > 0.01
