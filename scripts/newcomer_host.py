"""A machine of a newcomer's own: a bare Debian with a systemd that runs, in a container."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from container_engine import APT, BASE, TOOLS, Engine, make_base, wait_for
from newcomer_home import NAMES, SHOOT, STUDIO, furnish, variables

IMAGE, NAME = "localhost/debian-of-a-newcomer:bookworm", "cyclorama-newcomer"
STEPS = f"""FROM {BASE}
{APT} systemd systemd-sysv dbus curl openssl prometheus redis-server
RUN systemctl disable prometheus && useradd --create-home newcomer
ENTRYPOINT ["/sbin/init"]
CMD []
"""
"""What a page takes for granted: curl, promtool, a Redis somewhere (here it is the same host)."""
USER, HOME = "newcomer", Path("/home/newcomer")
VENV = "python3 -m venv ~/venv\n. ~/venv/bin/activate\n"
"""What the README means by a virtual environment."""
ROOTS = "deploy/systemd/README.md"
"""The page that root follows."""
MADE = """cp -r ~newcomer/photos /srv/cyclorama/inbox/4712-polo
timeout 180 bash -c 'until [ -e /srv/cyclorama/outbox/4712-polo/manifest.json ]; do sleep 1; done'
"""
GIVEN = ("PIP_", "SSL_")
"""Variables that say how pip reaches its index are those of whoever runs this."""
QUIET = {"PIP_QUIET": "1", "PIP_PROGRESS_BAR": "off"}
PAGE_SECONDS = 1800


@dataclass
class Host:
    """Shells on that machine: root's or the user's."""

    engine: Engine
    environment: dict[str, str]
    stand_ins: dict[str, str]
    after: dict[str, str]
    not_run: tuple[tuple[re.Pattern[str], str], ...] = ()

    def bash(self, page: str, text: str) -> str:
        """What a shell prints that is told ``text``, for a page."""
        user, own = (USER, variables(HOME)) if page != ROOTS else ("root", {})
        if page not in ("README.md", ROOTS):
            own["CYCLORAMA_BROKER_URL"] = f"redis://{STUDIO}/0"
        own_venv = "" if page == ROOTS else VENV
        options = [f"--user={user}", f"--workdir={HOME / 'cyclorama'}"]
        options += [f"--env={name}={value}" for name, value in (self.environment | own).items()]
        done = subprocess.run(
            ["podman", "exec", *options, NAME, "bash", "-c", f"exec 2>&1\n{own_venv}{text}"],
            stdin=subprocess.DEVNULL,
            env=self.engine.environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=PAGE_SECONDS,
            check=False,
        )
        return done.stdout


@contextlib.contextmanager
def clean_host(volumes: list[str]) -> Iterator[Host]:
    """The machine, with a copy of the repository, an inbox and photos in the user's home; gone
    after the block. Raises ``PermissionError`` without root or the programs, and
    ``CalledProcessError`` when podman fails."""
    if os.geteuid() != 0 or not all(map(shutil.which, TOOLS)):
        raise PermissionError(f"--clean needs root, and these programs: {' '.join(TOOLS)}")
    with tempfile.TemporaryDirectory(prefix="cyclorama-") as folder:
        engine = Engine(Path(folder), volumes)
        make_base(engine)
        engine.build_text(IMAGE, STEPS)
        options = ["--privileged", "--systemd=always", "--replace", "--hostname=studio"]
        options += ["--add-host=queue.studio:127.0.0.1"]
        options += [f"--volume={volume}" for volume in volumes]
        engine.call("podman", "run", "--detach", "--name", NAME, *options, IMAGE)
        try:
            wait_for("systemd", lambda: _is_up(engine))
            _move_in(engine)
            own = {n: v for n, v in os.environ.items() if n.startswith(GIVEN)}
            names = {"SHOOT": SHOOT, "PATH…": "~/photos", **NAMES}
            yield Host(engine, own | QUIET, names, {ROOTS: MADE})
        finally:
            engine.call("podman", "rm", "--force", NAME)


def _is_up(engine: Engine) -> bool:
    ask = "systemctl is-system-running || true"
    return engine.call("podman", "exec", NAME, "bash", "-c", ask).strip() in ("running", "degraded")


def _move_in(engine: Engine) -> None:
    """Copies what the newcomer has into the home, and makes the share that the pages speak of."""
    home = engine.folder / USER
    furnish(home)
    for name in ("cyclorama", "inbox", "photos"):
        engine.call("podman", "cp", home / name, f"{NAME}:{HOME}/{name}")
    share = "install -d -o newcomer /mnt/spool && chown --recursive newcomer: /home/newcomer"
    engine.call("podman", "exec", NAME, "bash", "-c", share)
