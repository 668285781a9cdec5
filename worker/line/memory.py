"""Memory that stays: what one frame gave back serves the next.

Pictures are large, and glibc returns large pieces to the system at once and asks for them again,
page by page, for every picture: a sixth of a frame's processor time, and a process whose size
never settles.
"""

from __future__ import annotations

import ctypes

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1  # <malloc.h>
_LARGEST_BYTES, _KEPT_BYTES = 32 << 20, 128 << 20
"""Pieces that are kept, and all of what is: a photo of 24 megapixels must not leave the process as
large as it was in that moment. More of either was measured no faster."""


def keep_memory() -> bool:
    """Has the C library keep freed memory, up to 128 MiB, for this process's next pictures, in one
    pool for all threads. Returns whether it could: glibc alone can. To be called at the start."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    choices = (_ARENA_MAX, 1), (_MMAP_THRESHOLD, _LARGEST_BYTES), (_TRIM_THRESHOLD, _KEPT_BYTES)
    return all(mallopt(*choice) == 1 for choice in choices)
