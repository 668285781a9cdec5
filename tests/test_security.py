"""What SECURITY.md promises: forged messages, links, names and secrets."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest

from tests.parts import drop_photos, manifest_with, photo_bytes, row_of
from tests.studio import make_studio
from tests.worker.line.bench import Bench
from tests.worker.line.conftest import batcher, bench, car, segmenters  # noqa: F401
from unet_core.images import ImageError, check_complete, decode
from worker.errors import FolderError, PresetError
from worker.finish.presets import preset_of, read_preset
from worker.outbox.manifest import read_manifest
from worker.outbox.places import Places
from worker.outbox.publish import Staging
from worker.outbox.report import spin_page
from worker.queue.broker import EmbeddedRedis
from worker.shoots import Source

SECRET = "s3cr3t-Passw0rd"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A good photo that is nobody's business."""
    path = tmp_path / "private" / "01.jpg"
    path.parent.mkdir()
    path.write_bytes(photo_bytes(7))
    return path


# Forged messages: the schema is tested in tests/worker/queue/test_messages.py.


@pytest.mark.usefixtures("car")
def test_a_forged_message_reads_nothing_outside_of_the_inbox_through_a_link(
    bench: Bench,  # noqa: F811
    outside: Path,
) -> None:
    (bench.places.inbox / "car" / "evil.jpg").symlink_to(outside)
    message = bench.message()
    message["frames"].append(message["frames"][0] | {"name": "evil", "path": "car/evil.jpg"})
    bench.line.handle(message)
    rows = {row.name: row for row in bench.manifest().frames}
    assert rows["evil"].error
    assert rows["evil"].error.code == "outside"
    assert {name for name, row in rows.items() if row.outputs} == {"01", "02", "03"}


def test_a_photo_that_is_turned_into_a_link_between_look_and_use_is_not_read(
    bench: Bench,  # noqa: F811
    car: Path,  # noqa: F811
    outside: Path,
) -> None:
    message = bench.message()
    (car / "02.jpg").unlink()
    (car / "02.jpg").symlink_to(outside)
    bench.line.handle(message)
    (row,) = bench.manifest().failed()
    assert row.error
    assert (row.name, row.error.code) == ("02", "outside")


@pytest.mark.parametrize("read", [decode, check_complete])
def test_a_file_outside_is_neither_decoded_nor_looked_at(
    tmp_path: Path, outside: Path, read: object
) -> None:
    inbox = tmp_path / "inbox"
    (inbox / "car").mkdir(parents=True)
    (inbox / "car" / "01.jpg").symlink_to(outside)
    (inbox / "folder").symlink_to(outside.parent)
    (inbox / "car" / "02.jpg").write_bytes(outside.read_bytes())
    for path in (inbox / "car" / "01.jpg", inbox / "folder" / "01.jpg"):
        if read is decode:
            with pytest.raises(ImageError, match="leads out of its folder"):
                decode(path, within=inbox)
        else:
            assert check_complete(path, within=inbox), "the error belongs to the worker"
    assert decode(inbox / "car" / "02.jpg", within=inbox).pixels.shape == (32, 48, 3)


def test_a_link_inside_the_inbox_is_followed(tmp_path: Path) -> None:
    (photo,) = drop_photos(tmp_path / "car", 1)
    (tmp_path / "link.jpg").symlink_to(photo)
    assert decode(tmp_path / "link.jpg", within=tmp_path).pixels.shape == (32, 48, 3)


# Manifests lie where people can write.


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("frames", 0, "outputs", "composite", "path"), "../../../evil.jpg"),
        (("frames", 0, "outputs", "composite", "path"), "/tmp/evil.jpg"),
        (("frames", 0, "outputs", "composite", "path"), "a/b/c.jpg"),
        (("frames", 0, "source", "path"), "../private/01.jpg"),
        (("frames", 0, "name"), "../evil"),
        (("shoot",), "../car"),
        (("shoot",), ".staging"),
    ],
)
def test_a_forged_manifest_counts_as_none(
    places: Places, place: tuple[str | int, ...], value: str
) -> None:
    staging = Staging(places, "car")
    outputs = {"composite": staging.write("01.jpg", photo_bytes(1))}
    row = row_of(Source("car/01.jpg", 10, 5), outputs=outputs)
    folder = staging.publish(manifest_with("car", [row]))
    assert read_manifest(folder)
    forged = json.loads((folder / "manifest.json").read_text())
    inner = forged
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (folder / "manifest.json").write_text(json.dumps(forged))
    assert read_manifest(folder) is None


