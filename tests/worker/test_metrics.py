"""The small HTTP server, asked as Prometheus and a health check ask it."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.ports import free_port
from worker.errors import SettingsError
from worker.metrics import new_registry, serving


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_figures_are_read_as_prometheus_reads_them() -> None:
    port = free_port()
    with serving("127.0.0.1", port, registry=new_registry("worker"), complaint=lambda: ""):
        status, text = ask(port, "/metrics")
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["cyclorama_program_info"].samples[0].labels["role"] == "worker"
    assert families["process_resident_memory_bytes"].samples[0].value > 1e6


def test_health_is_200_until_there_is_a_complaint() -> None:
    port, complaints = free_port(), [""]
    registry = new_registry("worker")
    with serving("127.0.0.1", port, registry=registry, complaint=lambda: complaints[0]):
        assert ask(port, "/health") == (200, "well\n")
        complaints[0] = "No frame came – look"
        assert ask(port, "/health") == (503, "No frame came – look\n")
        assert ask(port, "/")[0] == 404


def test_afterwards_the_port_is_free_again() -> None:
    port = free_port()
    for _ in range(2):
        with serving("127.0.0.1", port, registry=new_registry("worker"), complaint=str):
            assert ask(port, "/health")[0] == 200
    with pytest.raises(OSError, match="refused"):
        ask(port, "/health")


def test_a_port_that_is_taken_is_refused_by_name() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(SettingsError, match=rf"127\.0\.0\.1:{port}.*CYCLORAMA_METRICS_PORT"),
            serving("127.0.0.1", port, registry=new_registry("worker"), complaint=str),
        ):
            pass


def test_port_0_serves_nothing() -> None:
    with serving("127.0.0.1", 0, registry=new_registry("worker"), complaint=str):
        pass
