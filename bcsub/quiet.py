"""TensorFlow's import without what its C++ says before any log level counts."""

import os
import sys
import tempfile


def import_tensorflow() -> None:
    """Import TensorFlow; what it prints meanwhile is shown only when the import fails.

    TensorFlow 2.21 writes six lines about oneDNN and missing GPUs to file descriptor 2, whatever
    TF_CPP_MIN_LOG_LEVEL says. They would be the first thing that every command shows.
    """
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
