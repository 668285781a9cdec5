from __future__ import annotations

import json
import socket
import threading
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.worker.webhook.receiver import SECRET, receiver
from worker.errors import SettingsError
from worker.settings import read_settings
from worker.webhook.events import Event
from worker.webhook.receiver import NotHeard, Receiver, receiver_of

EVENT = Event("car", "id1", "shoot.complete", "", '{"type": "shoot.complete", "ä": 1}'.encode())


def test_a_message_is_verified_by_the_library_of_the_standard() -> None:
    with receiver() as heard:
        Receiver(heard.url, SECRET).tell(EVENT, at=int(time.time()))
    ((headers, body),) = heard.messages
    assert Webhook(SECRET).verify(body, headers) == json.loads(EVENT.body)
    assert (headers["webhook-id"], headers["content-type"]) == ("id1", "application/json")
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"complete", b"held"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 32).verify(body, headers)


@pytest.mark.parametrize(
    ("code", "away"), [(302, False), (400, False), (410, False), (429, True), (500, True)]
)
def test_an_answer_other_than_2xx_means_not_heard(code: int, away: bool) -> None:
    with receiver() as heard:
        heard.answers = [code]
        with pytest.raises(NotHeard, match=f"answered {code}") as caught:
            Receiver(heard.url, SECRET).tell(EVENT, at=1)
    assert caught.value.away is away
    assert len(heard.messages) == 1


def test_a_receiver_that_is_not_there_is_away() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        with pytest.raises(NotHeard, match="cannot be reached") as caught:
            Receiver(url, SECRET).tell(EVENT, at=1)
    assert caught.value.away


def test_a_receiver_that_hangs_up_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = Receiver(f"http://127.0.0.1:{server.getsockname()[1]}/", SECRET)
        server.settimeout(5)
        with pytest.raises(NotHeard) as caught:
            _tell_and_hang_up(server, client)
    assert caught.value.away


def _tell_and_hang_up(server: socket.socket, client: Receiver) -> None:
    def hang_up() -> None:
        connection, _ = server.accept()
        connection.recv(10)
        connection.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    try:
        client.tell(EVENT, at=1)
    finally:
        thread.join()


@pytest.mark.parametrize(
    "url", ["ftp://x/", "receiver.studio/hook", "https:///hook", "http://x:y/"]
)
def test_an_address_that_cannot_be_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="CYCLORAMA_WEBHOOK_URL") as caught:
        Receiver(url, SECRET)
    assert url not in str(caught.value)


@pytest.mark.parametrize("secret", ["", "hunter2hunter2", "whsec_c2hvcnQ=", "ä" * 40])
def test_a_weak_secret_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(SettingsError, match="openssl rand -base64 32") as caught:
        Receiver("https://receiver.studio/", secret)
    assert not secret or secret not in str(caught.value)


@pytest.mark.usefixtures("no_settings")
def test_the_settings_name_the_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    assert receiver_of(read_settings()) is None
    monkeypatch.setenv("CYCLORAMA_WEBHOOK_URL", "https://receiver.studio/hook")
    with pytest.raises(SettingsError, match="CYCLORAMA_WEBHOOK_SECRET"):
        receiver_of(read_settings())
    monkeypatch.setenv("CYCLORAMA_WEBHOOK_SECRET", SECRET)
    settings = read_settings()
    found = receiver_of(settings)
    assert found is not None
    assert found.host == "receiver.studio"
    assert SECRET not in repr(settings)
