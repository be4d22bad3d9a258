"""Memory that a step frees is kept for the next one."""

from __future__ import annotations

import ctypes

# Of glibc's <malloc.h>.
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
KEPT = 2**30  # bytes at the top of the heap; what is free above goes back to the system


def keep_freed_memory() -> bool:
    """Let malloc keep what is freed, rather than ask the system for it anew in every step.

    glibc gives a block of 32 MB and more back as soon as it is freed, and a smaller one at the top of the
    heap. The next step's pages are then mapped and cleared one by one, which can take longer than the
    arithmetic on them. Returns False, and does nothing, with a C library that has no `mallopt`.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT))
