from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.losses import losses
from tests.faults.plant import Plant
from tests.parts import drop_photos
from tests.studio import make_studio
from unet_core.store import ModelStore

PRESET = """\
frames = 4
[backdrop]
kind = "colour"
colour = "#808080"
[shadow]
kind = "none"
"""


def make_plant(root: Path, models: Path, *, workers: int = 2, **settings: str) -> Plant:
    """A plant with a tiny checkpoint and quick waits; not started yet."""
    state = Path(tempfile.mkdtemp(prefix="cy"))
    quick = {
        "CYCLORAMA_SETTLE_SECONDS": "0.2",
        "CYCLORAMA_RESCAN_SECONDS": "0.5",
        "CYCLORAMA_LEASE_SECONDS": "1",
        "CYCLORAMA_MODELS": str(models),
        "CYCLORAMA_STATE": str(state),
        "CYCLORAMA_DEVICE": "cpu",
        "CYCLORAMA_PRESET": "quick",
        "OMP_NUM_THREADS": "1",
    }
    studio = make_studio(root, **quick | settings)
    (root / "presets").mkdir()
    (root / "presets" / "quick.toml").write_text(PRESET)
    plant = Plant(studio, state, workers=workers)
    studio.environment["CYCLORAMA_BROKER_URL"] = plant.server.url
    return plant


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
