from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.parts import drop_photos, photo_bytes, row_of, shoot_in
from tests.worker.line.bench import Bench
from unet_core.images import UnreadableImage, decode
from unet_core.segment import Sighting
from worker.booth.view import read_view
from worker.corrections.desk import Desk
from worker.errors import ModelError
from worker.finish.floor import FloorLight
from worker.finish.framing import Placement
from worker.finish.plates import Plates
from worker.finish.presets import ColourBackdrop, NoShadow, Output, Overlay, Preset, RealShadow
from worker.line import frame as frame_module
from worker.line.batcher import Batcher
from worker.line.dress import Look, dress, judged
from worker.line.frame import Order, make_frame
from worker.line.parallel import Cores
from worker.line.stopwatch import Stopwatch
from worker.outbox.manifest import FrameRow
from worker.outbox.publish import Staging
from worker.shoots import Source

FLAT = Preset(
    backdrop=ColourBackdrop(kind="colour", colour="#808080"), shadow=NoShadow(kind="none")
)
EVERYTHING = FLAT.model_copy(update={"output": Output(format="png", cutouts=True)})


@pytest.fixture
def order(bench: Bench, batcher: Batcher) -> Order:
    return Order(
        job="0" * 32,
        look=Look(FLAT),
        segmenter=bench.segmenters["first"],
        batcher=batcher,
        staging=Staging(bench.places, "car"),
        desk=Desk(bench.corrections, "car", None),
        inbox=bench.places.inbox,
        max_pixels=10**6,
    )


def made(order: Order, data: bytes, name: str = "01.jpg", **changes: object) -> FrameRow:
    """The row of one photo with these bytes."""
    path = order.inbox / "car" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    (frame,) = shoot_in(order.inbox, "car").frames
    return make_frame(frame, Order(**{**vars(order), **changes}))  # type: ignore[arg-type]


def test_a_row_tells_all_about_its_frame_and_lies_in_staging(order: Order) -> None:
    row = made(order, photo_bytes(1))
    assert (row.name, row.angle, row.error) == ("01", 1, None)
    assert (row.checkpoint, row.preset) == (order.segmenter.card.sha256, FLAT.digest)
    assert row.mask_area is not None
    assert row.confidence is not None
    assert 0 <= row.mask_area <= 1
    assert 0 <= row.confidence <= 1
    assert row.batch
    assert (row.batch.size, row.batch.jobs) == (1, 1)
    stages = ["decode", "network", "refine", "composite", "encode", "write"]
    assert list(row.seconds) == stages
    assert min(row.seconds.values()) >= 0
    assert Staging(order.staging._places, "car").rows() == {row.source.source(): row}


class Watched(Cores):
    """Notes whether it is held."""

    def __init__(self) -> None:
        super().__init__(1)
        self.held, self.entered = False, 0

    def __enter__(self) -> None:
        super().__enter__()
        self.held, self.entered = True, self.entered + 1

    def __exit__(self, *error: object) -> None:
        self.held = False
        super().__exit__(*error)

    @contextmanager
    def lent(self) -> Iterator[None]:
        self.held = False
        with super().lent():
            yield
        self.held = True


