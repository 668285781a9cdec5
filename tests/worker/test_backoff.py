from __future__ import annotations

from worker.backoff import Backoff


def test_the_pause_doubles_with_every_failure_and_never_gets_longer_than_its_limit() -> None:
    backoff = Backoff(300.0)
    pauses = [backoff.fail(0.0) for _ in range(2000)]
    assert pauses[:3] == [2.0, 4.0, 8.0]
    assert max(pauses) == 300.0


def test_the_pause_ends_so_long_after_the_failure() -> None:
    backoff = Backoff(300.0)
    backoff.fail(1000.0)
    assert backoff.until == 1002.0
