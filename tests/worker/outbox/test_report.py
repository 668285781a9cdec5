"""The contact sheet as a picture, and the spin page as text; see test_spin_browser for its life."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from worker.outbox.report import SheetFrame, contact_sheet, spin_page

RED, PINK = (196, 22, 42), (252, 241, 242)
ODD_NAMES = ("a b#1.jpg", "50%41?.jpg", 'it\'s "q".jpg', "Škoda 中文 🚗.jpg", "</script><x>.jpg")


def picture(
    folder: Path,
    name: str = "a.jpg",
    *,
    size: tuple[int, int] = (600, 400),
    colour: str = "#3060a0",
    mode: str = "RGB",
) -> Path:
    path = folder / name
    Image.new(mode, size, colour).save(path)
    return path


def drawn(data: bytes) -> NDArray[np.int16]:
    image = Image.open(io.BytesIO(data))
    assert image.format == "JPEG"
    return np.asarray(image.convert("RGB"), dtype=np.int16)  # (H, W, 3)


def area(sheet: NDArray[np.int16], colour: tuple[int, int, int], near: int = 24) -> int:
    return int((np.abs(sheet - np.array(colour)).max(axis=2) <= near).sum())


def sheet_of(*frames: SheetFrame, title: str = "A car", width: int = 1600) -> NDArray[np.int16]:
    return drawn(contact_sheet(frames, title=title, width=width))


def test_sixteen_frames_are_a_square_of_four_by_four(tmp_path: Path) -> None:
    path = picture(tmp_path)
    sheet = sheet_of(*(SheetFrame(f"car_{i:02}", i, path) for i in range(1, 17)))
    blue = np.abs(sheet - np.array((0x30, 0x60, 0xA0))).max(axis=2) <= 12
    runs = lambda line: int((np.diff(line.astype(int)) == 1).sum())  # noqa: E731
    assert sheet.shape[1] == 1600
    assert runs(blue.any(axis=0)) == 4
    assert runs(blue.any(axis=1)) == 4


@pytest.mark.parametrize("count", [0, 1, 7, 36, 500])
def test_any_number_of_frames_makes_a_sheet_that_can_be_viewed(tmp_path: Path, count: int) -> None:
    path = picture(tmp_path, size=(60, 40))
    sheet = sheet_of(*(SheetFrame(f"car_{i:03}", i, path) for i in range(count)))
    assert sheet.shape[1] == 1600
    assert sheet.shape[0] <= 30_000
    tile = area(sheet, (0x30, 0x60, 0xA0)) / max(count, 1)
    assert tile > 60 * 40 * 0.8 or count == 0


def test_thousands_of_frames_get_smaller_tiles_rather_than_an_endless_sheet() -> None:
    sheet = sheet_of(*(SheetFrame(f"car_{i}", i, None, ("Lost.",)) for i in range(2500)), width=800)
    assert sheet.shape[0] <= 30_000


def test_a_flagged_frame_has_a_red_corner_and_its_note(tmp_path: Path) -> None:
    path = picture(tmp_path)
    plain = sheet_of(SheetFrame("car_01", 1, path), SheetFrame("car_02", 2, path))
    flagged = sheet_of(
        SheetFrame("car_01", 1, path), SheetFrame("car_02", 2, path, ("Touches the border.",))
    )
    assert area(plain, RED) == 0
    assert area(flagged[:, :800], RED) == 0
    assert area(flagged[:, 800:], RED) > 1000
    assert flagged.shape[0] > plain.shape[0]


def test_a_failed_frame_is_a_tile_of_its_own_with_the_reason() -> None:
    short = sheet_of(SheetFrame("car_01", 1, None, ("It is empty.",)))
    long = sheet_of(SheetFrame("car_01", 1, None, ("It ends early. " * 6,)))
    assert area(short, PINK, near=6) > 200_000
    assert area(short, RED, near=60) > 1000
    dark = [int((sheet.max(axis=2) < 90).sum()) for sheet in (short, long)]
    assert dark[1] > dark[0] + 1000


@pytest.mark.parametrize("damage", ["missing", "cut", "text"])
def test_a_picture_that_cannot_be_read_is_a_failed_tile(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.jpg"
    if damage == "cut":
        Image.effect_noise((600, 400), 90).save(path)
        path.write_bytes(path.read_bytes()[:20_000])
    elif damage == "text":
        path.write_text("not a picture")
    good = picture(tmp_path, "good.jpg")
    sheet = sheet_of(SheetFrame("car_01", 1, path), SheetFrame("car_02", 2, good))
    assert area(sheet[:, :800], PINK, near=6) > 100_000
    assert area(sheet[:, 800:], (0x30, 0x60, 0xA0)) > 200_000


def test_transparency_shows_a_light_checker(tmp_path: Path) -> None:
    path = picture(tmp_path, "a.png", mode="RGBA", colour="#00000000")
    sheet = sheet_of(SheetFrame("car_01", 1, path))
    cells = sheet[500:700, 700:900]  # the middle of the tile
    assert cells.min() > 200
    assert 0.3 < area(cells, (255, 255, 255), near=8) / (200 * 200) < 0.7


def test_an_upright_picture_among_lying_ones_stays_whole_between_bars(tmp_path: Path) -> None:
    lying = picture(tmp_path)
    upright = picture(tmp_path, "up.png", size=(400, 600), colour="#108040")
    sheet = sheet_of(
        SheetFrame("a", 1, upright), SheetFrame("b", 2, lying), SheetFrame("c", 3, lying)
    )
    rows, columns = np.nonzero(np.abs(sheet - np.array((0x10, 0x80, 0x40))).max(axis=2) <= 12)
    assert (np.ptp(columns) + 1) / (np.ptp(rows) + 1) == pytest.approx(400 / 600, abs=0.02)


def test_colours_of_a_profile_other_than_srgb_are_converted(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")
    frames = []
    for number, profile in enumerate((swapped, srgb, b"no profile")):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (600, 400), (200, 60, 60)).save(path, icc_profile=profile)
        frames.append(SheetFrame(path.stem, number, path))
    red, green = (area(sheet_of(*frames), colour) for colour in ((200, 60, 60), (60, 200, 60)))
    assert green > 100_000
    assert red == pytest.approx(2 * green, rel=0.01)


@pytest.mark.parametrize(
    "text", ["Škoda 中文 العربية 🚗", "\ud800\udfff\x00\n\t", "x" * 100_000, "", "word " * 5000]
)
def test_any_text_can_be_drawn(tmp_path: Path, text: str) -> None:
    path = picture(tmp_path)
    frames = [SheetFrame(text, 1, path, (text,)), SheetFrame(text, 99, None, (text,))]
    assert contact_sheet(frames, title=text, subtitle=text, width=400)


def test_a_sheet_too_narrow_to_read_is_refused() -> None:
    with pytest.raises(ValueError, match="take 320 or more"):
        contact_sheet([], title="A car", width=100)


class Parts(HTMLParser):
    """The tags of a page with their attributes, and the text within each kind of tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags:
            self.texts.setdefault(self.tags[-1][0], []).append(data)


