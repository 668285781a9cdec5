"""Loaded by every Python process of a studio under test; springs the traps that a test has set.

A trap is a file ``<stage>`` in the folder that ``FAULT_TRAPS`` names, and its text is what is to
happen. The process that comes to the stage first moves the file to ``sprung/``, so that no trap
springs twice. A photo may also bring its own fate along: ``FATE:segv`` behind its end.

The program itself knows nothing of this: what it calls is wrapped as its modules are imported.
"""

from __future__ import annotations

import errno
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("FAULT_TRAPS", ""))
REAL_TIME = time.time
STALL_SECONDS = 3600.0

BEFORE = {
    "worker.line.pipeline": {"Line._work": "taken"},
    "worker.line.notes": {"Notes.forget": "published"},
    "worker.line.frame": {"decode": "decode"},
    "worker.line.batcher": {"Batcher._serve": "batch"},
    "worker.line.dress": {"_encode": "encode"},
    "worker.outbox.publish": {
        "Staging.add": "row",
        "Staging.publish": "assembled",
        "replace_folder": "sealed",
    },
    "worker.queue.app": {"JobQueue.send": "send"},
    "worker.intake.inbox": {"Inbox.view": "look"},
}
"""What is wrapped in which module, and the stage that begins there."""


def come_to(stage: str) -> None:
    """Springs the trap that is set at ``stage``, if there is one."""
    trap = FOLDER / stage
    sprung = FOLDER / "sprung" / f"{stage}.{os.getpid()}.{time.monotonic_ns()}"
    try:
        trap.rename(sprung)
    except OSError:
        return
    spring(sprung.read_text())


def spring(action: str) -> None:
    if action == "hang":
        time.sleep(STALL_SECONDS)
    elif action == "slow":
        time.sleep(2)
    elif action == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    elif action == "memory":
        raise MemoryError
    else:
        os.kill(os.getpid(), getattr(signal, f"SIG{action.upper()}"))
        time.sleep(5 if action in ("kill", "segv") else 0)  # the signal is on its way


def wrap(module: types.ModuleType, name: str, act: Callable[..., None]) -> None:
    """Lets ``act`` happen before a function of the module; it gets the same arguments."""
    owner: Any = module
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, last)

    @functools.wraps(original)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        act(*arguments, **options)
        return original(*arguments, **options)

    setattr(owner, last, wrapped)


def noted(path: Path, **_: Any) -> None:
    """A line for every photo that is opened, and the fate that it brings along."""
    with (FOLDER / "opened.log").open("a") as log:
        log.write(json.dumps([os.getpid(), str(path)]) + "\n")
    tail = path.read_bytes()[-16:] if path.is_file() else b""
    _, mark, fate = tail.partition(b"FATE:")
    if mark:
        spring(fate.decode())


def trapped_module(module: types.ModuleType) -> None:
    name = module.__name__
    for function, stage in BEFORE.get(name, {}).items():
        wrap(module, function, lambda *_, stage=stage, **__: come_to(stage))
    if name == "unet_core.images":
        wrap(module, "decode", noted)
    if name == "unet_core.files":

        def fsync(handle: int) -> None:
            come_to("write")
            os.fsync(handle)

        module.os = types.SimpleNamespace(**vars(os) | {"fsync": fsync})  # type: ignore[attr-defined]


class Finder(importlib.abc.MetaPathFinder):
    """Finds our modules as they are found, and has them trapped once they are there."""

    NAMES = BEFORE.keys() | {"unet_core.files", "unet_core.images"}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self.NAMES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def exec_module(module: types.ModuleType) -> None:
                execute(module)
                trapped_module(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def trapped_rename(path: Path, target: Path) -> Path:
    """Between the two renames of a publication; before the only one, if nothing is replaced."""
    if ".staging" in path.parts and ".staging" not in Path(target).parts:
        come_to("rename")
    return REAL_RENAME(path, target)


def shifted_time() -> float:
    """The time on a clock that somebody has set."""
    try:
        return REAL_TIME() + float((FOLDER / "clock").read_text())
    except (OSError, ValueError):
        return REAL_TIME()


REAL_RENAME = Path.rename
if os.environ.get("FAULT_TRAPS"):
    sys.meta_path.insert(0, Finder())
    Path.rename = trapped_rename  # type: ignore[method-assign]
    time.time = shifted_time
