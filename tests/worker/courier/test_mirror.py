from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.buckets import Shop
from tests.parts import photo_bytes
from worker.courier.bucket import Bucket
from worker.courier.keeper import KeepAll, Need
from worker.courier.mirror import Mirror
from worker.errors import BucketError, FolderError
from worker.shoots import Source

GO_ON = threading.Event()


class Keeper(KeepAll):
    """Needs what the test says."""

    def __init__(self) -> None:
        self.says = Need.FETCH
        self.went: list[str] = []

    def need(self, shoot: str, listed: list[Source], *, here: bool) -> Need:
        return self.says

    def let_go(self, shoot: str) -> None:
        self.went.append(shoot)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def mirror(shop: Shop, folder: Path) -> Mirror:
    return Mirror(Bucket(shop.url("in")), folder)


def files(folder: Path) -> dict[str, bytes]:
    """What the watcher would find."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
    }


def deliver(shop: Shop, count: int = 3, *, shoot: str = "car") -> dict[str, bytes]:
    """A shoot that somebody put into the bucket."""
    photos = {f"{shoot}/{number:02}.jpg": photo_bytes(number) for number in range(1, count + 1)}
    for path, data in photos.items():
        shop.put(f"in/{path}", data)
    return photos


def test_a_shoot_comes_with_all_that_belongs_to_it(
    shop: Shop, mirror: Mirror, folder: Path
) -> None:
    wanted = deliver(shop)
    for path in ("car/.ready", "car/preset.toml", "plate/01.jpg", "loose_01.jpg"):
        shop.put(f"in/{path}", b"x")
        wanted[path] = b"x"
    for path in ("car/Thumbs.db", ".DS_Store", "car/.hidden.jpg", "notes.txt", "car/01.jpg.part"):
        shop.put(f"in/{path}", b"x")
    assert mirror.round(GO_ON) == {}
    assert files(folder) == wanted


def test_what_is_here_is_not_fetched_again(shop: Shop, mirror: Mirror, folder: Path) -> None:
    deliver(shop)
    mirror.round(GO_ON)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("car/*")}
    shop.forget()
    Mirror(Bucket(shop.url("in")), folder).round(GO_ON)
    assert shop.asked(r"GET .*\.jpg") == []
    assert {path: path.stat().st_mtime_ns for path in folder.glob("car/*")} == before


def test_an_emptied_folder_gets_copies_of_the_very_same_state(
    shop: Shop, mirror: Mirror, folder: Path, tmp_path: Path
) -> None:
    deliver(shop)
    mirror.round(GO_ON)
    Mirror(Bucket(shop.url("in")), tmp_path / "other").round(GO_ON)
    states = [
        {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in root.glob("car/*")}
        for root in (folder, tmp_path / "other")
    ]
    assert states[0] == states[1]


def test_a_photo_that_is_replaced_comes_anew_even_with_the_same_size(
    shop: Shop, mirror: Mirror, folder: Path
) -> None:
    shop.put("in/car/01.jpg", b"one")
    mirror.round(GO_ON)
    shop.put("in/car/01.jpg", b"two")
    mirror.round(GO_ON)
    assert files(folder) == {"car/01.jpg": b"two"}


def test_an_object_that_is_listed_late_comes_late(shop: Shop, mirror: Mirror, folder: Path) -> None:
    photos = deliver(shop)
    shop.hide("car/02.jpg", times=1)
    mirror.round(GO_ON)
    assert files(folder).keys() == {"car/01.jpg", "car/03.jpg"}
    mirror.round(GO_ON)
    assert files(folder) == photos


def test_a_listing_that_forgets_an_object_takes_no_copy_away(
    shop: Shop, mirror: Mirror, folder: Path
) -> None:
    photos = deliver(shop)
    mirror.round(GO_ON)
    shop.hide("car/02.jpg")
    mirror.round(GO_ON)
    assert files(folder) == photos


def test_a_photo_that_is_taken_out_of_the_bucket_is_taken_out_here(
    shop: Shop, mirror: Mirror, folder: Path
) -> None:
    deliver(shop, shoot="car")
    deliver(shop, 1, shoot="van")
    mirror.round(GO_ON)
    shop.remove("in/car/02.jpg")
    shop.remove("in/van/01.jpg")
    mirror.round(GO_ON)
    assert files(folder).keys() == {"car/01.jpg", "car/03.jpg"}
    assert not (folder / "van").exists()


def test_what_others_put_into_the_folder_is_neither_removed_nor_replaced(
    shop: Shop, mirror: Mirror, folder: Path
) -> None:
    (folder / "car").mkdir(parents=True)
    (folder / "car" / "01.jpg").write_bytes(b"theirs")
    (folder / "car" / "09.jpg").write_bytes(b"theirs too")
    deliver(shop)
    problems = mirror.round(GO_ON)
    assert "move it away" in problems["car/01.jpg"]
    mirror.round(GO_ON)
    found = files(folder)
    assert (found["car/01.jpg"], found["car/09.jpg"]) == (b"theirs", b"theirs too")
    assert found.keys() == {"car/01.jpg", "car/02.jpg", "car/03.jpg", "car/09.jpg"}


def test_a_link_in_the_folder_leads_no_copy_elsewhere(
    shop: Shop, mirror: Mirror, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder.mkdir()
    (folder / "car").symlink_to(tmp_path / "elsewhere")
    deliver(shop, 1)
    assert "move it away" in mirror.round(GO_ON)["car/01.jpg"]
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_mark_that_a_shoot_is_ready_waits_until_every_photo_is_there(
    shop: Shop, mirror: Mirror, folder: Path
) -> None:
    photos = deliver(shop)
    shop.put("in/car/.ready", b"")
    shop.refuse(r"GET .*02\.jpg", 500, "InternalError", times=1)
    assert "InternalError" in mirror.round(GO_ON)["car/02.jpg"]
    assert files(folder).keys() == {"car/01.jpg", "car/03.jpg"}
    assert mirror.round(GO_ON) == {}
    assert files(folder) == photos | {"car/.ready": b""}


def test_an_object_that_cannot_be_had_holds_up_no_other(
    shop: Shop, mirror: Mirror, folder: Path
) -> None:
    deliver(shop, shoot="car")
    deliver(shop, shoot="van")
    shop.refuse(r"GET .*car/02\.jpg", 403, "AccessDenied")
    assert mirror.round(GO_ON).keys() == {"car/02.jpg"}
    assert len(files(folder)) == 5


def test_shoots_that_nobody_may_read_do_not_keep_the_others_waiting(
    shop: Shop, mirror: Mirror, folder: Path
) -> None:
    deliver(shop, 6, shoot="archived")
    photos = deliver(shop, 1, shoot="van")
    shop.refuse("GET .*archived", 403, "InvalidObjectState")
    assert len(mirror.round(GO_ON)) == 6
    assert files(folder) == photos


def test_a_bucket_that_refuses_everything_is_left_alone_for_a_while(
    shop: Shop, mirror: Mirror
) -> None:
    deliver(shop, 5, shoot="car")
    deliver(shop, 5, shoot="van")
    shop.refuse(r"GET .*\.jpg", 500, "InternalError")
    with pytest.raises(BucketError, match="InternalError"):
        mirror.round(GO_ON)
    left = [fault.times for fault in shop.proxy.faults]
    assert left == [10**6 - 5], "nobody asks for the van"


def test_a_half_copy_is_never_seen_by_the_watcher(shop: Shop, mirror: Mirror, folder: Path) -> None:
    deliver(shop, 1)
    shop.shorten(r"GET .*\.jpg", times=1)
    assert "came with" in mirror.round(GO_ON)["car/01.jpg"]
    assert files(folder) == {}
    mirror.round(GO_ON)
    assert files(folder) == {"car/01.jpg": photo_bytes(1)}
    assert list((folder / ".arriving").iterdir()) == []


def test_what_had_come_before_a_crash_is_not_fetched_again(
    shop: Shop, mirror: Mirror, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put("in/car/01.jpg", b"one")
    mirror.round(GO_ON)
    shop.put("in/car/01.jpg", b"two")
    with monkeypatch.context() as crash:
        crash.setattr(Path, "mkdir", _dies_at(folder / "car"))
        with pytest.raises(KeyboardInterrupt):
            mirror.round(GO_ON)
    shop.forget()
    assert Mirror(Bucket(shop.url("in")), folder).round(GO_ON) == {}
    assert files(folder) == {"car/01.jpg": b"two"}
    assert shop.asked(r"GET .*\.jpg") == []


def _dies_at(place: Path) -> object:
    """A ``mkdir`` at which the process dies between fetching and landing."""

    def mkdir(self: Path, *arguments: object, **options: object) -> None:
        if self == place:
            raise KeyboardInterrupt
        assert self.is_dir()

    return mkdir


def test_names_that_no_file_can_have_are_told_and_lead_nowhere(
    shop: Shop, mirror: Mirror, folder: Path
) -> None:
    wanted = deliver(shop, 1)
    for path in ("car/inner/01.jpg", "../../evil.jpg", "car/a\\b.jpg", f"car/{'x' * 260}.jpg"):
        shop._fs.call_s3("put_object", Bucket=shop.name, Key=f"in/{path}", Body=b"x")
    problems = mirror.round(GO_ON)
    assert "move its photos up" in problems["car/inner/01.jpg"]
    assert "rename it" in problems["car/a\\b.jpg"]
    assert "rename it" in problems[f"car/{'x' * 260}.jpg"]
    assert len(problems) == 3, "what begins with dots is passed over"
    assert files(folder) == wanted
    assert not list(folder.parent.glob("**/evil.jpg"))
    assert not (folder.parent.parent / "evil.jpg").exists()


def test_a_key_that_is_file_and_folder_at_once_is_told(
    shop: Shop, mirror: Mirror, folder: Path
) -> None:
    shop.put("in/car.jpg", b"a file")
    shop.put("in/car.jpg/01.jpg", b"in a folder of the same name")
    deliver(shop, 1, shoot="van")
    problems = mirror.round(GO_ON)
    assert "cannot be put into" in problems["car.jpg/01.jpg"]
    assert files(folder).keys() == {"car.jpg", "van/01.jpg"}


def test_copies_that_are_not_needed_any_more_go_and_are_not_fetched_again(
    shop: Shop, folder: Path
) -> None:
    photos = deliver(shop)
    keeper = Keeper()
    mirror = Mirror(Bucket(shop.url("in")), folder, keeper)
    mirror.round(GO_ON)
    keeper.says = Need.KEEP
    mirror.round(GO_ON)
    assert files(folder) == photos
    keeper.says = Need.GO
    mirror.round(GO_ON)
    mirror.round(GO_ON)
    assert (files(folder), keeper.went) == ({}, ["car"])
    assert list((folder / ".copies").iterdir()) == []


def test_copies_stay_until_what_hangs_on_them_has_gone(
    shop: Shop, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = deliver(shop)
    keeper = Keeper()
    mirror = Mirror(Bucket(shop.url("in")), folder, keeper)
    mirror.round(GO_ON)
    keeper.says = Need.GO

    def dies(shoot: str) -> None:
        raise FolderError("the disk failed")

    with monkeypatch.context() as crash:
        crash.setattr(keeper, "let_go", dies)
        with pytest.raises(FolderError):
            mirror.round(GO_ON)
    assert files(folder) == photos, "so that the next round comes to it again"
    mirror.round(GO_ON)
    assert (files(folder), keeper.went) == ({}, ["car"])


def test_the_plate_is_needed_whatever_becomes_of_the_shoots(shop: Shop, folder: Path) -> None:
    shop.put("in/plate/01.jpg", b"booth")
    keeper = Keeper()
    keeper.says = Need.GO
    Mirror(Bucket(shop.url("in")), folder, keeper).round(GO_ON)
    assert files(folder) == {"plate/01.jpg": b"booth"}


def test_told_to_stop_it_begins_no_other_shoot(shop: Shop, mirror: Mirror, folder: Path) -> None:
    deliver(shop)
    stop = threading.Event()
    stop.set()
    mirror.round(stop)
    assert files(folder) == {}


def test_a_folder_that_cannot_be_used_is_told(shop: Shop, folder: Path) -> None:
    folder.write_bytes(b"a file")
    with pytest.raises(FolderError, match="cannot be read and written"):
        Mirror(Bucket(shop.url("in")), folder).round(GO_ON)
