"""What a newcomer types from the pages does what they say."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.deploy.deployed import ROOT

PAGES = ("deploy/compose.md", "deploy/kubernetes/README.md", "deploy/webhook.md")


@pytest.mark.line
def test_every_command_of_a_page_is_run_as_it_stands_or_listed_with_the_reason() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / "scripts/newcomer.py"), *PAGES],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run, _, listed = done.stdout.partition("=== not run")
    assert re.search(r"^\$ cyclorama doctor\n(.*\n)*\[[01]\]$", run, re.MULTILINE)
    assert "$ cp .env.example .env\n[0]\n" in run
    assert "docker compose up -d\n    needs Docker" in listed
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        (block,) = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for line in block.splitlines():
            command = line.partition("  #")[0].strip()
            assert (f"$ {command}\n" in run) != (f"{page}: {command}\n" in listed), command
