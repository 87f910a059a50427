"""`python -m bcsub` and the console script `bcsub`."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from bcsub.app import app


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
