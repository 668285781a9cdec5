from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.buckets import Shop
from tests.deploy.deployed import ROOT
from tests.parts import photo_bytes
from worker.courier.bucket import Bucket
from worker.courier.rounds import Courier, Route, bring, deliver
from worker.courier.word import heard
from worker.errors import BucketError, CycloramaError, FolderError, SettingsError
from worker.queue.health import REPLACE_ME, healths
from worker.settings import Settings, read_settings

GO_ON = threading.Event()


@pytest.fixture
def settings(no_settings: Path, shop: Shop) -> Settings:
    return read_settings(
        inbox=shop.url("in"),
        outbox=shop.url("out"),
        corrections=shop.url("corrections"),
        rescan_seconds=0.05,
    )


class Rounds:
    """A route whose rounds end as the test says."""

    def __init__(self, *ends: Exception | dict[str, str]) -> None:
        self.ends = list(ends)
        self.count = 0
        self.route = Route("inbox", Bucket("memory://in"), self._round)

    def _round(self, stop: threading.Event) -> dict[str, str]:
        self.count += 1
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end


@contextmanager
def carrying(settings: Settings) -> Iterator[Courier]:
    """A courier at work while the block runs."""
    courier, stop = Courier(settings), threading.Event()
    thread = threading.Thread(target=courier.run, args=(stop,))
    thread.start()
    try:
        yield courier
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.02)


def test_a_bucket_that_is_away_is_given_longer_and_longer_rests_and_told_of() -> None:
    away = BucketError("it is away", cure="Wait")
    rounds = Rounds(away, away, away, {})
    began = [now for now in range(20) if _began(rounds, float(now))]
    assert began[:4] == [0, 2, 6, 14]
    assert rounds.route.problems == {}


def _began(rounds: Rounds, now: float) -> bool:
    before = rounds.count
    if rounds.ends:
        rounds.route.tick(lambda: now, GO_ON)
    return rounds.count > before


def test_a_rest_begins_when_a_round_has_failed_however_long_that_took() -> None:
    rounds = Rounds(BucketError("it is away"), {})
    times = iter([0.0, 100.0, 101.0, 102.5])
    for _ in range(3):
        rounds.route.tick(lambda: next(times), GO_ON)
    assert rounds.count == 2
    assert list(times) == []


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (BucketError("it is away"), "memory://in"),
        (FolderError("the disk is full"), "inbox"),
        (RuntimeError("it surprises us"), "memory://in"),
    ],
)
def test_whatever_goes_wrong_is_told_and_ends_no_route(error: Exception, where: str) -> None:
    rounds = Rounds(error, {"car/01.jpg": "it could not be had"}, {})
    rounds.route.tick(lambda: 0.0, GO_ON)
    assert str(error) in rounds.route.problems[where]
    rounds.route.tick(lambda: 1.0, GO_ON)
    assert rounds.count == 1, "it has a rest"
    rounds.route.tick(lambda: 10.0, GO_ON)
    assert rounds.route.problems == {"car/01.jpg": "it could not be had"}
    rounds.route.tick(lambda: 10.1, GO_ON)
    assert (rounds.count, rounds.route.problems) == (3, {})


def test_photos_and_corrected_masks_come_and_shoots_go(shop: Shop, settings: Settings) -> None:
    shop.put("in/car/01.jpg", photo_bytes())
    shop.put("corrections/car/01.png", b"mask")
    with carrying(settings):
        wait_for(settings.inbox / "car" / "01.jpg")
        wait_for(settings.corrections_folder / "car" / "01.png")
    assert bring(settings) == deliver(settings) == {}


def test_a_courier_says_what_is_wrong_and_when_all_is_well_again(
    shop: Shop, settings: Settings
) -> None:
    assert "cyclorama courier" in heard(settings)[settings.inbox_bucket]
    shop.put("in/car/01.jpg", photo_bytes())
    shop.refuse(r"GET .*01\.jpg", 403, "AccessDenied", times=1)
    assert "AccessDenied" in bring(settings)["car/01.jpg"]
    with carrying(settings):
        wait_for(settings.inbox / "car" / "01.jpg")
        (health,) = healths(settings.state)
        assert (health.ready, health.alive) == (True, True)
        assert heard(settings) == {}
    assert healths(settings.state) == []


IMPATIENT = """
from worker.courier import rounds
rounds.BEAT_SECONDS, rounds.HANGS_SECONDS = 0.2, 4.0
from worker.cli import main
main()
"""
"""The program, which takes a bucket for hanging sooner."""


def test_a_courier_whose_bucket_hangs_ends_to_be_replaced_and_one_that_idles_does_not(
    shop: Shop, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("CYCLORAMA_INBOX", settings.inbox_bucket)
    monkeypatch.setenv("CYCLORAMA_OUTBOX", settings.outbox_bucket)
    monkeypatch.setenv("CYCLORAMA_RESCAN_SECONDS", "0.2")
    command = [sys.executable, "-c", IMPATIENT, "courier"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(settings.state / "health")
            time.sleep(5)
            assert process.poll() is None, "nothing is asked of the outbox's bucket"
            assert shop.hold("GET .*list-type=2").wait(20)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == REPLACE_ME
    assert f"no answer from {settings.inbox_bucket}" in said
    assert "does not answer" in heard(settings)[settings.inbox_bucket]
    (health,) = healths(settings.state)
    assert not health.alive


def test_two_couriers_do_not_carry_for_one_studio(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.courier.rounds.PATIENCE_SECONDS", 0.2)
    with carrying(settings):
        wait_for(settings.outbox / ".courier" / "word")
        with pytest.raises(FolderError, match="a courier runs already"):
            Courier(settings).run(threading.Event())


def test_a_courier_waits_until_an_older_one_has_ended(shop: Shop, settings: Settings) -> None:
    with ExitStack() as after:
        with carrying(settings):
            wait_for(settings.outbox / ".courier" / "word")
            after.enter_context(carrying(settings))
            time.sleep(0.3)
        shop.put("in/car/01.jpg", photo_bytes())
        wait_for(settings.inbox / "car" / "01.jpg")


def test_a_courier_that_waits_for_an_older_one_can_be_told_to_stop(settings: Settings) -> None:
    stop = threading.Event()
    with carrying(settings):
        wait_for(settings.outbox / ".courier" / "word")
        threading.Timer(0.3, stop.set).start()
        began = time.monotonic()
        Courier(settings).run(stop)
    assert time.monotonic() - began < 30


def test_a_bucket_that_is_away_is_an_error_where_one_round_is_all(
    shop: Shop, settings: Settings
) -> None:
    shop.refuse("GET", 500, "InternalError")
    with pytest.raises(CycloramaError, match="InternalError"):
        bring(settings)


def test_without_buckets_there_is_nothing_to_carry(no_settings: Path) -> None:
    assert bring(read_settings()) == deliver(read_settings()) == {}
    with pytest.raises(SettingsError, match="Set CYCLORAMA_INBOX or CYCLORAMA_OUTBOX"):
        Courier(read_settings())


@pytest.mark.parametrize(
    ("inbox", "outbox"), [("s3://shop/a", "s3://shop/a"), ("s3://shop", "s3://shop/out")]
)
def test_an_outbox_in_the_inbox_is_refused(no_settings: Path, inbox: str, outbox: str) -> None:
    with pytest.raises(SettingsError, match="Use separate folders"):
        Courier(read_settings(inbox=inbox, outbox=outbox))
