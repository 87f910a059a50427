"""The one file that the platform runs, and beside it the weights."""
