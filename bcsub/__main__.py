"""`python -m bcsub` and the console script `bcsub`."""

import os

from trainers.memory import keep_freed_memory


def main() -> None:
    """Entry point."""
    # Both must be said before TensorFlow is imported, which commands do for themselves.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    keep_freed_memory()
    from bcsub.app import app

    app()


if __name__ == "__main__":
    main()
