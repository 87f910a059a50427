"""What all tests share: a quiet TensorFlow on the CPU, and seeds."""

import os
import random
import sys

import numpy as np
import pytest

# Before anything imports them; set in the environment, so that commands started by a test obey too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # small networks, and numbers compared to float32's end
os.environ["MPLBACKEND"] = "agg"

# Files that take half a minute and more. Where files are dealt out to several processes these go
# first, so that none of them is left over when the other process has run out of work.
LONG = (
    *("test_road", "test_nothing_lost", "test_adopted", "test_families", "test_new_backbone"),
    *("test_fit", "test_train", "test_cell_network", "test_convnext", "test_outliers"),
    *("test_trial", "test_bench_trial", "test_parity", "test_deadline", "test_two_devices"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """The same numbers whichever tests run, and in whatever order."""
    random.seed(0)
    np.random.seed(0)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
