"""`python -m bcsub` and the console script `bcsub`."""

import os
import sys


def main() -> None:
    """Entry point."""
    # It must be said before TensorFlow is imported, which commands do for themselves.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from bcsub.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
