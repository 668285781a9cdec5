"""The program in a container's conditions without a container engine: another user without any
right, a root file system that is read-only, and the variables of the Dockerfile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.deployed import DEPLOY, ROOT
from tests.parts import drop_photos
from worker.outbox.manifest import read_manifest

ENTER = """
set -e
umask 022
mount --bind / "$NEW"
mount -t tmpfs tmpfs "$NEW/tmp"
for each in inbox outbox corrections state presets; do
    mkdir -p "$NEW/tmp/$each"
    mount --bind "$STUDIO/$each" "$NEW/tmp/$each"
done
chmod 1777 "$NEW/tmp"
mount -o remount,bind,ro "$NEW/tmp/inbox"
mount -o remount,bind,ro "$NEW"
mount --bind /dev "$NEW/dev"
mount -t proc proc "$NEW/proc"
exec chroot "$NEW" setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs \
    --inh-caps -all,+dac_read_search --ambient-caps -all,+dac_read_search \
    "$PYTHON" -m worker.cli run --once
"""
"""The one capability lets the user read an interpreter in root's home; it writes nowhere."""


def dockerfile_variables() -> dict[str, str]:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    found = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    return dict(pair.split("=", 1) for pair in found[-1].split())


def may_enter() -> bool:
    """Whether this machine lets us make such a place."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv", "chroot"))):
        return False
    probe = "mount --bind / /mnt && mount -o remount,bind,ro /mnt && test -e /mnt$HERE"
    probe += " && ! touch /mnt/probe"
    command = ["unshare", "--mount", "sh", "-c", probe]
    environment = os.environ | {"HERE": str(ROOT / "worker")}
    return not subprocess.run(command, env=environment, capture_output=True, check=False).returncode


@pytest.mark.line
@pytest.mark.timeout(300)
def test_a_shoot_is_made_by_another_user_on_a_read_only_root(tmp_path: Path) -> None:
    if not may_enter():
        pytest.skip("needs root, unshare, setpriv and the right to mount")
    studio, new = tmp_path / "studio", tmp_path / "new"
    for folder in (studio / "inbox", studio / "presets", new):
        folder.mkdir(parents=True)
    for folder in (studio / "outbox", studio / "corrections", studio / "state"):
        folder.mkdir()
        os.chown(folder, 10001, 10001)
        folder.chmod(0o755)  # whatever the umask is
    drop_photos(studio / "inbox/car", 3)
    variables = dockerfile_variables()
    path = f"{variables.pop('PATH').partition(':')[0]}:{os.environ['PATH']}"
    places = {
        f"CYCLORAMA_{name}": f"/tmp/{name.lower()}"
        for name in ("INBOX", "OUTBOX", "CORRECTIONS", "STATE", "PRESETS")
    }
    there = {"/inbox", "/outbox", "/corrections", "/state", "/presets"}
    assert {variables[name] for name in places} == there
    quick = {"CYCLORAMA_SETTLE_SECONDS": "0", "CYCLORAMA_METRICS_PORT": "0"}
    ours = {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "STUDIO": str(studio)}
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "sh", "-c", ENTER],
        env=variables | places | quick | ours | {"NEW": str(new), "PATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    log = studio / "state/worker.log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    manifest = read_manifest(studio / "outbox/car")
    assert manifest is not None
    assert manifest.status == "complete"
    assert (studio / "outbox/car/01.jpg").stat().st_uid == 10001
