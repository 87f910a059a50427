"""How the C library treats freed memory; to be decided before TensorFlow starts its threads."""

import ctypes


def keep_freed_memory() -> bool:
    """Tell glibc to keep what TensorFlow frees instead of handing it back to the kernel each step.

    On a CPU every step frees and asks again for hundreds of megabytes, and each new page is a page
    fault. On a quiet machine that made no difference (docs/results.md).
    It must be called before TensorFlow is imported: a thread that has its own arena keeps it.
    Returns False where there is no glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    arena_max, mmap_max, top_pad, trim_threshold = -8, -4, -2, -1  # from malloc.h
    settings = ((arena_max, 1), (mmap_max, 0), (top_pad, 64 << 20), (trim_threshold, 2**31 - 1))
    return all(mallopt(*each) for each in settings)
