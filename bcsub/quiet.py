"""TensorFlow's import without what its C++ says before any log level counts."""

import os
import sys
import tempfile
from importlib.util import find_spec

from cells.errors import BackendError

BACKENDS = ("tensorflow", "jax")


def import_tensorflow() -> None:
    """Import TensorFlow; what it prints meanwhile is shown only when the import fails.

    TensorFlow 2.21 writes six lines about oneDNN and missing GPUs to file descriptor 2, whatever
    TF_CPP_MIN_LOG_LEVEL says. They would be the first thing that every command shows.
    Raises BackendError when KERAS_BACKEND names what we do not train with, or what is not here.
    """
    _check_backend(os.environ.get("KERAS_BACKEND") or BACKENDS[0])
    if "tensorflow" in sys.modules:
        return
    # TensorFlow's own allocator: no from_generator anywhere then slows training down, by making
    # glibc give every freed block back (`python -m trainers.bench memory`).
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            said.seek(0)
            os.write(terminal, said.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def _check_backend(name: str) -> None:
    if name not in BACKENDS:
        raise BackendError(
            f"KERAS_BACKEND: expected {' or '.join(BACKENDS)}, got {name!r}. "
            "Unset it for the first."
        )
    if name == "jax":
        if find_spec("jax") is None:
            raise BackendError(
                "KERAS_BACKEND: jax is not installed. `pip install jax` beside this package "
                "(jax[cuda12] for a GPU), or unset KERAS_BACKEND."
            )
        # Each takes the GPU's memory as it needs it. At once JAX would take three quarters of it,
        # though the trial before a training is a second process on the same GPU, and TensorFlow,
        # which predicts with the uploaded runtime, all of it.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
