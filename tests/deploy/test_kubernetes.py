"""The manifests as kustomize builds them, held against the schemas of Kubernetes."""

from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.main import get_command

from tests.deploy.deployed import DEPLOY, tool
from worker.cli import app
from worker.queue.app import QUEUE
from worker.queue.nights import parse_cron
from worker.settings import PREFIX, Settings

VERSIONS = ("1.29", "1.34")
KEDA = {"ScaledObject", "TriggerAuthentication"}
"""Kinds of KEDA, whose schemas no package carries: they are only read here."""
Objects = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with the password that a person would put there."""
    folder = tmp_path_factory.mktemp("kubernetes") / "copy"
    shutil.copytree(DEPLOY / "kubernetes", folder)
    (folder / "overlays/example/redis.env").write_text("password=secret\n")
    example = (folder / "overlays/example/buckets.env.example").read_text()
    (folder / "overlays/example/buckets.env").write_text(example.replace("#AWS", "AWS"))
    return folder


def build(folder: Path) -> Objects:
    text = tool("kubectl", "kustomize", folder / "overlays/example")
    found = [each for each in yaml.safe_load_all(text) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


@pytest.fixture(scope="module")
def objects(folder: Path) -> Objects:
    return build(folder)


def with_all(folder: Path) -> Objects:
    """With every component that the example leaves to choose, and what belongs to it."""
    overlay = folder / "overlays/example/kustomization.yaml"
    before = overlay.read_text()
    overlay.write_text(re.sub(r"^( *)# (?=[ -]|\w+:)", r"\1", before, flags=re.MULTILINE))
    try:
        return build(folder)
    finally:
        overlay.write_text(before)


@pytest.mark.parametrize("path", sorted((DEPLOY / "kubernetes/base").glob("*.yaml")))
def test_every_file_of_the_base_fits_its_schemas_as_it_is(path: Path) -> None:
    for each in yaml.safe_load_all(path.read_text()):
        if not each["apiVersion"].startswith("kustomize"):
            each["metadata"].setdefault("namespace", "cyclorama")
            kubernetes_validate.validate(each, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_fits_the_schema_of_its_kind(folder: Path, version: str) -> None:
    checked = 0
    for (kind, name), each in with_all(folder).items():
        if kind not in KEDA:
            kubernetes_validate.validate(each, version, strict=True)
            checked += 1
        assert each["metadata"].get("namespace", "cyclorama") == "cyclorama", name
    assert checked >= 21


def test_a_misspelt_key_would_be_found(objects: Objects) -> None:
    worker = yaml.safe_load(yaml.safe_dump(objects["Deployment", "worker"]))
    worker["spec"]["template"]["spec"]["terminationGracePeriod"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(worker, VERSIONS[0], strict=True)


def pods(objects: Objects) -> dict[str, dict[str, Any]]:
    """What each pod is made from, by the name of what makes it."""
    found = {}
    for (kind, name), each in objects.items():
        if kind in ("Deployment", "StatefulSet"):
            found[name] = each["spec"]["template"]
        elif kind == "CronJob":
            found[name] = each["spec"]["jobTemplate"]["spec"]["template"]
    return found


def test_every_pod_is_restricted(folder: Path) -> None:
    found = pods(with_all(folder))
    assert set(found) == {"redis", "watcher", "worker", "retrain", "courier"}
    for pod in found.values():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]


def test_volumes_and_secrets_that_are_used_are_there(folder: Path) -> None:
    objects = with_all(folder)
    used = {"inbox", "corrections"}
    for name, also in {
        "watcher": {"outbox", "state"},
        "worker": {"outbox", "state"},
        "retrain": {"outbox", "training", "state"},
        "courier": {"outbox"},
    }.items():
        spec = pods(objects)[name]["spec"]
        claims = {
            volume["name"]: volume["persistentVolumeClaim"]["claimName"]
            for volume in spec["volumes"]
            if "persistentVolumeClaim" in volume
        }
        assert claims == {each: each for each in used | also}, name
        for claim in claims.values():
            assert ("PersistentVolumeClaim", claim) in objects
        container = spec["containers"][0]
        assert {mount["name"] for mount in container["volumeMounts"]} == {*claims, "tmp"}
        for source in container["envFrom"]:
            (kind,) = source.keys()
            there = {"configMapRef": "ConfigMap", "secretRef": "Secret"}[kind]
            assert (there, source[kind]["name"]) in objects
        for variable in container["env"]:
            if "valueFrom" in variable:
                key = variable["valueFrom"]["secretKeyRef"]
                assert key["key"] in objects["Secret", key["name"]]["data"]


def test_one_courier_writes_the_inbox_and_nobody_else_has_the_keys(folder: Path) -> None:
    objects = with_all(folder)
    courier = objects["Deployment", "courier"]["spec"]
    assert courier["replicas"] == 1
    assert courier["strategy"] == {"type": "Recreate"}
    for name, pod in pods(objects).items():
        (container,) = pod["spec"]["containers"]
        sources = [
            each
            for source in container.get("envFrom", [])
            for each in source.values()
            if each["name"].startswith("cyclorama-buckets")
        ]
        assert len(sources) == {"courier": 2, "watcher": 1}.get(name, 0), name
        assert ("secretRef" in str(container.get("envFrom"))) == (name == "courier")
        for mount in container["volumeMounts"]:
            if mount["name"] == "inbox":
                assert mount.get("readOnly", False) != (name == "courier"), name
    (keys,) = (
        v["data"]
        for k, v in objects.items()
        if k[1].startswith("cyclorama-buckets-") and k[0] == "Secret"
    )
    assert all(name.startswith("AWS_") for name in keys)


def test_the_courier_is_probed_by_a_command_that_there_is(folder: Path) -> None:
    (container,) = pods(with_all(folder))["courier"]["spec"]["containers"]
    assert container["args"] == ["courier"]
    for probe in ("startupProbe", "livenessProbe"):
        command = container[probe]["exec"]["command"]
        assert command == ["cyclorama", "health", "--alive"]
    told = get_command(app).commands["health"]  # type: ignore[attr-defined]
    assert "--alive" in {option for parameter in told.params for option in parameter.opts}


def test_without_the_component_nobody_knows_of_buckets(objects: Objects) -> None:
    assert "bucket" not in yaml.safe_dump_all(objects.values()).lower()


def test_two_nights_are_never_at_once_and_run_what_there_is(folder: Path) -> None:
    cron = with_all(folder)["CronJob", "retrain"]["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    parse_cron(cron["schedule"])
    container = cron["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    *_, dash, module = container["command"]
    assert dash == "-m"
    main = importlib.import_module(module)
    assert main.arguments(container["args"]).json


def test_a_night_reads_the_shoots_that_it_tells_of_and_cannot_change_them(folder: Path) -> None:
    (container,) = pods(with_all(folder))["retrain"]["spec"]["containers"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    for name in ("inbox", "outbox", "corrections", "training"):
        assert mounts[name] == {"name": name, "mountPath": f"/{name}", "readOnly": True}


def test_every_cyclorama_variable_is_a_setting(folder: Path) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    text = yaml.safe_dump_all(with_all(folder).values())
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+", text))
    assert named
    assert named <= known


def test_scaling_counts_the_list_that_the_watcher_fills(objects: Objects) -> None:
    scaled = objects["ScaledObject", "worker"]["spec"]
    assert scaled["scaleTargetRef"] == {"name": "worker"}
    asked = scaled["triggers"][0]["metadata"]
    assert asked["listName"] == QUEUE
    redis = objects["Service", "redis"]["metadata"]
    assert asked["host"] == f"{redis['name']}.{redis['namespace']}.svc"
    assert "replicas" not in objects["Deployment", "worker"]["spec"]
    trigger = scaled["triggers"][0]["authenticationRef"]["name"]
    secret = objects["TriggerAuthentication", trigger]["spec"]["secretTargetRef"][0]
    assert secret["key"] in objects["Secret", secret["name"]]["data"]


def test_selectors_choose_the_pods_that_they_are_meant_for(folder: Path) -> None:
    objects = with_all(folder)
    labels = {name: each["metadata"]["labels"] for name, each in pods(objects).items()}

    def chosen(selector: dict[str, str]) -> set[str]:
        return {name for name, there in labels.items() if selector.items() <= there.items()}

    def policy(name: str) -> set[str]:
        return chosen(objects["NetworkPolicy", name]["spec"]["podSelector"]["matchLabels"])

    assert policy("line") == {"watcher", "worker", "retrain"}
    assert policy("courier") == {"courier"}
    reached = objects["NetworkPolicy", "courier"]["spec"]
    assert "ingress" not in reached
    assert [rule["ports"][0]["port"] for rule in reached["egress"]] == [443, 53]
    assert policy("redis") == policy("redis-from-keda") == {"redis"}
    budget = objects["PodDisruptionBudget", "worker"]["spec"]["selector"]["matchLabels"]
    assert chosen(budget) == {"worker"}
    assert chosen(objects["Service", "redis"]["spec"]["selector"]) == {"redis"}


def test_a_worker_with_a_gpu_asks_for_one(folder: Path) -> None:
    worker = with_all(folder)["Deployment", "worker"]["spec"]
    spec = worker["template"]["spec"]
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    rolled = {"maxSurge": 0, "maxUnavailable": 1}
    assert worker["strategy"]["rollingUpdate"] == rolled, "there may be no GPU for one more"
    assert {"name": "CYCLORAMA_DEVICE", "value": "cuda"} in spec["containers"][0]["env"]
