"""compose.yaml, read as Compose reads it: variables filled in, then held against the schema."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from tests.deploy.deployed import DEPLOY, ROOT
from worker.queue.broker import EmbeddedRedis
from worker.queue.nights import parse_cron
from worker.settings import PREFIX, Settings

TEXT = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
EXAMPLE = (DEPLOY / ".env.example").read_text(encoding="utf-8")
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?::(?P<kind>[?+-])(?P<rest>[^}]*))?\}")


def filled(values: dict[str, str]) -> str:
    """The file with its variables replaced; ``KeyError`` for one that must be set and is not."""

    def value(match: re.Match[str]) -> str:
        given = values.get(match["name"])
        if match["kind"] == "+":
            return match["rest"] if given else ""
        if given:
            return given
        if match["kind"] == "-":
            return match["rest"]
        raise KeyError(match["name"])

    return VARIABLE.sub(value, TEXT)


REQUIRED = {match["name"] for match in VARIABLE.finditer(TEXT) if match["kind"] == "?"}
FILLED = filled(dict.fromkeys(REQUIRED, "1000") | {"INBOX": "/in", "OUTBOX": "/out"})
MERGED = yaml.safe_dump(yaml.safe_load(FILLED))
"""Without anchors, as Compose resolves them before it looks at the keys."""


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(MERGED)["services"]
    return found


PASSED_ON = {
    name
    for service in services().values()
    for name, value in service.get("environment", {}).items()
    if value is None
}
"""Variables that a container has where `.env` sets them."""


def test_the_file_fits_the_compose_specification() -> None:
    assert set(PyCompose.from_yaml(MERGED).to_spec().services or {}) == set(services())


def test_a_misspelt_key_would_be_found() -> None:
    with pytest.raises(ValueError, match="restrat"):
        PyCompose.from_yaml(MERGED.replace("restart:", "restrat:", 1))


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_what_must_be_set_is_refused_when_it_is_not(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        filled(dict.fromkeys(REQUIRED - {name}, "x"))


def test_the_example_names_every_variable_and_no_other() -> None:
    named = set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE))
    used = {match["name"] for match in VARIABLE.finditer(TEXT)} | PASSED_ON
    assert named - {"COMPOSE_PROFILES"} == used
    empty = set(re.findall(r"^([A-Z_]+)=$", EXAMPLE, re.MULTILINE))
    assert empty == REQUIRED


def test_the_examples_defaults_are_those_of_the_file() -> None:
    defaults = {m["name"]: m["rest"] for m in VARIABLE.finditer(TEXT) if m["kind"] == "-"}
    shown = dict(re.findall(r"^#([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert shown == defaults | dict.fromkeys(PASSED_ON, "")


def test_every_file_that_is_mounted_is_there() -> None:
    for service in services().values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("./") and source not in ("./presets", "./training"):
                assert (DEPLOY / source).exists(), source
        if "build" in service:
            assert (DEPLOY / service["build"]["context"]).resolve() == ROOT
            assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_every_cyclorama_variable_is_a_setting() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for service in services().values():
        given = {n for n in service.get("environment", {}) if n.startswith(PREFIX)}
        assert given <= known


def test_the_programs_containers_can_do_little() -> None:
    for name in ("watcher", "worker", "worker-gpu", "trainer", "courier"):
        service = services()[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert ("/in:/inbox:ro" in service["volumes"]) == (name != "courier")


def test_redis_runs_with_what_the_embedded_one_has(tmp_path: Any) -> None:
    ours = " ".join(EmbeddedRedis(tmp_path)._command())
    shared = " ".join(services()["redis"]["command"])
    for option in ("--appendonly yes", "--maxmemory-policy noeviction"):
        assert option in ours
        assert option in shared
    assert '--requirepass "$$REDIS_PASSWORD"' in shared


def test_the_trainer_keeps_a_schedule_on_the_data_that_it_is_given() -> None:
    trainer, environment = services()["trainer"], services()["trainer"]["environment"]
    assert trainer["command"] == ["schedule"]
    parse_cron(environment["CYCLORAMA_RETRAIN_CRON"])
    assert environment["CYCLORAMA_BROKER_URL"].startswith("redis://")
    assert environment["CYCLORAMA_RETRAIN_DATA"] == "", "without TRAINING_DATA there is none"
    given = dict.fromkeys(REQUIRED, "x") | {"TRAINING_DATA": "/photos"}
    with_data = yaml.safe_load(filled(given))["services"]["trainer"]
    assert with_data["environment"]["CYCLORAMA_RETRAIN_DATA"] == "/training"
    assert "/photos:/training:ro" in with_data["volumes"]
    for place in ("/state", "/corrections"):
        assert all(
            any(f":{place}" in v for v in services()[s]["volumes"]) for s in ("worker", "trainer")
        )


def test_a_night_reads_the_shoots_that_it_tells_of_and_cannot_change_them() -> None:
    mounted = services()["trainer"]["volumes"]
    assert {"/in:/inbox:ro", "/out:/outbox:ro", "corrections:/corrections:ro"} <= set(mounted)


def test_the_courier_writes_the_inbox_and_alone_has_the_buckets_keys() -> None:
    courier = services()["courier"]
    assert (courier["command"], courier["profiles"]) == (["courier"], ["buckets"])
    assert courier["healthcheck"]["test"] == ["CMD", "cyclorama", "health", "--alive"]
    assert {"/in:/inbox", "/out:/outbox", "corrections:/corrections"} == set(courier["volumes"])
    assert courier["environment"]["CYCLORAMA_STATE"].startswith("/tmp/")
    assert "CYCLORAMA_BROKER_URL" not in courier["environment"], "it needs no Redis"
    for name, service in services().items():
        environment = service.get("environment", {})
        assert any(key.startswith("AWS_") for key in environment) == (name == "courier")
        told = any(key.endswith("_BUCKET") for key in environment)
        assert told == (name in ("courier", "watcher")), name


def test_the_buckets_of_the_example_reach_watcher_and_courier() -> None:
    given = dict.fromkeys(REQUIRED, "x") | {"OUTBOX_BUCKET": "s3://studio/outbox"}
    for name in ("watcher", "courier"):
        environment = yaml.safe_load(filled(given))["services"][name]["environment"]
        assert environment["CYCLORAMA_OUTBOX_BUCKET"] == "s3://studio/outbox"
        assert environment["CYCLORAMA_INBOX_BUCKET"] == "", "empty: none"


def test_nothing_is_published_to_the_network() -> None:
    for service in services().values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_every_image_names_its_version() -> None:
    for service in services().values():
        assert re.search(r":(v?\d+\.\d+\.\d+|cpu$|cuda$)", service["image"]), service["image"]
