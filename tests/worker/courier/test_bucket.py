from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.callbacks import Callback
from s3fs import S3FileSystem

from tests.buckets import Shop
from worker.courier.bucket import Bucket, Item, _Call
from worker.errors import BucketError, FolderError, SettingsError

PHOTO = b"a photo" * 1000


@pytest.fixture
def bucket(shop: Shop) -> Bucket:
    return Bucket(shop.url("in"))


@pytest.fixture
def new_client(shop: Shop) -> Iterator[None]:
    """A client that sees this test's environment, and that no other test gets to use."""
    S3FileSystem.clear_instance_cache()
    yield
    S3FileSystem.clear_instance_cache()


def the_photo(shop: Shop, bucket: Bucket) -> Item:
    """A photo that lies in the bucket."""
    shop.put("in/car/01.jpg", PHOTO)
    return bucket.listing()["car/01.jpg"]


def test_what_lies_there_is_listed_by_its_path_from_the_folder(shop: Shop, bucket: Bucket) -> None:
    shop.put("in/car/01.jpg", b"1")
    shop.put("in/loose_01.jpg", b"12")
    shop.put("in2/car/01.jpg", b"another folder")
    sizes = {path: item.source.size for path, item in bucket.listing().items()}
    assert sizes == {"car/01.jpg": 1, "loose_01.jpg": 2}
    assert set(bucket.listing("car")) == {"car/01.jpg"}
    assert bucket.listing("nothing") == {}


def test_listing_and_look_agree_on_the_state_of_an_object(shop: Shop, bucket: Bucket) -> None:
    item = the_photo(shop, bucket)
    assert bucket.look_at("car/01.jpg") == item
    assert bucket.look_at("car") is None
    assert bucket.look_at("car/02.jpg") is None


def test_another_content_of_the_same_size_in_the_same_second_is_another_state(
    shop: Shop, bucket: Bucket
) -> None:
    seen = set()
    for content in (b"one", b"two", b"six"):
        shop.put("in/01.jpg", content)
        seen.add(bucket.listing()["01.jpg"].source)
    assert len({source.mtime_ns % 10**9 for source in seen}) == 3


