"""A studio whose inbox and outbox are buckets, and the faults that buckets have."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.buckets import Proxy, Shop, open_shop
from tests.faults.plant import PRESET
from tests.parts import photo_bytes
from tests.studio import Studio, make_studio
from unet_core.booth import Booth, write_shoot
from unet_core.files import sha256
from unet_core.store import ModelStore
from worker.outbox.manifest import MANIFEST, Manifest

pytestmark = [pytest.mark.line, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Branch:
    """A studio whose folders are buckets."""

    studio: Studio
    shop: Shop
    state: Path

    @property
    def spool(self) -> Path:
        return self.state / "spool"


@contextmanager
def branch(root: Path, shop: Shop, **settings: str) -> Iterator[Branch]:
    """A studio on a bucket; the state folder's path is short, because of Redis' socket."""
    state = Path(tempfile.mkdtemp(prefix="cy"))
    quick = {
        "CYCLORAMA_INBOX": shop.url("in"),
        "CYCLORAMA_OUTBOX": shop.url("out"),
        "CYCLORAMA_CORRECTIONS": shop.url("corrections"),
        "CYCLORAMA_STATE": str(state),
        "CYCLORAMA_DEVICE": "cpu",
        "CYCLORAMA_PRESET": "quick",
        "CYCLORAMA_SETTLE_SECONDS": "0.2",
        "CYCLORAMA_RESCAN_SECONDS": "0.5",
        "CYCLORAMA_QUIET_SECONDS": "60",
        "OMP_NUM_THREADS": "1",
    }
    studio = make_studio(root, **quick | shop.environment | settings)
    (root / "presets").mkdir()
    (root / "presets" / "quick.toml").write_text(PRESET)
    yield Branch(studio, shop, state)
    shutil.rmtree(state)


@pytest.fixture(scope="module")
def at_work(bucket_server: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Branch]:
    """A branch in which `cyclorama run` runs, and copies go a second after delivery."""
    shop = open_shop(bucket_server, f"shop-{uuid.uuid4().hex[:8]}")
    root = tmp_path_factory.mktemp("branch") / "studio"
    with branch(root, shop, CYCLORAMA_SPOOL_HOURS="0.0003") as found, found.studio.running("run"):
        yield found


@pytest.fixture
def resting(tmp_path: Path, tiny_store: ModelStore, shop: Shop) -> Iterator[Branch]:
    """A branch in which nothing runs yet."""
    models = str(tiny_store.folder)
    with branch(tmp_path / "studio", shop, CYCLORAMA_MODELS=models) as found:
        yield found


def delivered(shop: Shop, shoot: str) -> Manifest | None:
    """The manifest of a shoot in the bucket, if all that it names lies there as it says; ``None``
    while there is none, and where another one comes while we look."""
    if not (text := _manifest(shop, shoot)):
        return None
    manifest = Manifest.model_validate_json(text)
    for row in manifest.frames:
        for output in row.outputs.values():
            if sha256(shop.read(f"out/{shoot}/{output.path}")) != output.sha256:
                assert _manifest(shop, shoot) != text
                return None
    return manifest


def _manifest(shop: Shop, shoot: str) -> bytes:
    """The bytes of the manifest; none where it is not there."""
    try:
        return shop.read(f"out/{shoot}/{MANIFEST}")
    except FileNotFoundError:
        return b""


def courier_pid(state: Path) -> int:
    (file,) = (state / "health").glob("courier-*.json")
    return int(file.stem.rpartition("-")[2])


def problems(studio: Studio) -> str:
    return " ".join(f"{path}: {why}" for path, why in studio.status()["problems"].items())


def files(folder: Path) -> set[str]:
    """What lies in a folder, which need not be there."""
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def wider(mask: bytes) -> bytes:
    """A mask that marks a little more."""
    pixels = cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_UNCHANGED)
    return cv2.imencode(".png", cv2.dilate(pixels, np.ones((5, 5), np.uint8)))[1].tobytes()


def test_late_listings_half_uploads_throttling_errors_and_a_killed_courier_lose_no_photo(
    at_work: Branch,
) -> None:
    studio, shop = at_work.studio, at_work.shop
    photos = {f"{number:02}.jpg": photo_bytes(number) for number in range(1, 5)}
    copies = at_work.spool / "inbox" / "car"
    shop.refuse("^GET", 503, "SlowDown")
    studio.wait_for(lambda: "SlowDown" in problems(studio))
    shop.mend()
    shop.hide("car/03.jpg", times=2)
    shop.refuse(r"GET .*02\.jpg", 500, "InternalError", times=2)
    shop.shorten(r"GET .*01\.jpg")
    for name, data in photos.items():
        shop.put(f"in/car/{name}", data[:-300] if name == "04.jpg" else data)
    studio.wait_for(lambda: files(copies) == photos.keys())
    studio.wait_for(lambda: "not known to be whole" in str(studio.status()["shoots"]), seconds=30)
    assert delivered(shop, "car") is None
    upload = shop.hold(r"PUT .*/out/car/masks/03\.png")
    shop.put("in/car/04.jpg", photos["04.jpg"])
    assert upload.wait(60)
    os.kill(courier_pid(at_work.state), signal.SIGKILL)
    assert MANIFEST not in shop.paths("out/car")
    studio.wait_for(lambda: delivered(shop, "car") is not None)
    studio.wait_for(lambda: problems(studio) == "", seconds=30)
    manifest = delivered(shop, "car")
    assert manifest and manifest.status == "complete"
    made = {row.source.path: row.source.sha256 for row in manifest.frames}
    assert made == {f"car/{name}": sha256(data) for name, data in photos.items()}
    puts = shop.asked("^PUT .*/out/car/")
    assert [line for line in puts if MANIFEST in line] == puts[-1:], "once, and last"


def test_a_mask_that_is_corrected_long_after_delivery_brings_its_shoot_back(
    at_work: Branch,
) -> None:
    studio, shop, spool = at_work.studio, at_work.shop, at_work.spool
    write_shoot(Booth(seed=7, width=240, height=160, angles=4), studio.root / "van", name="van")
    for photo in (studio.root / "van").iterdir():
        shop.put(f"in/van/{photo.name}", photo.read_bytes())
    studio.wait_for(lambda: delivered(shop, "van") is not None)
    first = delivered(shop, "van")
    assert first
    studio.wait_for(lambda: files(spool / "inbox" / "van") == set())
    studio.wait_for(lambda: files(spool / "outbox" / "van") == {MANIFEST})
    row = first.frames[0]
    mask = shop.read(f"out/van/{row.outputs['mask'].path}")
    shop.put(f"corrections/van/{row.name}.png", wider(mask))
    studio.wait_for(lambda: delivered(shop, "van") not in (None, first))
    studio.wait_for(lambda: files(spool / "inbox" / "van") == set())
    assert problems(studio) == ""
    second = delivered(shop, "van")
    assert second
    assert [row.mask for row in second.frames] == ["corrected", "network", "network", "network"]
    for before, after in zip(first.frames[1:], second.frames[1:], strict=True):
        assert before.outputs["mask"] == after.outputs["mask"]


def test_run_once_goes_from_bucket_to_bucket_and_a_new_machine_makes_nothing_twice(
    resting: Branch,
) -> None:
    studio, shop = resting.studio, resting.shop
    for number in range(1, 3):
        shop.put(f"in/car/{number:02}.jpg", photo_bytes(number))
    done = studio.cyclorama("run", "--once")
    assert done.returncode == 0, done.stderr
    manifest = delivered(shop, "car")
    assert manifest and len(manifest.frames) == 2
    shutil.rmtree(resting.spool)
    shop.forget()
    again = studio.cyclorama("run", "--once")
    assert again.returncode == 0, again.stderr
    assert shop.asked("^(PUT|DELETE)|01.jpg") == []
    assert delivered(shop, "car") == manifest


def test_a_run_that_is_to_end_ends_with_an_error_where_the_bucket_is_away(
    resting: Branch,
) -> None:
    resting.shop.refuse("^GET", 500, "InternalError")
    done = resting.studio.cyclorama("run", "--once")
    assert done.returncode == 2
    assert done.stderr.startswith("error: s3://")
    assert "InternalError" in done.stderr
