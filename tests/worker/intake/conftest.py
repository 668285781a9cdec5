from __future__ import annotations

from pathlib import Path

import pytest

from tests.parts import drop_photos
from tests.worker.intake.desk import Desk
from worker.outbox.places import Places
from worker.queue.leases import Leases


@pytest.fixture
def desk(places: Places, leases: Leases) -> Desk:
    return Desk(places, leases)


@pytest.fixture
def car(places: Places) -> Path:
    drop_photos(places.inbox / "car", 2)
    return places.inbox / "car"
