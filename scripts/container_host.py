"""A Debian with a systemd that runs, in a container, on which the page of systemd is followed."""

from __future__ import annotations

import re
import shutil
import time
from typing import Any

from container_engine import APT, DEPLOY, IMAGE, ROOT, Engine, wait_for, write_turn

from worker.outbox.manifest import MANIFEST

HOST, NAME = "localhost/debian-with-systemd:bookworm", "cyclorama-host"
PAGE = DEPLOY / "systemd/README.md"
STEPS = f"""FROM {IMAGE}
USER 0
RUN userdel cyclorama
{APT} systemd systemd-sysv dbus
ENTRYPOINT ["/sbin/init"]
CMD []
"""
"""Ours, since PyTorch is there already: 5 GB that need not come again."""
ETC, SHARE = "/etc/cyclorama", "/srv/cyclorama"
WATCH, WORKER = "cyclorama-watch", "cyclorama-worker@cpu"
LASTING = "journalctl -f"


def followed(engine: Engine) -> dict[str, Any]:
    """Follows the first commands of the page, on a host without a GPU: a shoot is made, a worker is
    killed, all of it is stopped. Commands that fail raise ``CalledProcessError``."""
    source = engine.folder / "checkout"
    skip = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build")
    shutil.copytree(ROOT, source, ignore=skip)
    engine.build_text(HOST, STEPS)
    volumes = [f"--volume={volume}" for volume in [*engine.volumes, f"{source}:/checkout"]]
    options = ["--privileged", "--systemd=always", "--replace", *volumes]
    engine.call("podman", "run", "--detach", "--name", NAME, *options, HOST)
    try:
        wait_for(
            "systemd", lambda: "running" in _said(engine, "systemctl is-system-running || true")
        )
        for command in _commands():
            _said(engine, command)
        _say_cpu(engine)
        return _watched(engine)
    finally:
        engine.call("podman", "rm", "--force", NAME)


def _commands() -> list[str]:
    """What the page tells to type first, but what goes on for ever."""
    found = re.search(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = found[1].splitlines() if found else []
    return [line for line in lines if not line.startswith(LASTING)]


def _say_cpu(engine: Engine) -> None:
    """As the page says for hosts without a GPU."""
    _said(engine, f"sed s/cuda:0/cpu/ {ETC}/worker-gpu0.env > {ETC}/worker-cpu.env")
    _said(engine, f"systemctl disable --now cyclorama-worker@gpu0; systemctl enable --now {WORKER}")


def _watched(engine: Engine) -> dict[str, Any]:
    shoot = engine.folder / "4714-passat"
    write_turn(shoot, 4)
    engine.call("podman", "cp", shoot, f"{NAME}:/tmp")
    _said(engine, f"mv /tmp/{shoot.name} {SHARE}/inbox")
    published = f"ls {SHARE}/outbox/{shoot.name} 2>/dev/null || true"
    report: dict[str, Any] = {
        "shoot_seconds": wait_for("a shoot", lambda: MANIFEST in _said(engine, published))
    }
    before = _pid(engine)
    _said(engine, f"systemctl kill --signal=KILL {WORKER}")
    report["seconds_until_well_again"] = wait_for(
        "the worker's successor", lambda: _pid(engine) not in ("0", before) and _is_well(engine)
    )
    began = time.monotonic()
    _said(engine, f"systemctl stop {WORKER} {WATCH}")
    report["seconds_until_stopped"] = round(time.monotonic() - began, 1)
    results = _said(engine, f"systemctl show --property=Result {WORKER} {WATCH}")
    report["ended"] = results.split()
    return report


def _pid(engine: Engine) -> str:
    return _said(engine, f"systemctl show --value --property=MainPID {WORKER}").strip()


def _is_well(engine: Engine) -> bool:
    """Whether the worker that runs now is all that health tells of, and is well."""
    health = f"set -a; . {ETC}/cyclorama.env; /opt/cyclorama/bin/cyclorama health || true"
    return bool(re.fullmatch(rf"\S+-{_pid(engine)}: ready\n", _said(engine, health)))


def _said(engine: Engine, command: str) -> str:
    words = ["podman", "exec", "--workdir", "/checkout", NAME, "bash", "-c", command]
    return engine.call(*words)
