"""Every command of the pages, as a newcomer types it: run in a home of its own, with what it said.

    .venv/bin/python scripts/newcomer.py [PAGE…]

The pages' blocks of commands are run in order, a shell a page, in a copy of the repository, an
empty home and a fresh virtual environment, beside a Redis and with one shoot in the inbox whose
second photo is broken. Into that environment the program is really installed; what it depends on
is that of the environment that runs this. Names that stand for something (SHOOT, a host) are filled
in. What needs an engine, root or hours is not run: it is listed with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unet_core.booth import Booth, write_shoot
from worker.queue.broker import redis_binary

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", *sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("deploy/**/*.md"))]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHOOT = "4711-golf"
INSTALL = "pip install --no-deps --no-build-isolation --quiet --disable-pip-version-check ."
LASTING = re.compile(r"^cyclorama (run|watch|worker|schedule|status --watch)\b")
"""Commands that last until they are told to stop: they get some seconds, and an interrupt."""
LASTING_SECONDS = 20
NEEDS_A_PERSON = re.compile(r"^cyclorama (status|doctor)\b")
"""Commands whose exit code 1 says that something does: the broken photo."""
NOT_RUN = (
    (re.compile(r"^docker\b"), "needs Docker"),
    (re.compile(r"^kubectl\b"), "needs a cluster"),
    (re.compile(r"^scripts/(demo|test|setup)\b"), "sets up an environment of several GB; CI does"),
    (re.compile(r"^\.venv/bin/"), "trains for hours, on photos of one's own"),
    (re.compile(r"^cyclorama models (import|promote|rollback|export)\b"), "needs a checkpoint"),
    (
        re.compile(r"^(apt-get|useradd|systemctl|journalctl)\b|/(etc|srv|opt)/"),
        "is for root, on a host of its own",
    ),
)


@dataclass(frozen=True)
class Command:
    """One command of a page."""

    page: str
    text: str

    @property
    def not_run(self) -> str:
        """Why it is not run here; empty if it is."""
        return next((why for pattern, why in NOT_RUN if pattern.search(self.text)), "")

    def accepts(self, code: int) -> bool:
        """Whether it may end with this exit code."""
        return code == 0 or (code == 1 and bool(NEEDS_A_PERSON.match(self.text)))


def commands(page: str, text: str) -> list[Command]:
    """The commands in a page's blocks, in order; lines that end in a backslash go on."""
    found = []
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            plain = re.sub(r"\s+#\s.*$", "", line).strip()
            if plain and not plain.startswith("#"):
                found.append(Command(page, plain))
    return found


def script(some: list[Command], stand_ins: dict[str, str]) -> str:
    """The shell's input: each command between two marks, with what it said and how it ended."""
    lines = []
    for number, command in enumerate(some):
        text = command.text
        for name, value in stand_ins.items():
            text = text.replace(name, value)
        if LASTING.match(text):
            text = f"timeout --preserve-status --signal=INT {LASTING_SECONDS} {text}"
        lines += [f"echo '<{number}>'", text, f"echo '<{number} '$?'>'"]
    return "\n".join(lines) + "\n"


def run_page(
    page: str, home: Path, environment: dict[str, str], stand_ins: dict[str, str]
) -> tuple[list[Command], list[Command]]:
    """Runs a page's commands and prints what they said; those that failed, and those not run."""
    found = commands(page, (ROOT / page).read_text(encoding="utf-8"))
    some = [command for command in found if not command.not_run]
    print(f"\n=== {page}", flush=True)
    done = subprocess.run(
        ["bash"],
        input=script(some, stand_ins),
        cwd=home / "cyclorama",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    failed = []
    for number, command in enumerate(some):
        said = re.search(rf"<{number}>\n(.*?)<{number} (\d+)>\n", done.stdout, re.DOTALL)
        code = int(said[2]) if said else -1
        print(f"$ {command.text}\n{said[1] if said else done.stdout}[{code}]", flush=True)
        if not command.accepts(code):
            failed.append(command)
    return failed, [command for command in found if command.not_run]


def furnish(home: Path) -> None:
    """A copy of the repository, and an inbox with one shoot, which is held for its broken photo."""
    skip = shutil.ignore_patterns(".*_cache", ".venv", ".git", "__pycache__", "*.egg-info", ".demo")
    shutil.copytree(ROOT, home / "cyclorama", ignore=skip)
    shoot = home / "inbox" / SHOOT
    write_shoot(Booth(seed=7, angles=4, width=480, height=320), shoot)
    photo = sorted(shoot.glob("*.jpg"))[1]
    photo.write_bytes(photo.read_bytes()[:2000])
    (shoot / "preset.toml").write_text('frames = 4\non_failed_frame = "hold"\n')


@contextlib.contextmanager
def shared_redis(folder: Path) -> Iterator[str]:
    """Host and port of a Redis, as on another machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    server = subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def install(home: Path) -> Path:
    """The programs of a new virtual environment, with the program installed from the copy."""
    place = home / "venv"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    (packages,) = place.glob("lib/*/site-packages")
    for old in packages.glob("setuptools*"):
        shutil.rmtree(old)  # what some Pythons bring along is too old to build us
    theirs = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "of-the-parent.pth").write_text("\n".join(theirs) + "\n")
    pip = [str(place / "bin/python"), "-m", "pip", *INSTALL.split()[1:]]
    subprocess.run(pip, cwd=home / "cyclorama", check=True)
    return place / "bin"


def main() -> int:
    """Exit code 0: what could be run did as the pages say; 1: something did not."""
    parser = argparse.ArgumentParser(prog="newcomer.py", description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", default=PAGES, metavar="PAGE")
    options = parser.parse_args()
    failed: list[Command] = []
    left: list[Command] = []
    with tempfile.TemporaryDirectory(prefix="cy") as folder, shared_redis(Path(folder)) as redis:
        home = Path(folder) / "home"
        furnish(home)
        stand_ins = {"SHOOT": SHOOT, "queue.studio:6379": redis, "pip install .": INSTALL}
        environment = {
            "HOME": str(home),
            "PYTHONWARNINGS": "ignore",
            "PATH": f"{install(home)}:{os.environ['PATH']}",
            "CYCLORAMA_INBOX": str(home / "inbox"),
            "CYCLORAMA_OUTBOX": str(home / "outbox"),
            "CYCLORAMA_STATE": str(home / ".cyclorama"),
            "CYCLORAMA_DEVICE": "cpu",
            "CYCLORAMA_QUIET_SECONDS": "4",  # not everybody has half a minute
        }
        for page in options.pages:
            shared = {} if page == "README.md" else {"CYCLORAMA_BROKER_URL": f"redis://{redis}/0"}
            bad, unrun = run_page(page, home, environment | shared, stand_ins)
            failed += bad
            left += unrun
    print("\n=== not run")
    for command in left:
        print(f"{command.page}: {command.text}\n    {command.not_run}")
    print(f"\n{len(failed)} commands did not do as their page says, {len(left)} were not run")
    for command in failed:
        print(f"{command.page}: {command.text}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
