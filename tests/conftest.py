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