def test_a_bucket_is_silent_while_it_is_asked_and_no_part_of_the_answer_comes(
    shop: Shop, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, silent = the_photo(shop, bucket), []
    time.sleep(0.1)
    assert bucket.silent_seconds == 0, "it is asked nothing"

    def in_parts(place: str, target: str, callback: Callback) -> None:
        time.sleep(0.2)
        silent.append(bucket.silent_seconds)
        Path(target).write_bytes(PHOTO)
        callback.relative_update(len(PHOTO))
        silent.append(bucket.silent_seconds)

    with monkeypatch.context() as patched:
        patched.setattr(bucket._fs, "get_file", in_parts)
        bucket.fetch(item, tmp_path / "copy")
    assert silent[0] >= 0.2 > silent[1]
    assert bucket.silent_seconds == 0


def test_the_parts_of_a_photo_are_signs(
    shop: Shop, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signs: list[object] = []
    monkeypatch.setattr(_Call, "hear", lambda self, *_, **__: signs.append(self))
    bucket.fetch(the_photo(shop, bucket), tmp_path / "copy")
    assert signs


def test_a_copy_has_the_content_size_and_time_of_its_object(
    shop: Shop, bucket: Bucket, tmp_path: Path
) -> None:
    item = the_photo(shop, bucket)
    bucket.fetch(item, tmp_path / "copy")
    stat = (tmp_path / "copy").stat()
    assert (tmp_path / "copy").read_bytes() == PHOTO
    assert (stat.st_size, stat.st_mtime_ns) == (item.source.size, item.source.mtime_ns)


def test_a_connection_that_breaks_in_the_middle_is_taken_up_again(
    shop: Shop, bucket: Bucket, tmp_path: Path
) -> None:
    item = the_photo(shop, bucket)
    shop.cut(r"GET .*01\.jpg")
    bucket.fetch(item, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == PHOTO


def test_half_of_a_content_is_not_taken_for_all_of_it(
    shop: Shop, bucket: Bucket, tmp_path: Path
) -> None:
    item = the_photo(shop, bucket)
    shop.shorten(r"GET .*01\.jpg")
    with pytest.raises(BucketError, match=r"car/01\.jpg came with 3500 bytes of 7000"):
        bucket.fetch(item, tmp_path / "copy")


def test_a_content_that_was_damaged_on_its_way_is_fetched_again(
    shop: Shop, bucket: Bucket, tmp_path: Path
) -> None:
    item = the_photo(shop, bucket)
    shop.damage(r"GET .*01\.jpg")
    bucket.fetch(item, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == PHOTO


def test_an_object_that_was_replaced_since_it_was_listed_is_not_taken_for_the_old_one(
    shop: Shop, bucket: Bucket, tmp_path: Path
) -> None:
    item = the_photo(shop, bucket)
    shop.put("in/car/01.jpg", PHOTO[::-1])
    with pytest.raises(BucketError, match="replaced while it was fetched"):
        bucket.fetch(item, tmp_path / "copy")


def test_etags_that_are_no_digests_cost_one_more_copy_and_no_photo(
    shop: Shop, bucket: Bucket, tmp_path: Path
) -> None:
    shop.other_etags()
    item = the_photo(shop, bucket)
    assert item.etag != hashlib.md5(PHOTO).hexdigest()
    for name in ("one", "two"):
        bucket.fetch(item, tmp_path / name)
        assert (tmp_path / name).read_bytes() == PHOTO
    assert len(shop.asked(r"GET .*01\.jpg")) == 3


@pytest.mark.usefixtures("new_client")
def test_a_call_is_tried_again_where_the_server_fails_for_a_moment(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    bucket = Bucket(shop.url("in"))
    shop.refuse("PUT", 500, "InternalError", times=1)
    bucket.put(b"1", "car/01.jpg")
    assert shop.read("in/car/01.jpg") == b"1"


@pytest.mark.parametrize(
    ("status", "code", "cure"),
    [
        (500, "InternalError", "tried again by itself"),
        (403, "AccessDenied", "Look at the credentials"),
    ],
)
def test_an_error_that_lasts_names_the_bucket_its_reason_and_the_cure(
    shop: Shop, bucket: Bucket, status: int, code: str, cure: str
) -> None:
    shop.refuse("GET", status, code)
    with pytest.raises(BucketError) as caught:
        bucket.listing()
    for part in (bucket.url, code, cure):
        assert part in str(caught.value)


@pytest.mark.usefixtures("new_client")
def test_a_server_that_is_not_there_is_told_as_one(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(BucketError, match="cannot list"):
        Bucket(shop.url("in")).listing()


def test_a_bucket_that_does_not_exist_is_no_empty_folder(shop: Shop) -> None:
    with pytest.raises(BucketError, match="Create the bucket, or correct its name"):
        Bucket(f"s3://{shop.name}-gone/in").listing()


@pytest.mark.usefixtures("new_client")
def test_without_credentials_the_cure_names_them(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(BucketError, match="Look at the credentials"):
        Bucket(shop.url("in")).listing()


def test_what_is_written_can_be_read_has_its_kind_and_can_be_removed(
    shop: Shop, bucket: Bucket
) -> None:
    bucket.put(b"{}", "car/manifest.json")
    assert bucket.read("car/manifest.json") == b"{}"
    assert shop.info("in/car/manifest.json")["ContentType"] == "application/json"
    bucket.remove("car/manifest.json")
    bucket.remove("car/manifest.json")
    assert bucket.read("car/manifest.json") is None


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_other_kinds_of_places_that_fsspec_knows_can_be_used_too(kind: str, tmp_path: Path) -> None:
    bucket = Bucket(f"{kind}://{tmp_path}/in")
    bucket.put(PHOTO, "car/01.jpg")
    item = bucket.listing()["car/01.jpg"]
    assert bucket.look_at("car/01.jpg") == item
    bucket.fetch(item, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == PHOTO


def test_a_disk_of_ours_that_cannot_be_written_is_no_fault_of_the_bucket(
    shop: Shop, bucket: Bucket, tmp_path: Path
) -> None:
    item = the_photo(shop, bucket)
    with pytest.raises(FolderError, match="nowhere"):
        bucket.fetch(item, tmp_path / "nowhere" / "copy")


def test_a_kind_that_nothing_is_installed_for_names_what_to_install() -> None:
    with pytest.raises(SettingsError, match="Install what fsspec needs for gs"):
        Bucket("gs://shop/in")


def test_without_the_extra_the_error_names_it() -> None:
    code = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from worker.courier.bucket import Bucket; Bucket('s3://shop/in')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'cyclorama[s3]'" in done.stderr.splitlines()[-1]
