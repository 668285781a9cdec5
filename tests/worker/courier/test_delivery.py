from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from tests.buckets import Shop
from tests.parts import manifest_with, photo_bytes, row_of
from worker.courier.bucket import Bucket
from worker.courier.delivery import Delivery
from worker.courier.records import Records
from worker.errors import BucketError
from worker.outbox.manifest import MANIFEST, FrameRow
from worker.outbox.places import Places
from worker.outbox.publish import SHEET, SPIN, Staging
from worker.shoots import Source

GO_ON = threading.Event()
REPORTS = {MANIFEST, SHEET, SPIN}


def publish(places: Places, frames: dict[str, bytes], *, shoot: str = "car") -> None:
    """An edition with these pictures, and a mask for each."""
    staging = Staging(places, shoot)
    rows: list[FrameRow] = []
    for number, (name, data) in enumerate(frames.items(), start=1):
        outputs = {
            "composite": staging.write(f"{name}.jpg", data),
            "mask": staging.write(f"masks/{name}.png", b"mask of " + data),
        }
        source = Source(f"{shoot}/{name}.jpg", len(data), number)
        rows.append(row_of(source, name, outputs=outputs, width=48, height=32))
    staging.publish(manifest_with(shoot, rows))


def pictures(*numbers: int) -> dict[str, bytes]:
    return {f"{number:02}": photo_bytes(number) for number in numbers}


@pytest.fixture
def delivery(shop: Shop, places: Places) -> Delivery:
    return courier_of(shop, places)


def courier_of(shop: Shop, places: Places) -> Delivery:
    """A delivery that remembers only what lies on the disk."""
    records = Records(places.outbox / ".courier" / "delivered")
    return Delivery(places, Bucket(shop.url("out")), records)


def assert_whole(shop: Shop, places: Places, shoot: str = "car") -> None:
    """Checks that a shoot lies in the bucket as it lies here."""
    folder = places.published(shoot)
    here = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}
    assert {path: shop.read(f"out/{shoot}/{path}") for path in shop.paths(f"out/{shoot}")} == here


def test_a_shoot_is_carried_whole_and_its_manifest_last(
    shop: Shop, places: Places, delivery: Delivery
) -> None:
    publish(places, pictures(1, 2))
    assert delivery.round(GO_ON) == {}
    assert_whole(shop, places)
    puts = shop.asked("^PUT")
    assert [line for line in puts if MANIFEST in line] == puts[-1:]


def test_what_is_delivered_is_not_carried_again_not_even_by_a_courier_that_forgot(
    shop: Shop, places: Places, delivery: Delivery
) -> None:
    publish(places, pictures(1, 2))
    delivery.round(GO_ON)
    shop.forget()
    delivery.round(GO_ON)
    courier_of(shop, places).round(GO_ON)
    assert shop.asked("") == []
    shutil.rmtree(places.outbox / ".courier")
    courier_of(shop, places).round(GO_ON)
    assert shop.asked("^(PUT|DELETE)") == []
    assert_whole(shop, places)


def test_a_newer_edition_replaces_what_changed_and_removes_what_vanished(
    shop: Shop, places: Places, delivery: Delivery
) -> None:
    publish(places, pictures(1, 2, 3))
    delivery.round(GO_ON)
    shop.put("out/car/notes.txt", b"a person's")
    shop.forget()
    publish(places, pictures(1) | {"02": photo_bytes(9)})
    delivery.round(GO_ON)
    there = shop.paths("out/car")
    assert there == REPORTS | {"01.jpg", "02.jpg", "masks/01.png", "masks/02.png", "notes.txt"}
    assert shop.read("out/car/02.jpg") == photo_bytes(9)
    assert shop.asked(r"^PUT .*01\.(jpg|png)") == [], "they lie there already"


def test_the_manifest_is_away_while_files_that_it_names_are_replaced(
    shop: Shop, places: Places, delivery: Delivery
) -> None:
    publish(places, pictures(1, 2))
    delivery.round(GO_ON)
    publish(places, {"01": photo_bytes(8), "02": photo_bytes(9)})
    shop.forget()
    shop.refuse(r"PUT .*02\.jpg", 500, "InternalError", times=1)
    assert "InternalError" in delivery.round(GO_ON)["car"]
    assert MANIFEST not in shop.paths("out/car")
    assert delivery.round(GO_ON) == {}
    assert_whole(shop, places)


def test_files_that_vanished_go_even_if_the_courier_dies_before_it_removes_them(
    shop: Shop, places: Places, delivery: Delivery
) -> None:
    publish(places, pictures(1, 2))
    delivery.round(GO_ON)
    publish(places, pictures(1))
    shop.refuse(r"DELETE .*02\.(jpg|png)", 500, "InternalError", times=1)
    assert delivery.round(GO_ON).keys() == {"car"}
    courier_of(shop, places).round(GO_ON)
    assert_whole(shop, places)


@pytest.mark.parametrize("number", range(1, 7))
def test_an_upload_that_fails_anywhere_leaves_no_manifest_before_its_files(
    shop: Shop, places: Places, delivery: Delivery, number: int
) -> None:
    publish(places, pictures(1, 2))
    fail_after(shop, number - 1)
    assert delivery.round(GO_ON).keys() == {"car"}
    assert MANIFEST not in shop.paths("out/car")
    shop.mend()
    courier_of(shop, places).round(GO_ON)
    assert_whole(shop, places)


def fail_after(shop: Shop, count: int) -> None:
    """So many writes go well, the next ones do not."""
    if count:
        passing = shop.damage("^PUT", times=count)
        passing.does = lambda answer: answer
    shop.refuse("^PUT", 500, "InternalError")


