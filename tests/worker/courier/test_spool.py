from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from tests.buckets import Shop
from tests.parts import manifest_with, photo_bytes, row_of
from unet_core.files import sha256
from worker.courier.bucket import Bucket
from worker.courier.delivery import Delivery
from worker.courier.keeper import Need
from worker.courier.records import Records
from worker.courier.spool import Spool
from worker.outbox.manifest import MANIFEST, read_manifest
from worker.outbox.places import Places
from worker.outbox.publish import SHEET, SPIN, Staging
from worker.shoots import Source

GO_ON = threading.Event()
KEEP_SECONDS = 3600.0
PHOTOS = [Source("car/01.jpg", 10, 1000), Source("car/02.jpg", 20, 2000)]
PICTURES = {"01.jpg", "02.jpg", "masks/01.png", "masks/02.png"}


@pytest.fixture
def records(places: Places) -> Records:
    return Records(places.outbox / ".courier" / "delivered")


@pytest.fixture
def spool(shop: Shop, places: Places, records: Records) -> Spool:
    return spool_of(places, records, Bucket(shop.url("out")))


def spool_of(
    places: Places, records: Records, outbox: Bucket | None, *, keep_seconds: float = KEEP_SECONDS
) -> Spool:
    corrections = places.inbox.parent / "corrections"
    return Spool(places, corrections, outbox=outbox, delivered=records, keep_seconds=keep_seconds)


def publish(places: Places, *, status: str = "complete", failed: bool = False) -> None:
    """An edition made from the photos."""
    staging = Staging(places, "car")
    rows = []
    for number, photo in enumerate(PHOTOS, start=1):
        name = f"{number:02}"
        outputs = {
            "composite": staging.write(f"{name}.jpg", photo_bytes(number)),
            "mask": staging.write(f"masks/{name}.png", b"mask %d" % number),
        }
        rows.append(row_of(photo, name, outputs=outputs, width=48, height=32))
    if failed:
        error = {"code": "truncated", "message": "It is cut short."}
        rows[1] = row_of(PHOTOS[1], "02", error=error)
    staging.publish(manifest_with("car", rows, status=status))


def deliver(shop: Shop, places: Places, records: Records) -> None:
    assert Delivery(places, Bucket(shop.url("out")), records).round(GO_ON) == {}


def grow_old(places: Places) -> None:
    """The edition was published longer ago than copies stay."""
    then = time.time() - KEEP_SECONDS - 60
    os.utime(places.published("car") / MANIFEST, (then, then))


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_shoot_that_nobody_has_made_is_needed(spool: Spool) -> None:
    assert spool.need("car", PHOTOS, here=False) == Need.FETCH
    assert spool.need("car", PHOTOS, here=True) == Need.FETCH


def test_copies_stay_until_the_shoot_is_delivered_and_for_a_while_after(
    shop: Shop, places: Places, records: Records, spool: Spool
) -> None:
    publish(places)
    grow_old(places)
    assert spool.need("car", PHOTOS, here=True) == Need.KEEP, "it is not delivered"
    deliver(shop, places, records)
    assert spool.need("car", PHOTOS, here=True) == Need.GO
    os.utime(places.published("car") / MANIFEST)
    assert spool.need("car", PHOTOS, here=True) == Need.KEEP, "it is delivered just now"


def test_with_a_folder_as_outbox_photos_go_when_their_shoot_is_published(
    places: Places, records: Records
) -> None:
    spool = spool_of(places, records, None)
    publish(places)
    grow_old(places)
    assert spool.need("car", PHOTOS, here=True) == Need.GO
    spool.let_go("car")
    assert files(places.published("car")) == PICTURES | {MANIFEST, SHEET, SPIN}


def test_copies_stay_for_ever_if_that_is_what_is_set(places: Places, records: Records) -> None:
    publish(places)
    grow_old(places)
    spool = spool_of(places, records, None, keep_seconds=0)
    assert spool.need("car", PHOTOS, here=True) == Need.KEEP


@pytest.mark.parametrize("place", ["held", "staging"])
def test_a_shoot_that_is_held_or_in_the_making_keeps_its_copies(
    places: Places, records: Records, place: str
) -> None:
    publish(places)
    grow_old(places)
    getattr(places, place)("car").mkdir(parents=True)
    assert spool_of(places, records, None).need("car", PHOTOS, here=True) == Need.KEEP


def test_a_shoot_with_a_photo_that_failed_keeps_its_copies_until_it_is_mended(
    places: Places, records: Records
) -> None:
    publish(places, status="incomplete", failed=True)
    grow_old(places)
    spool = spool_of(places, records, None)
    assert spool.need("car", PHOTOS, here=True) == Need.KEEP
    assert spool.need("car", PHOTOS[:1], here=True) == Need.FETCH, "the photo was taken out"


@pytest.mark.parametrize("change", [Source("car/02.jpg", 20, 3000), Source("car/03.jpg", 20, 2000)])
def test_a_photo_that_is_replaced_or_added_makes_the_whole_shoot_needed_again(
    shop: Shop, places: Places, records: Records, spool: Spool, change: Source
) -> None:
    publish(places)
    deliver(shop, places, records)
    grow_old(places)
    assert spool.need("car", [PHOTOS[0], change], here=False) == Need.FETCH