def test_a_frame_computes_with_a_core_held_and_gives_it_back_before_it_writes(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores, held = Watched(), list[bool]()
    decode, write = frame_module.decode, order.staging.write
    monkeypatch.setattr(
        frame_module, "decode", lambda *a, **k: held.append(cores.held) or decode(*a, **k)
    )
    monkeypatch.setattr(order.staging, "write", lambda *a: held.append(cores.held) or write(*a))
    row = made(order, photo_bytes(1), cores=cores)
    assert (row.error, cores.entered) == (None, 1)
    assert held == [True, False, False]  # the photo is read; mask and picture are written


def test_a_frame_lends_its_core_while_the_device_has_its_picture(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores, held = Watched(), list[bool]()
    look = order.segmenter.look

    def slow(pictures: Sequence[NDArray[np.uint8]]) -> list[Sighting]:
        with cores:  # another frame computes meanwhile
            held.append(cores.held)
        return look(pictures)

    monkeypatch.setattr(order.segmenter, "look", slow)
    row = made(order, photo_bytes(1), cores=cores)
    assert (row.error, held) == (None, [True])


def test_a_photo_that_could_not_be_read_for_a_moment_says_how_it_is_tried_again(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(*_: object, **__: object) -> None:
        raise UnreadableImage("'01.jpg' could not be read", code="read-failed", cure="Look.")

    monkeypatch.setattr(frame_module, "decode", stale)
    row = made(order, photo_bytes(1))
    assert row.error
    assert row.error.message == "'01.jpg' could not be read. Look. Then: cyclorama retry car"


def test_all_outputs_have_the_photos_full_size(order: Order) -> None:
    row = made(order, photo_bytes(1, size=(200, 120)), look=Look(EVERYTHING))
    modes = {}
    for kind, output in row.outputs.items():
        with Image.open(order.staging.folder / output.path) as picture:
            modes[kind] = picture.mode
            assert picture.size == (200, 120)
    assert modes == {"composite": "RGB", "mask": "L", "cutout": "RGBA"}


def test_a_row_keeps_what_the_photo_shows_of_the_booth_unless_it_was_cut_away(
    order: Order,
) -> None:
    view = read_view(made(order, photo_bytes(1)).booth or "")
    assert view is not None and view.shape == (32, 48, 3)
    cut = io.BytesIO()
    Image.new("RGBA", (48, 32), (200, 0, 0, 0)).save(cut, "PNG")
    assert made(order, cut.getvalue()).booth is None


def test_a_photo_that_lies_is_flagged_and_stays_so_when_its_mask_is_judged_again(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lying(pictures: Sequence[NDArray[np.uint8]]) -> list[Sighting]:
        return [Sighting(np.where(p[..., 0] > 99, 255, 0).astype(np.uint8), 3) for p in pictures]

    monkeypatch.setattr(order.segmenter, "look", lying)
    row = made(order, photo_bytes(1))
    told = [flag for flag in row.flags if flag.code == "not-upright"]
    assert row.turned == 3
    assert [(flag.value, "by 90° to the right" in flag.sentence) for flag in told] == [(270, True)]
    mask = np.full((32, 48), 255, np.uint8)
    assert "not-upright" in [flag.code for flag in judged(row, mask).flags]


def test_a_speck_has_no_box_and_is_no_part_of_a_cars() -> None:
    row = row_of(Source("car/01.jpg", 1, 1))
    mask = np.zeros((300, 400), np.uint8)
    mask[10:20, 10:20] = 255
    assert judged(row, mask).box is None
    assert [flag.code for flag in judged(row, mask).flags] == ["nothing-found"]
    mask[100:200, 100:300] = 255
    assert judged(row, mask).box == (100, 100, 300, 200)


def test_orientation_is_applied_and_exif_and_profile_are_carried(order: Order) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Studio Camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = io.BytesIO()
    Image.new("RGB", (48, 32), "red").save(file, "JPEG", exif=exif, icc_profile=profile)
    row = made(order, file.getvalue())
    assert (row.width, row.height) == (32, 48)
    with Image.open(order.staging.folder / "01.jpg") as picture:
        assert picture.size == (32, 48)
        assert picture.getexif()[0x010F] == "Studio Camera"
        assert picture.getexif().get(0x0112, 1) == 1
        assert picture.info["icc_profile"] == profile


def test_the_row_answers_for_the_photo_as_it_was_read_and_not_as_it_was_queued(
    order: Order,
) -> None:
    (photo,) = drop_photos(order.inbox / "car", 1)
    (frame,) = shoot_in(order.inbox, "car").frames
    photo.write_bytes(photo_bytes(5, size=(60, 40)))
    row = make_frame(frame, order)
    assert row.source.source() != frame.source
    assert row.source.size == photo.stat().st_size
    assert row.width == 60


def test_a_bad_photo_is_a_row_with_its_error_that_is_kept_too(order: Order) -> None:
    row = made(order, b"")
    assert row.error
    assert row.error.code == "empty-file"
    assert row.outputs == {}
    assert (row.checkpoint, row.preset) == (order.segmenter.card.sha256, FLAT.digest)
    assert list(order.staging.rows().values()) == [row]


def test_a_closed_batcher_blames_no_photo(order: Order, batcher: Batcher) -> None:
    batcher.close()
    with pytest.raises(ModelError, match="closed"):
        made(order, photo_bytes(1))
    assert order.staging.rows() == {}


def test_a_disk_that_fails_blames_no_photo(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("worker.outbox.publish.write_file", full)
    with pytest.raises(OSError, match="No space left"):
        made(order, photo_bytes(1))


def test_a_mask_never_covers_what_the_photo_leaves_clear(order: Order) -> None:
    pixels = np.full((32, 48, 4), 200, np.uint8)
    pixels[:16, :, 3] = 0
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    made(order, file.getvalue(), "01.png")
    with Image.open(order.staging.folder / "masks" / "01.png") as mask:
        assert np.asarray(mask)[:16].max() == 0
        assert np.asarray(mask)[16:].max() > 0


def test_a_stopwatch_keeps_the_seconds_of_each_stage() -> None:
    watch = Stopwatch()
    for name in ("a", "b"):
        with watch.stage(name):
            pass
    assert list(watch.seconds) == ["a", "b"]


@pytest.mark.parametrize(
    ("size", "fits", "codes"),
    [((48, 32), True, []), ((48, 32), False, ["plate-unused"]), ((32, 48), True, ["plate-unused"])],
)
def test_a_plate_of_another_view_or_floor_is_told_and_not_used(
    order: Order,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    fits: bool,
    codes: list[str],
) -> None:
    folder = order.inbox / "plate"
    folder.mkdir()
    Image.new("RGB", size, (200, 200, 200)).save(folder / "empty.png")
    plates: list[object] = []

    def noting(_: object, alpha: np.ndarray, *, plate: object, strength: float) -> FloorLight:
        plates.append(plate)
        return FloorLight(np.ones(alpha.shape, np.float32), fits)

    monkeypatch.setattr("worker.finish.composite.real_shadow", noting)
    real = FLAT.model_copy(update={"shadow": RealShadow(kind="real")})
    row = made(order, photo_bytes(1), look=Look(real, Plates(folder)))
    assert [f.code for f in row.flags if f.code == "plate-unused"] == codes
    assert [plate is None for plate in plates] == [size == (32, 48)]


@pytest.mark.parametrize(("form", "file"), [("png", "01.png"), ("webp", "01.webp")])
def test_the_profile_is_carried_in_every_format_and_in_the_cut_out(
    order: Order, form: str, file: str
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = io.BytesIO()
    Image.new("RGB", (48, 32), "red").save(data, "JPEG", icc_profile=profile)
    output = Output.model_validate({"format": form, "cutouts": True})
    made(order, data.getvalue(), look=Look(FLAT.model_copy(update={"output": output})))
    for path in (file, "cutouts/01.png"):
        with Image.open(order.staging.folder / path) as picture:
            assert picture.info["icc_profile"] == profile


@pytest.mark.parametrize(("position", "untouched"), [("centre", False), ("top-left", True)])
def test_paint_under_a_logo_is_not_untouched(
    order: Order, monkeypatch: pytest.MonkeyPatch, position: str, untouched: bool
) -> None:
    logo = order.inbox / "logo.png"
    Image.new("RGB", (16, 16), "lime").save(logo)
    overlay = Overlay.model_validate(
        {"picture": logo, "position": position, "width": 0.1}, context={"folder": order.inbox}
    )
    car = np.zeros((32, 48), np.uint8)
    car[8:24, 12:36] = 255
    monkeypatch.setattr(order.segmenter, "look", lambda pictures: [Sighting(car)])
    row = made(order, photo_bytes(1), look=Look(FLAT.model_copy(update={"overlay": overlay})))
    assert (row.error, row.untouched_paint) == (None, untouched)


def test_a_plate_is_framed_like_its_photo(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = order.inbox / "plate"
    folder.mkdir()
    data = photo_bytes(1, form="PNG")
    (folder / "empty.png").write_bytes(data)
    seen: list[np.ndarray] = []

    def noting(
        pixels: np.ndarray, alpha: np.ndarray, *, plate: np.ndarray, strength: float
    ) -> FloorLight:
        seen.extend((pixels, plate))
        return FloorLight(np.ones(alpha.shape, np.float32), True)

    monkeypatch.setattr("worker.finish.composite.real_shadow", noting)
    real = FLAT.model_copy(update={"shadow": RealShadow(kind="real")})
    framed = Placement((40, 40), (48, 32), (60, 40), (-10, 0))
    row = row_of(Source("car/01.png", 1, 1), width=48, height=32)
    (order.inbox / "car").mkdir()
    (order.inbox / "car" / "01.png").write_bytes(data)
    photo = decode(order.inbox / "car" / "01.png", max_pixels=10**6).on_white()
    look = Look(real, Plates(folder), {"01": framed})
    dress(row, photo, np.zeros((32, 48), np.uint8), look, Stopwatch())
    pixels, plate = seen
    assert plate.shape == (40, 40, 3)
    assert (plate == pixels).all()
