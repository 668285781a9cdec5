"""Every command of the pages, as a newcomer types it, with what it said.

    .venv/bin/python scripts/newcomer.py [PAGE…]
    sudo .venv/bin/python scripts/newcomer.py --clean [--volume HOST:PATH]… [PAGE…]

The pages' blocks of commands are run in order, a shell a page, with one shoot in the inbox whose
second photo is broken. Names that stand for something (SHOOT, a host) are filled in. What cannot be
run is listed with the reason.

By itself it takes minutes and a home of its own: a copy of the repository, an empty home and a
fresh virtual environment into which the program is really installed; what it depends on is that of
the environment that runs this. With ``--clean`` it takes a quarter of an hour and a machine of its
own: a bare Debian with a systemd that runs, in a container (as root, with the packages that
``containers.py --help`` names), where root follows the page of systemd and a user the others, and
all is downloaded and installed as the pages say.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from newcomer_home import home_of_its_own
from newcomer_host import clean_host

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", *sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("deploy/**/*.md"))]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
LASTING = re.compile(
    r"^(cyclorama (run|watch|worker|schedule|courier)\b|.*cyclorama status --watch|journalctl -f)"
)
"""Commands that last until they are told to stop: they get some seconds, and an interrupt."""
LASTING_SECONDS = 20
NEEDS_A_PERSON = re.compile(r"^cyclorama (status|doctor)\b")
"""Commands whose exit code 1 says that something does: the broken photo."""
INTERRUPTED = 130
NOT_RUN = (
    (re.compile(r"^docker\b"), "needs Docker; containers.py does it without"),
    (re.compile(r"^kubectl\b"), "needs a cluster"),
    (re.compile(r"^scripts/test\b"), "takes a quarter of an hour; CI does it"),
    (re.compile(r"^\.venv/bin/"), "trains for hours, on photos of one's own"),
    (re.compile(r"^cyclorama models (import|promote|rollback|export)\b"), "needs a checkpoint"),
)
"""Of the commands, on any machine."""


class Place(Protocol):
    """Where a newcomer types."""

    stand_ins: dict[str, str]
    """What is typed for names that stand for something."""
    not_run: tuple[tuple[re.Pattern[str], str], ...]
    """What cannot be run here, and why."""

    after: dict[str, str]
    """A command after a page's, which shows that they have done what they are for."""

    def bash(self, page: str, text: str) -> str:
        """What a shell prints that is told ``text``, for a page."""


@dataclass(frozen=True)
class Command:
    """One command of a page."""

    page: str
    text: str

    def why_not(self, place: Place) -> str:
        """Why it is not run; empty if it is."""
        reasons = (*NOT_RUN, *place.not_run)
        return next((why for pattern, why in reasons if pattern.search(self.text)), "")

    def accepts(self, code: int) -> bool:
        """Whether it may end with this exit code."""
        return (
            code == 0
            or (code == 1 and bool(NEEDS_A_PERSON.match(self.text)))
            or (code == INTERRUPTED and bool(LASTING.match(self.text)))
        )


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
    """What the shell is told: each command between marks, with what it said and how it ended."""
    lines = []
    for number, command in enumerate(some):
        text = command.text
        for name, value in stand_ins.items():
            text = text.replace(name, value)
        if LASTING.match(text):
            text = f"timeout --preserve-status --signal=INT {LASTING_SECONDS} {text}"
        lines += [f"echo '<{number}>'", text, f"echo '<{number} '$?'>'"]
    return "\n".join(lines) + "\n"


def run_page(page: str, place: Place) -> tuple[list[Command], list[Command]]:
    """Runs a page's commands and prints what they said; those that failed, and those not run."""
    found = commands(page, (ROOT / page).read_text(encoding="utf-8"))
    some = [command for command in found if not command.why_not(place)]
    some += [Command(page, text) for name, text in place.after.items() if name == page]
    print(f"\n=== {page}", flush=True)
    output = place.bash(page, script(some, place.stand_ins))
    failed = []
    for number, command in enumerate(some):
        said = re.search(rf"<{number}>\n(.*?)<{number} (\d+)>\n", output, re.DOTALL)
        code = int(said[2]) if said else -1
        print(f"$ {command.text}\n{said[1] if said else output}[{code}]", flush=True)
        if not command.accepts(code):
            failed.append(command)
    return failed, [command for command in found if command.why_not(place)]


def main() -> int:
    """Exit code 0: what could be run did as the pages say; 1: something did not; 2: something is
    missing here."""
    parser = argparse.ArgumentParser(prog="newcomer.py", description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", default=PAGES, metavar="PAGE")
    parser.add_argument("--clean", action="store_true", help="on a bare Debian, in a container")
    parser.add_argument(
        "--volume", action="append", default=[], metavar="HOST:PATH", help="there in the container"
    )
    options = parser.parse_args()
    failed: list[Command] = []
    left: list[Command] = []
    try:
        with clean_host(options.volume) if options.clean else home_of_its_own() as place:
            for page in options.pages:
                bad, unrun = run_page(page, place)
                failed += bad
                left += unrun
    except (subprocess.CalledProcessError, TimeoutError, PermissionError) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n=== not run")
    for command in left:
        print(f"{command.page}: {command.text}\n    {command.why_not(place)}")
    print(f"\n{len(failed)} commands did not do as their page says, {len(left)} were not run")
    for command in failed:
        print(f"{command.page}: {command.text}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
