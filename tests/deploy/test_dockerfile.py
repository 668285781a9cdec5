from __future__ import annotations

import fnmatch
import re
import tomllib

from tests.deploy.deployed import DEPLOY, ROOT, tool
from worker.settings import PREFIX, Settings

TEXT = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def test_the_linter_has_nothing_to_say() -> None:
    tool("hadolint", "--failure-threshold", "style", DEPLOY / "Dockerfile")


def test_every_file_that_is_copied_is_there_and_not_ignored() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    admitted = [line[1:] for line in ignored if line.startswith("!")]
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.*)$", TEXT, re.MULTILINE)
        for name in line.split()[:-1]
    ]
    assert len(copied) >= 4
    for name in copied:
        assert (ROOT / name).exists(), name
        assert any(fnmatch.fnmatch(name, pattern) for pattern in admitted), name


def test_everything_that_the_package_is_built_from_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = [project["project"]["readme"], *project["project"]["license-files"]]
    needed += [p.strip("*") for p in project["tool"]["setuptools"]["packages"]["find"]["include"]]
    for name in needed:
        assert re.search(rf"^COPY .*\b{re.escape(name)}\b", TEXT, re.MULTILINE), name


def test_pytorch_is_of_the_version_that_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name in ("torch", "torchvision"):
        asked = next(d for d in project["dependencies"] if re.match(rf"{name}>=", d))
        assert f'"{name}=={asked.partition(">=")[2]}.*"' in TEXT


def test_every_variable_is_a_setting_and_the_base_has_a_full_version() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    named = set(re.findall(rf"\b({PREFIX}[A-Z_]+)=", TEXT))
    assert named
    assert named <= known
    assert re.search(r"^ARG PYTHON=python:3\.\d+\.\d+-slim-\w+$", TEXT, re.MULTILINE)
    assert "USER 10001:10001" in TEXT
