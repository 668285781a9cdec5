from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.faults.losses import losses
from tests.faults.plant import Plant, make_plant
from tests.parts import drop_photos
from unet_core.store import ModelStore


@pytest.fixture(scope="session")
def shared_plant(
    tmp_path_factory: pytest.TempPathFactory, tiny_store: ModelStore
) -> Iterator[Plant]:
    """One plant for many tests: to start a worker takes longer than most faults."""
    plant = make_plant(tmp_path_factory.mktemp("plant") / "studio", tiny_store.folder)
    plant.start()
    yield plant
    plant.stop()


@pytest.fixture
def plant(shared_plant: Plant) -> Iterator[Plant]:
    """The shared plant, whole again; after the test nothing may be lost or left over."""
    plant = shared_plant
    plant.away.clear()
    plant.tend()
    yield plant
    plant.away.clear()
    plant.traps.clear()
    plant.tend()
    for name in plant.crew:
        plant.signal(name, signal.SIGCONT)
    plant.wait_for(lambda: losses(plant.studio, plant.redis()) == [], seconds=60)


@pytest.fixture
def drop(plant: Plant, request: pytest.FixtureRequest) -> Callable[[], str]:
    """Drops a shoot of four small photos; its name."""
    count = 0

    def drop() -> str:
        nonlocal count
        count += 1
        name = f"{abs(hash(request.node.nodeid)):x}-{count}"
        part = plant.studio.root / f"part-{name}"
        drop_photos(part, 4)
        part.rename(plant.studio.inbox / name)
        return name

    return drop
