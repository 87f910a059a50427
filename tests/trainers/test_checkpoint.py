import h5py
import keras
import numpy as np
import pytest

from cells.errors import RunError
from trainers import checkpoint
from trainers.checkpoint import State, load_state, load_variables, save


def network(units: int = 2) -> keras.Model:
    images = keras.Input((3,))
    x = keras.layers.BatchNormalization()(images)
    model = keras.Model(images, keras.layers.Dense(units)(keras.layers.Dropout(0.5)(x)))
    model.compile(keras.optimizers.AdamW(use_ema=True), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def fill(model: keras.Model, start: int) -> list[np.ndarray]:
    """Give every variable of network and optimizer numbers of its own; return them."""
    variables = [*model.variables, *model.optimizer.variables]
    for number, variable in enumerate(variables, start):
        variable.assign(np.full(variable.shape, number).astype(variable.dtype))
    return values(model)


def values(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(v) for v in [*model.variables, *model.optimizer.variables]]


STATE = State(
    phase=1,
    epoch=4,
    watch={"best": 0.1, "best_epoch": 3, "waited": 0, "reductions": 1},
    history=[{"phase": "head", "epoch": 1, "loss": 0.1 + 0.2}],
    best=[np.arange(3, dtype=np.float32), np.float32([[7]])],
)


@pytest.fixture
def saved(tmp_path):
    model = network()
    expected = fill(model, 10)
    save(tmp_path / "checkpoint.h5", STATE, model)
    return tmp_path / "checkpoint.h5", expected


def test_state_comes_back_to_the_last_bit(saved):
    state = load_state(saved[0])
    for name in ("phase", "epoch", "watch", "history"):
        assert getattr(state, name) == getattr(STATE, name)
    assert len(state.best) == 2
    for found, expected in zip(state.best, STATE.best, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_network_and_optimizer_come_back(saved):
    path, expected = saved
    model = network()
    fill(model, 500)
    load_variables(path, model)
    for found, value in zip(values(model), expected, strict=True):
        np.testing.assert_array_equal(found, value)
    # moments and moving average of the optimizer, and the network's norm statistics, are among them
    paths = [v.path for v in [*model.variables, *model.optimizer.variables]]
    for part in ("moving_mean", "momentum", "velocity", "average", "iteration", "seed"):
        assert any(part in path for path in paths), part


def test_an_interrupted_save_leaves_the_old_checkpoint(saved, monkeypatch):
    path, _ = saved
    before = path.read_bytes()

    def broken(group, arrays):
        group["half"] = 1
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "_write", broken)
    with pytest.raises(KeyboardInterrupt):
        save(path, State(epoch=9), network())
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["checkpoint.h5"]


def test_another_network_is_refused(saved):
    path, _ = saved
    with pytest.raises(RunError) as error:
        load_variables(path, network(units=5))
    assert str(error.value) == (
        f"{path}: belongs to another network (written by another version?). "
        "Delete it to train from the start."
    )


def test_another_optimizer_is_refused(saved):
    path, _ = saved
    model = network()
    model.compile(keras.optimizers.SGD(), "mse")
    model.optimizer.build(model.trainable_variables)
    with pytest.raises(RunError, match="belongs to another optimizer"):
        load_variables(path, model)


@pytest.mark.parametrize("damage", ["truncated", "no HDF5", "no state", "no JSON", "other fields"])
def test_a_damaged_file_says_what_to_do(saved, damage):
    path, _ = saved
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:3000])
    elif damage == "no HDF5":
        path.write_bytes(b"nothing")
    else:
        with h5py.File(path, "a") as file:
            del file["state"]
            if damage == "no JSON":
                file["state"] = "{"
            elif damage == "other fields":
                file["state"] = '{"step": 1}'
    with pytest.raises(RunError) as error:
        load_state(path)
    assert str(error.value).startswith(f"{path}: damaged (")
    assert str(error.value).endswith("). Delete it to train from the start.")
