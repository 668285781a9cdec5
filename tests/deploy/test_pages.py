"""The pages of deploy/: what they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.deploy.deployed import DEPLOY, ROOT
from tests.deploy.test_monitoring import GPU_ONLY, NAME
from worker.cli import app
from worker.settings import PREFIX, Settings

PAGES = sorted(DEPLOY.rglob("*.md"))
TEXTS = {page.relative_to(DEPLOY).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DEPLOY).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_setting_and_command_is_one_that_there_is(name: str) -> None:
    known = {PREFIX + each.upper() for each in Settings.model_fields}
    assert set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", TEXTS[name])) <= known
    there = {c.callback.__name__ for c in app.registered_commands if c.callback}
    there |= {str(group.name) for group in app.registered_groups}
    named = set(re.findall(r"\bcyclorama (\w+) *(?:SHOOT|--|rollback|`|#)", TEXTS[name]))
    assert named <= there


@pytest.mark.parametrize(
    "name",
    ["buckets.md", "compose.md", "systemd/README.md", "kubernetes/README.md", "operations.md"],
)
def test_a_page_begins_with_its_commands(name: str) -> None:
    before, _, _ = TEXTS[name].partition("```sh\n")
    assert len(before.splitlines()) <= 5


def test_every_alert_has_its_paragraph_and_no_other_has_one() -> None:
    rules = yaml.safe_load((DEPLOY / "monitoring/alerts.yml").read_text())["groups"][0]["rules"]
    told = re.findall(r"^### (\w+)$", TEXTS["operations.md"], re.MULTILINE)
    assert sorted(told) == sorted(rule["alert"] for rule in rules)


def test_every_file_that_a_command_copies_is_there() -> None:
    """Studio's own overlay is made by the command before it."""
    for path in re.findall(r"^.*?\b(?:cp -r|install -m \S+|-f) .*$", "".join(TEXTS.values()), re.M):
        for source in re.findall(r"\bdeploy/[\w./@*-]+", path):
            if not source.endswith("overlays/studio"):
                assert list(ROOT.glob(source)), source


def test_every_name_in_the_tables_is_one_that_the_sources_export() -> None:
    sources = "".join(
        (ROOT / "worker" / file).read_text()
        for file in (
            "metrics.py",
            "line/metrics.py",
            "intake/metrics.py",
            "webhook/metrics.py",
            "night/record.py",
        )
    )
    for name in set(NAME.findall(TEXTS["monitoring/README.md"])) - {"process_"}:
        plain = name.removesuffix("_total").removesuffix("_info")
        assert plain in sources or name in GPU_ONLY, name
