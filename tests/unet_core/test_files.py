from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from unet_core.files import sha256, sync, write_file


def test_a_file_is_written_and_nothing_else_is_there(tmp_path: Path) -> None:
    write_file(tmp_path / "mask.png", b"data")
    assert (tmp_path / "mask.png").read_bytes() == b"data"
    assert [path.name for path in tmp_path.iterdir()] == ["mask.png"]


def test_a_folder_that_was_moved_away_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_file(tmp_path / "gone" / "mask.png", b"data")
    assert not (tmp_path / "gone").exists()


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_file(tmp_path / "file", b"a longer first edition")
    write_file(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"second"


def test_a_name_of_full_length_can_be_written(tmp_path: Path) -> None:
    write_file(tmp_path / ("x" * 255), b"data")
    assert (tmp_path / ("x" * 255)).read_bytes() == b"data"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "file", b"first")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "file", b"second")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"first"}


def test_data_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noting_fsync(handle: int) -> None:
        events.append(f"fsync {os.fstat(handle).st_size} bytes")
        fsync(handle)

    def noting_replace(path: Path, target: Path) -> Path:
        events.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    write_file(tmp_path / "file", b"data")
    assert events == ["fsync 4 bytes", "rename"]


def test_a_folder_that_is_not_there_cannot_be_synced(tmp_path: Path) -> None:
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "gone")


def test_a_folder_whose_disk_fails_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="Input/output error"):
        sync(tmp_path)


def test_a_digest_is_that_of_the_bytes() -> None:
    assert sha256(b"car") == hashlib.sha256(b"car").hexdigest()
