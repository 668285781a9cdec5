"""Corrected masks on the line: what is made again, what stays, what is remembered."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.parts import photo_bytes
from tests.worker.line.bench import Bench, assert_clean
from unet_core.checkpoint import Card
from unet_core.files import sha256
from unet_core.images import Photo, UnreadableImage, decode
from unet_core.model import UNet
from unet_core.segment import Segmenter
from worker.corrections.shelf import FOLDER, Shelf
from worker.outbox.manifest import FrameRow
from worker.reprocess import reprocess
from worker.settings import read_settings

Pixels = NDArray[np.uint8]
CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def segmenters() -> dict[str, Segmenter]:
    """Two checkpoints that see nothing anywhere, so that every mask corrects them."""
    return {name: blind(name) for name in ("first", "second")}


def blind(name: str) -> Segmenter:
    network = UNet(width=4, depth=2, fold=2, norm="batch")
    parameters = list(network.parameters())
    for parameter in parameters:
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(parameters[-1], -20.0)
    return Segmenter(network, Card(version=name, sha256=name, long_side_px=64), CPU)


@pytest.fixture
def done(bench: Bench, car: Path) -> Path:
    """A finished shoot of three frames."""
    bench.work()
    return bench.places.published(car.name)


def drawn(top: int = 8) -> Pixels:
    mask = np.zeros((32, 48), np.uint8)
    mask[top:24, 12:36], mask[top - 1, 12:36] = 255, 128
    return mask


def correct(bench: Bench, frame: str, mask: Pixels | None = None) -> Path:
    path = bench.corrections / "car" / f"{frame}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(drawn() if mask is None else mask).save(path)
    return path


def row_of(bench: Bench, frame: str) -> FrameRow:
    return next(row for row in bench.manifest().frames if row.name == frame)


def mask_of(bench: Bench, frame: str) -> Pixels:
    folder = bench.places.published("car")
    return np.asarray(Image.open(folder / row_of(bench, frame).outputs["mask"].path))


def test_a_corrected_frame_is_made_anew_and_says_so(
    bench: Bench, done: Path, decoded: list[str]
) -> None:
    before, at_first = bench.manifest(), bench.files(done)
    decoded.clear()
    path = correct(bench, "02")
    bench.work()
    row = row_of(bench, "02")
    assert row.mask == "corrected"
    assert row.correction
    assert (row.correction.path, row.correction.sha256) == (
        "car/02.png",
        sha256(path.read_bytes()),
    )
    assert (row.confidence, row.edge_certainty, row.box) == (None, None, (12, 7, 36, 24))
    assert (mask_of(bench, "02") == drawn()).all()
    now = bench.files(done)
    changed = {name for name in now if now[name] != at_first[name]}
    reports = {"contact-sheet.jpg", "spin.html", "manifest.json"}
    assert changed == {"02.jpg", "masks/02.png", *reports}
    others = [r for r in bench.manifest().frames if r.name != "02"]
    assert others == [r for r in before.frames if r.name != "02"]
    assert not decoded, "no frame goes through the network again"
    assert path.exists()
    assert_clean(bench)


@pytest.mark.usefixtures("done")
def test_the_checkpoint_of_the_other_frames_stays_when_there_is_a_new_champion(
    bench: Bench,
) -> None:
    first = bench.manifest().checkpoint
    bench.slot.current = bench.segmenters["second"]
    correct(bench, "02")
    bench.work()
    assert bench.manifest().checkpoint == first
    assert {row.checkpoint for row in bench.manifest().frames} == {first.sha256}


@pytest.mark.usefixtures("done")
def test_a_corrected_shoot_keeps_the_look_that_it_was_given(
    bench: Bench, no_settings: Path
) -> None:
    red = '[backdrop]\nkind = "colour"\ncolour = "#ff0000"\n[shadow]\nkind = "none"\n'
    (no_settings / "presets" / "red.toml").write_text(red)
    places = bench.places
    reprocess(read_settings(inbox=places.inbox, outbox=places.outbox), "car", "red")
    given = bench.manifest().preset
    correct(bench, "02")
    bench.work()
    assert bench.manifest().preset == given
    assert {row.preset for row in bench.manifest().frames} == {given.digest}
    assert bench.manifest().frames[1].mask == "corrected"


@pytest.mark.usefixtures("done")
def test_where_the_turn_is_framed_anew_every_frame_follows(bench: Bench) -> None:
    bench.preset('[framing]\nmode = "fit"\naspect = "4:3"\nwidth = 64\n')
    correct(bench, "02")
    bench.work()
    before = bench.files(bench.places.published("car"))
    wider = np.zeros((32, 48), np.uint8)
    wider[6:28, 4:44] = 255
    correct(bench, "03", wider)
    bench.work()
    after = bench.files(bench.places.published("car"))
    assert after["02.jpg"] != before["02.jpg"]
    assert after["masks/02.png"] == before["masks/02.png"]
    assert {row.picture_size for row in bench.manifest().frames} == {(64, 48)}


@pytest.mark.usefixtures("done")
def test_a_correction_stays_in_force_however_the_shoot_is_made_again(
    bench: Bench, car: Path, no_settings: Path
) -> None:
    correct(bench, "02")
    bench.work()
    (bench.corrections / "car/02.png").unlink()
    (car / "01.jpg").write_bytes(photo_bytes(77))
    bench.work()
    assert row_of(bench, "02").mask == "corrected"
    bench.slot.current = bench.segmenters["second"]
    bench.preset('[output]\nformat = "png"\n')
    bench.work()
    assert row_of(bench, "02").outputs["composite"].path == "02.png"
    assert row_of(bench, "02").mask == "corrected"
    assert [row_of(bench, name).mask for name in ("01", "03")] == ["network", "network"]
    places = bench.places
    (no_settings / "presets").mkdir(exist_ok=True)
    settings = read_settings(inbox=places.inbox, outbox=places.outbox, preset="studio-white")
    reprocess(settings, "car")
    assert row_of(bench, "02").mask == "corrected"
    assert (mask_of(bench, "02") == drawn()).all()


@pytest.mark.usefixtures("done")
def test_a_photo_that_was_replaced_is_no_longer_given_the_old_correction(
    bench: Bench, car: Path
) -> None:
    correct(bench, "02")
    bench.work()
    (car / "02.jpg").write_bytes(photo_bytes(78))
    bench.work()
    assert row_of(bench, "02").mask == "network"
    correct(bench, "02", drawn(top=10))
    bench.work()
    assert row_of(bench, "02").mask == "corrected"
    assert (mask_of(bench, "02") == drawn(top=10)).all()


@pytest.mark.usefixtures("done")
def test_the_last_of_two_corrections_wins(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    correct(bench, "02")
    bench.work()
    correct(bench, "02", drawn(top=10))
    bench.work()
    assert (mask_of(bench, "02") == drawn(top=10)).all()
    assert "car/02.png replaces an earlier correction" in caplog.text
    assert len(Shelf(bench.corrections / FOLDER).entries()) == 1


@pytest.mark.usefixtures("done")
def test_a_refused_correction_changes_nothing(bench: Bench, done: Path) -> None:
    before = bench.files(done)
    correct(bench, "02", np.zeros((32, 48), np.uint8))
    correct(bench, "ghost")
    bench.work()
    assert bench.files(done) == before
    assert Shelf(bench.corrections / FOLDER).entries() == []
    assert_clean(bench)


def test_photo_and_mask_are_kept_to_train_on(bench: Bench, done: Path, car: Path) -> None:
    path = correct(bench, "02")
    bench.work()
    shelf = Shelf(bench.corrections / FOLDER)
    (entry,) = shelf.entries()
    assert (entry.car, entry.shoot, entry.frame) == ("car", "car", "02")
    assert entry.source.sha256 == sha256(path.read_bytes())
    assert (shelf.folder / entry.picture).read_bytes() == (car / "02.jpg").read_bytes()
    assert (np.asarray(Image.open(shelf.folder / entry.mask)) == drawn()).all()
    assert done.exists()


@pytest.mark.usefixtures("car")
def test_a_correction_that_is_there_before_its_shoot_is_used_at_once(bench: Bench) -> None:
    correct(bench, "02")
    bench.work()
    assert (row_of(bench, "02").mask, row_of(bench, "02").batch) == ("corrected", None)
    assert row_of(bench, "01").mask == "network"


@pytest.mark.parametrize("factor", [2, 0.5])
@pytest.mark.usefixtures("done")
def test_a_mask_of_another_size_is_fitted_to_its_photo(bench: Bench, factor: float) -> None:
    size = round(48 * factor), round(32 * factor)
    scaled = np.asarray(Image.fromarray(drawn()).resize(size, Image.Resampling.BOX))
    correct(bench, "02", scaled)
    bench.work()
    found = mask_of(bench, "02")
    assert found.shape == (32, 48)
    assert ((found >= 128) == (drawn() >= 128)).mean() > 0.95


@pytest.mark.usefixtures("done")
def test_a_corrections_folder_that_cannot_be_written_is_named_and_not_the_outbox(
    bench: Bench,
) -> None:
    correct(bench, "02")
    in_the_way = bench.corrections / FOLDER / "train"
    in_the_way.parent.mkdir()
    in_the_way.write_text("no folder")
    bench.work()
    note = bench.leases.note("car")
    assert note and note.state == "failed"
    assert f"the corrections folder {bench.corrections} cannot be written" in note.error
    assert "outbox" not in note.error
    in_the_way.unlink()
    bench.work()
    assert row_of(bench, "02").mask == "corrected"


@pytest.mark.parametrize("code", ["read-failed", "corrupt"])
def test_a_correction_whose_photo_cannot_be_read_costs_no_delivered_frame(
    bench: Bench, done: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    correct(bench, "02")

    def read(path: Path, **options: object) -> Photo:
        if path.name == "02.jpg":
            raise UnreadableImage("'02.jpg' could not be read", code=code, cure="Look.")
        return decode(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("worker.line.correct.decode", read)
    before = bench.files(done)
    for attempt in range(1, 5):
        bench.work(attempt=attempt)
        note = bench.leases.note("car")
        assert note and note.state == "failed"
        assert "'02.jpg' could not be read, and a correction waits for it" in note.error
    assert bench.files(done) == before
    correct(bench, "03", drawn(10))
    bench.work()
    assert (row_of(bench, "03").mask, row_of(bench, "02").mask) == ("corrected", "network")
    assert bench.manifest().status == "complete"


def test_a_mask_that_is_out_of_reach_for_a_moment_costs_no_other_frame(
    bench: Bench, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    correct(bench, "02")
    opened = Path.open

    def stale(path: Path, *args: object, **named: object) -> object:
        if path.parent.name == "masks" and path.name == "03.png":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return opened(path, *args, **named)  # type: ignore[call-overload]

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", stale)
        bench.work()
    assert row_of(bench, "02").mask == "network", "tried again later"
    assert (done / "03.jpg").is_file()
    bench.work()
    assert row_of(bench, "02").mask == "corrected"
    assert bench.manifest().status == "complete"
