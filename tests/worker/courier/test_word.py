from __future__ import annotations

import time
from pathlib import Path

import pytest

from worker.courier.word import SILENT_SECONDS, buckets, expect, heard, prepare_copies, say
from worker.errors import FolderError
from worker.settings import read_settings

pytestmark = pytest.mark.usefixtures("no_settings")


def test_without_buckets_there_is_nothing_to_say() -> None:
    assert buckets(read_settings()) == heard(read_settings()) == {}


def test_what_is_wrong_on_each_route_is_told() -> None:
    settings = read_settings(inbox="s3://shop/in", outbox="s3://shop/out")
    say(settings.outbox, "inbox", {"car/01.jpg": "it cannot be had"})
    say(settings.outbox, "outbox", {})
    assert heard(settings) == {"car/01.jpg": "it cannot be had"}


def test_a_courier_that_has_fallen_silent_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings(outbox="s3://shop/out")
    say(settings.outbox, "outbox", {})
    assert heard(settings) == {}
    later = time.time() + SILENT_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert "cyclorama courier" in heard(settings)["s3://shop/out"]


def test_a_courier_that_is_about_to_start_is_not_missed_and_old_troubles_are_forgotten() -> None:
    settings = read_settings(inbox="s3://shop/in", outbox="s3://shop/out")
    say(settings.outbox, "inbox", {"car/01.jpg": "it could not be had"})
    expect(settings)
    assert heard(settings) == {}


def test_the_copy_of_an_inbox_is_created_and_no_other_folder() -> None:
    prepare_copies(read_settings(inbox="s3://shop/in"))
    prepare_copies(read_settings(inbox="inbox", outbox="s3://shop/out"))
    assert Path(".cyclorama/spool/inbox").is_dir()
    assert not Path("inbox").exists()


def test_a_copy_that_cannot_be_created_names_the_cure() -> None:
    Path(".cyclorama").write_bytes(b"")
    with pytest.raises(FolderError, match="CYCLORAMA_STATE"):
        prepare_copies(read_settings(inbox="s3://shop/in"))