# Presets come with shoots, from anybody.


@pytest.mark.parametrize("table", ["[backdrop]\nkind = 'picture'", "[overlay]"])
@pytest.mark.parametrize("picture", ["../private/01.jpg", "{outside}", "link.jpg"])
def test_a_preset_names_no_picture_outside_of_its_folder(
    tmp_path: Path, outside: Path, table: str, picture: str
) -> None:
    folder = tmp_path / "car"
    folder.mkdir()
    (folder / "link.jpg").symlink_to(outside)
    named = picture.format(outside=outside)
    (folder / "preset.toml").write_text(f'{table}\npicture = "{named}"\n')
    with pytest.raises(PresetError, match="a picture file in the preset's folder"):
        read_preset(folder / "preset.toml")


def test_a_preset_that_is_a_link_out_of_the_inbox_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.toml").write_text(f'name = "{SECRET}"')
    shoot = tmp_path / "inbox" / "car"
    shoot.mkdir(parents=True)
    (shoot / "preset.toml").symlink_to(tmp_path / "secret.toml")
    with pytest.raises(PresetError, match="leads out of the inbox") as caught:
        preset_of(shoot, "studio-grey", folders=[])
    assert SECRET not in str(caught.value)


def test_a_shoot_has_no_say_in_whether_plates_lie_elsewhere(tmp_path: Path, outside: Path) -> None:
    from worker.errors import PlateError
    from worker.finish.plates import Plates

    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "plate").symlink_to(outside.parent)
    with pytest.raises(PlateError, match="leads out of its folder"):
        Plates(tmp_path / "inbox" / "plate").of(1, (32, 48))


# Redis of our own.


def test_the_embedded_redis_listens_on_a_socket_that_only_we_can_reach(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "state")
    server.start()
    try:
        assert stat.S_IMODE(server.socket.stat().st_mode) & 0o077 == 0
        assert stat.S_IMODE(server.folder.stat().st_mode) & 0o077 == 0
        assert server._client().config_get("port") == {"port": "0"}
    finally:
        server.stop()


@pytest.mark.parametrize("harm", ["writable", "foreign", "link"])
def test_a_socket_folder_that_somebody_else_has_prepared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    server = EmbeddedRedis(tmp_path / ("long" * 30))
    folder = server.socket.parent
    assert folder.parent == tmp_path
    folder.mkdir(mode=0o700)
    if harm == "writable":
        folder.chmod(0o777)
    elif harm == "link":
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    elif os.geteuid() == 0:
        os.chown(folder, 12345, 12345)
    else:
        pytest.skip("only root can give a folder away")
    with pytest.raises(FolderError, match="another user"):
        server.start()


# Secrets, names and modes, as the whole program shows them.


@pytest.mark.line
def test_a_password_shows_up_in_no_output_and_no_file(tmp_path: Path) -> None:
    studio = make_studio(
        tmp_path / "studio", CYCLORAMA_BROKER_URL=f"redis://studio:{SECRET}@127.0.0.1:1/0"
    )
    drop_photos(studio.inbox / "car", 2)
    for command in (["status"], ["status", "--json"], ["doctor"], ["watch"], ["worker"]):
        done = studio.cyclorama(*command)
        assert "127.0.0.1:1" in done.stdout + done.stderr, command
        assert SECRET not in done.stdout + done.stderr, command
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [("027", 0o640, 0o750), ("077", 0o600, 0o700)]
)
@pytest.mark.line
def test_files_and_folders_have_the_modes_that_the_setting_asks_for(
    tmp_path: Path, umask: str, file: int, folder: int
) -> None:
    studio = make_studio(tmp_path / "studio", CYCLORAMA_UMASK=umask)
    drop_photos(studio.inbox / "car", 1)
    assert studio.cyclorama("run", "--once").returncode == 0
    delivered = studio.outbox / "car"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in delivered.rglob("*") if path.is_file()}
    assert modes == {file}
    assert stat.S_IMODE(delivered.stat().st_mode) == folder


@pytest.mark.parametrize(
    "title",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{pictures}}", "</title>"],
)
def test_a_shoots_name_is_text_in_its_page_and_nothing_else(title: str) -> None:
    page = spin_page(["</script><script>alert(1)</script>.jpg", "02.jpg"], title=title, size=(3, 2))
    plain = spin_page(["01.jpg", "02.jpg"], title="car", size=(3, 2))
    assert page.count("<script") == plain.count("<script")
    assert "<img src=x" not in page
    assert not re.search(r"alert\(1\)</script>", page)
