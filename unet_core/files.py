"""Files that somebody may be looking at: written under a temporary name, flushed, renamed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import uuid
from pathlib import Path


def write_file(path: Path, data: bytes) -> None:
    """Puts ``data`` at ``path``: whole or not at all, and on the disk when this returns. Its folder
    must be there: one that another attempt has moved away is not to be made again."""
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # what went wrong first is what to tell
            part.unlink(missing_ok=True)
        raise


NO_SUCH_CALL = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}


def sync(path: Path) -> None:
    """Returns when a file, or the list of a folder's names, is on the disk. Some network shares
    cannot do that for folders, and have no other way: they are passed over."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_SUCH_CALL or not path.is_dir():
            raise
    finally:
        os.close(handle)


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()