def test_the_page_lists_its_pictures_by_encoded_names_in_order() -> None:
    parts = Parts(spin_page(ODD_NAMES, title="A car", size=(600, 400)))
    links = json.loads(next(t for t in parts.texts["script"] if t.startswith("[")))
    assert [unquote(link) for link in links] == list(ODD_NAMES)
    assert all(re.fullmatch(r"[\w.%/~-]+", link, re.ASCII) for link in links)
    image = next(attributes for tag, attributes in parts.tags if tag == "img")
    assert (image["src"], image["width"], image["height"]) == (links[0], "600", "400")


def test_a_picture_that_was_made_anew_has_another_link() -> None:
    pages = [
        spin_page(["a.jpg", "b.jpg"], title="car", size=(3, 2), digests=["1" * 64, digest * 64])
        for digest in "23"
    ]
    for page, digest in zip(pages, "23", strict=True):
        links = json.loads(next(t for t in Parts(page).texts["script"] if t.startswith("[")))
        assert links == ["a.jpg?11111111", f"b.jpg?{digest * 8}"]


def test_a_file_name_that_is_not_utf_8_keeps_its_bytes() -> None:
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    assert "caf%E9.jpg" in spin_page([name], title=name, size=(3, 2)).encode().decode()


def test_a_title_is_text_and_never_markup() -> None:
    title = "</title><script>alert(1)</script> {{pictures}} \"'&amp;"
    parts = Parts(spin_page(["a.jpg"], title=title, size=(3, 2)))
    assert [tag for tag, _ in parts.tags].count("script") == 2
    assert "".join(parts.texts["h1"]).strip() == title


def test_the_page_names_nothing_outside_itself() -> None:
    page = spin_page(["a.jpg"], title="A car", size=(3, 2))
    assert not re.findall(r"https?:|//\w+\.|@import|\burl\(", page)
    policy = next(a["content"] for t, a in Parts(page).tags if a.get("http-equiv"))
    assert policy and policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_a_page_without_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match="one picture"):
        spin_page([], title="A car", size=(3, 2))
