"""Memory that stays: what one frame gave back serves the next.

Pictures are large, and glibc returns large pieces to the system at once and asks for them again,
page by page, for every picture: a sixth of a frame's processor time, and a process whose size
never settles.
"""

from __future__ import annotations

import ctypes

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1  # <malloc.h>
_KEPT_BYTES = 1 << 30


def keep_memory() -> bool:
    """Has the C library keep freed memory, up to 1 GiB, for this process's next pictures, in one
    pool for all threads. Returns whether it could: glibc alone can. To be called at the start."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    choices = ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, _KEPT_BYTES), (_TRIM_THRESHOLD, _KEPT_BYTES))
    return all(mallopt(*choice) == 1 for choice in choices)
