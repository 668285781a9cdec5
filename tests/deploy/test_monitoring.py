"""Alert rules and dashboard, held against the figures that a real run exports."""

from __future__ import annotations

import base64
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.deployed import DEPLOY, tool
from tests.parts import drop_photos, photo_bytes
from tests.ports import free_port
from tests.studio import make_studio
from worker.night.record import write_record

MONITORING = DEPLOY / "monitoring"
RULES = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((MONITORING / "grafana/dashboards/cyclorama.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
GPU_ONLY = {"cyclorama_device_memory_bytes"}
NAME = re.compile(r"\b(?:cyclorama|process)_\w+\b")


class Run:
    """What a watcher and a worker told after they had made a shoot with one bad photo."""

    def __init__(self, watcher: str, worker: str, log: list[dict[str, Any]]) -> None:
        self.watcher, self.worker, self.log = names(watcher), names(worker), log
        self.values = {
            (sample.name, *sample.labels.values()): sample.value
            for text in (watcher, worker)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def names(text: str) -> set[str]:
    """Names of the series in a text of Prometheus' form."""
    families = text_string_to_metric_families(text)
    return {sample.name for family in families for sample in family.samples}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    port = free_port(2)
    studio = make_studio(
        tmp_path_factory.mktemp("studio"),
        CYCLORAMA_METRICS_PORT=str(port),
        CYCLORAMA_LOG="json",
        CYCLORAMA_DEVICE="cpu",
        CYCLORAMA_WEBHOOK_URL=f"http://127.0.0.1:{free_port()}/",
        CYCLORAMA_WEBHOOK_SECRET=base64.b64encode(bytes(32)).decode(),
    )
    store, dice = studio.root / ".cyclorama/models", {"champion": 0.99, "candidate": 0.98}
    write_record(store, "refused", "worse", seconds=5, dice=dice)
    photos = drop_photos(studio.root / "car", 3)
    photos[1].write_bytes(photo_bytes()[:300])
    (studio.root / "car/.ready").touch()
    (studio.root / "car").rename(studio.inbox / "car")
    with studio.running("run"):
        studio.wait_for(lambda: studio.manifest("car") is not None, seconds=240)
        studio.wait_for(lambda: 'stage="done"} 1' in read(port), seconds=30)
        studio.wait_for(lambda: "cyclorama_webhook_untold 1" in read(port), seconds=30)
        watcher, worker = read(port), read(port + 1)
        assert "well" in read(port, "/health")
        assert "well" in read(port + 1, "/health")
    lines = (studio.root / ".cyclorama/worker.log").read_text().splitlines()
    yield Run(watcher, worker, [json.loads(line) for line in lines if line.startswith("{")])


def read(port: int, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        text: str = answer.read().decode()
        return text


@pytest.mark.line
@pytest.mark.timeout(300)
def test_every_name_in_rules_and_dashboard_is_one_that_a_run_exports(ran: Run) -> None:
    used = {
        name for query in [*QUERIES, *(r["expr"] for r in RULES)] for name in NAME.findall(query)
    }
    assert used - ran.watcher - ran.worker == GPU_ONLY


@pytest.mark.line
@pytest.mark.timeout(300)
def test_a_run_tells_what_it_made(ran: Run) -> None:
    assert ran.values["cyclorama_frames_total", "made"] == 2
    assert ran.values["cyclorama_frames_total", "truncated"] == 1
    assert ran.values["cyclorama_shoots_total", "incomplete"] == 1
    assert ran.values["cyclorama_inbox_frames", "done"] == 3
    assert ran.values["cyclorama_workers",] == 1
    assert ran.values["cyclorama_queue_shoots",] == 0
    assert ran.values["cyclorama_webhook_deliveries_total", "away"] >= 1
    assert ran.values["cyclorama_webhook_deliveries_total", "heard"] == 0
    assert ran.values["cyclorama_night_outcome", "refused"] == 1
    assert ran.values["cyclorama_night_dice", "candidate"] == 0.98


@pytest.mark.line
@pytest.mark.timeout(300)
def test_the_log_line_of_a_bad_photo_names_shoot_frame_and_job(ran: Run) -> None:
    (line,) = [line for line in ran.log if "car/02.jpg" in line["message"]]
    assert (line["shoot"], line["frame"], line["level"]) == ("car", "02", "warning")
    assert re.fullmatch("[0-9a-f]{32}", line["job"])
    (done,) = [line for line in ran.log if "is incomplete" in line["message"]]
    assert (done["shoot"], done["job"]) == ("car", line["job"])


def test_every_rule_is_shown_to_speak_up() -> None:
    cases = yaml.safe_load((MONITORING / "alerts_test.yml").read_text())["tests"]
    shown = {
        each["alertname"] for case in cases for each in case["alert_rule_test"]
        if each["exp_alerts"]
    }  # fmt: skip
    assert shown == {rule["alert"] for rule in RULES}


def test_the_rules_hold_in_their_own_tests() -> None:
    assert "17 rules found" in tool("promtool", "check", "rules", MONITORING / "alerts.yml")
    tool("promtool", "test", "rules", "alerts_test.yml", folder=MONITORING)


def test_the_scrape_configuration_is_valid() -> None:
    tool("promtool", "check", "config", MONITORING / "prometheus.yml")


def test_the_dashboards_queries_are_promql(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": query} for n, query in enumerate(QUERIES)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(QUERIES)} rules found" in tool("promtool", "check", "rules", file)