def test_a_corrected_mask_makes_its_shoot_needed_again(
    shop: Shop, places: Places, records: Records, spool: Spool
) -> None:
    publish(places)
    deliver(shop, places, records)
    grow_old(places)
    drop = places.inbox.parent / "corrections" / "car" / "01.png"
    drop.parent.mkdir(parents=True)
    drop.write_bytes(b"mask")
    assert spool.need("car", PHOTOS, here=False) == Need.FETCH


def test_pictures_that_went_come_back_when_their_shoot_is_needed_again(
    shop: Shop, places: Places, records: Records, spool: Spool
) -> None:
    publish(places)
    deliver(shop, places, records)
    folder = places.published("car")
    (folder / "masks" / "notes.txt").write_bytes(b"a person's")
    spool.let_go("car")
    assert files(folder) == {MANIFEST, "masks/notes.txt"}
    shop.put("out/car/01.jpg", b"somebody changed it")
    spool.prepare("car")
    assert files(folder) == {MANIFEST, "masks/notes.txt"} | PICTURES - {"01.jpg"}
    manifest = read_manifest(folder)
    assert manifest
    for row in manifest.frames:
        for output in row.outputs.values():
            if output.path != "01.jpg":
                assert sha256((folder / output.path).read_bytes()) == output.sha256
    assert list((places.outbox / ".courier").glob("*.part")) == []


def test_a_link_in_the_outbox_leads_to_no_other_file(
    shop: Shop, places: Places, records: Records, spool: Spool, tmp_path: Path
) -> None:
    publish(places)
    deliver(shop, places, records)
    folder = places.published("car")
    (folder / "masks").rename(tmp_path / "elsewhere")
    (folder / "masks").symlink_to(tmp_path / "elsewhere")
    spool.let_go("car")
    assert files(tmp_path / "elsewhere") == {"01.png", "02.png"}
    (tmp_path / "elsewhere" / "01.png").unlink()
    spool.prepare("car")
    assert files(tmp_path / "elsewhere") == {"02.png"}


def test_a_bucket_that_fails_meanwhile_costs_a_picture_that_is_made_again_and_no_shoot(
    shop: Shop, places: Places, records: Records, spool: Spool
) -> None:
    publish(places)
    deliver(shop, places, records)
    spool.let_go("car")
    shop.refuse(r"GET .*01\.jpg", 500, "InternalError")
    spool.prepare("car")
    assert files(places.published("car")) == {MANIFEST} | PICTURES - {"01.jpg"}


def test_pictures_that_went_from_here_stay_in_the_bucket_whatever_is_forgotten(
    shop: Shop, places: Places, records: Records, spool: Spool
) -> None:
    publish(places)
    deliver(shop, places, records)
    there = shop.paths("out/car")
    spool.let_go("car")
    for folder in (None, ".courier"):
        if folder:
            shutil.rmtree(places.outbox / folder)
        deliver(shop, places, Records(places.outbox / ".courier" / "delivered"))
        assert shop.paths("out/car") == there == PICTURES | {MANIFEST, SHEET, SPIN}


def test_a_machine_that_lost_everything_makes_nothing_again_that_lies_in_the_bucket(
    shop: Shop, places: Places, records: Records, spool: Spool
) -> None:
    publish(places)
    deliver(shop, places, records)
    shutil.rmtree(places.outbox)
    places.check()
    assert spool.need("car", PHOTOS, here=False) == Need.KEEP
    assert read_manifest(places.published("car"))


def test_the_pictures_of_a_shoots_own_preset_are_no_photos_that_are_missing(
    places: Places, spool: Spool
) -> None:
    publish(places)
    folder = places.published("car")
    found = read_manifest(folder)
    assert found
    own = found.preset.model_copy(update={"pictures": ["logo.png"]})
    edition = found.model_copy(update={"preset": own})
    logo = Source("car/logo.png", 5, 5)
    assert spool.need("car", [*PHOTOS, logo], here=False) == Need.FETCH
    (folder / MANIFEST).write_text(edition.model_dump_json())
    assert spool.need("car", [*PHOTOS, logo], here=False) == Need.KEEP


def test_a_manifest_that_the_bucket_refuses_has_its_shoot_made_again(
    shop: Shop, places: Places, records: Records, spool: Spool
) -> None:
    publish(places)
    deliver(shop, places, records)
    shutil.rmtree(places.outbox)
    places.check()
    shop.refuse(r"GET .*manifest\.json", 403, "AccessDenied")
    assert spool.need("car", PHOTOS, here=False) == Need.FETCH


@pytest.mark.parametrize("wrong", ["another state", "another shoot", "no manifest"])
def test_a_manifest_in_the_bucket_that_does_not_answer_for_the_photos_counts_for_nothing(
    shop: Shop, places: Places, records: Records, spool: Spool, wrong: str
) -> None:
    publish(places)
    raw = (places.published("car") / MANIFEST).read_bytes()
    shutil.rmtree(places.published("car"))
    edits = {
        "another state": raw.replace(b"2000", b"2001"),
        "another shoot": raw.replace(b'"shoot": "car"', b'"shoot": "van"'),
        "no manifest": raw[:100],
    }
    assert edits[wrong] != raw
    shop.put(f"out/car/{MANIFEST}", edits[wrong])
    assert spool.need("car", PHOTOS, here=False) == Need.FETCH
    assert not places.published("car").exists()
    shop.put(f"out/car/{MANIFEST}", raw)
    assert spool.need("car", PHOTOS, here=False) == Need.KEEP