def test_a_file_that_the_server_says_it_has_and_has_not_holds_the_manifest_back(
    shop: Shop, places: Places, delivery: Delivery
) -> None:
    publish(places, pictures(1, 2))
    shop.swallow(r"PUT .*masks/02\.png")
    assert "did not come to lie there whole" in delivery.round(GO_ON)["car"]
    assert MANIFEST not in shop.paths("out/car")
    assert delivery.round(GO_ON) == {}
    assert_whole(shop, places)


def test_a_file_that_is_listed_late_is_found_all_the_same(
    shop: Shop, places: Places, delivery: Delivery
) -> None:
    publish(places, pictures(1, 2))
    shop.hide("car/02.jpg")
    assert delivery.round(GO_ON) == {}
    assert_whole(shop, places)


def test_throttling_for_a_moment_costs_time_and_no_file(
    shop: Shop, places: Places, delivery: Delivery
) -> None:
    publish(places, pictures(1, 2))
    shop.refuse("PUT", 503, "SlowDown", times=3)
    assert delivery.round(GO_ON) == {}
    assert_whole(shop, places)


def test_an_edition_that_is_published_while_an_older_one_is_carried_comes_whole(
    shop: Shop, places: Places, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.courier.delivery.AT_ONCE", 1)
    publish(places, pictures(1, 2))
    newer = shop.damage("PUT", times=1)

    def publish_now(answer: tuple[int, dict[str, str], bytes]) -> object:
        publish(places, {"01": photo_bytes(8), "02": photo_bytes(9)})
        return answer

    newer.does = publish_now  # type: ignore[assignment]
    assert delivery.round(GO_ON) == {}, "that is nobody's fault"
    assert MANIFEST not in shop.paths("out/car")
    assert delivery.round(GO_ON) == {}
    assert_whole(shop, places)


def test_a_shoot_that_cannot_be_carried_holds_up_no_other(
    shop: Shop, places: Places, delivery: Delivery
) -> None:
    for shoot in ("a", "b", "c"):
        publish(places, pictures(1), shoot=shoot)
    shop.refuse("PUT .*/b/", 403, "AccessDenied")
    assert delivery.round(GO_ON).keys() == {"b"}
    assert_whole(shop, places, "a")
    assert_whole(shop, places, "c")


def test_several_shoots_that_are_refused_in_a_row_hold_up_no_other(
    shop: Shop, places: Places, delivery: Delivery
) -> None:
    for number in range(6):
        publish(places, pictures(1), shoot=f"car-{number}")
    shop.refuse("PUT .*/car-[0-3]/", 403, "AccessDenied")
    problems = delivery.round(GO_ON)
    assert problems.keys() == {"car-0", "car-1", "car-2", "car-3"}
    assert "AccessDenied" in problems["car-0"]
    assert_whole(shop, places, "car-4")
    assert_whole(shop, places, "car-5")


@pytest.mark.parametrize(("status", "code"), [(500, "InternalError"), (403, "AccessDenied")])
def test_a_bucket_that_refuses_everything_is_left_alone_for_a_while(
    shop: Shop, places: Places, delivery: Delivery, status: int, code: str
) -> None:
    for number in range(6):
        publish(places, pictures(1), shoot=f"car-{number}")
    shop.refuse("PUT", status, code)
    with pytest.raises(BucketError, match=code):
        delivery.round(GO_ON)


def test_a_file_that_was_changed_by_hand_is_not_carried_and_what_was_delivered_stays(
    shop: Shop, places: Places, delivery: Delivery
) -> None:
    publish(places, pictures(1))
    delivery.round(GO_ON)
    publish(places, {"01": photo_bytes(2)})
    (places.published("car") / "01.jpg").write_bytes(b"other")
    assert "was changed since it was made" in delivery.round(GO_ON)["car"]
    assert shop.read("out/car/01.jpg") == photo_bytes(1)
    assert MANIFEST in shop.paths("out/car")


def test_a_link_in_the_outbox_carries_no_other_file_away(
    shop: Shop, places: Places, delivery: Delivery, tmp_path: Path
) -> None:
    publish(places, pictures(1))
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    for path in (SHEET, "notes.jpg"):
        (places.published("car") / path).unlink(missing_ok=True)
        (places.published("car") / path).symlink_to(secret)
    delivery.round(GO_ON)
    assert shop.paths("out/car") == {MANIFEST, SPIN, "01.jpg", "masks/01.png"}


def test_what_is_taken_out_of_the_bucket_is_not_put_there_again(
    shop: Shop, places: Places, delivery: Delivery
) -> None:
    publish(places, pictures(1))
    delivery.round(GO_ON)
    for path in shop.paths("out/car"):
        shop.remove(f"out/car/{path}")
    delivery.round(GO_ON)
    courier_of(shop, places).round(GO_ON)
    assert shop.paths("out/car") == set()


def test_folders_that_hold_no_shoot_are_passed_over(
    shop: Shop, places: Places, delivery: Delivery
) -> None:
    (places.outbox / "mine").mkdir()
    (places.outbox / "mine" / "letter.txt").write_bytes(b"private")
    (places.outbox / "broken").mkdir()
    (places.outbox / "broken" / MANIFEST).write_bytes(b"{")
    assert "no manifest of this program" in delivery.round(GO_ON)["broken"]
    assert shop.paths("out") == set()


def test_told_to_stop_it_begins_no_other_shoot(
    shop: Shop, places: Places, delivery: Delivery
) -> None:
    publish(places, pictures(1))
    stop = threading.Event()
    stop.set()
    delivery.round(stop)
    assert shop.paths("out") == set()
