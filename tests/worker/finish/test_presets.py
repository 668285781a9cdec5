from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pydantic import BaseModel, ValidationError

from worker.errors import PresetError
from worker.finish.preset_errors import line_of
from worker.finish.presets import (
    Framing,
    GradientBackdrop,
    NoBackdrop,
    Output,
    Overlay,
    PictureBackdrop,
    Preset,
    RealShadow,
    SoftShadow,
    builtin_presets,
    load_preset,
    preset_files,
    read_preset,
)
from worker.settings import Settings


def _written(folder: Path, text: str, name: str = "dealer.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _complaint(folder: Path, text: str) -> str:
    with pytest.raises(PresetError) as caught:
        read_preset(_written(folder, text))
    return str(caught.value)


def test_six_presets_come_with_the_program_and_the_default_is_one_of_them() -> None:
    assert builtin_presets() == [
        "hall",
        "marketplace",
        "showroom-dark",
        "studio-grey",
        "studio-white",
        "transparent",
    ]
    assert Settings.model_fields["preset"].default in builtin_presets()


@pytest.mark.parametrize("name", builtin_presets())
def test_every_built_in_preset_is_valid_and_named_after_its_file(name: str) -> None:
    preset = load_preset(name)
    assert preset.name == name
    assert preset.frames == 16


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("", Preset),
        ("backdrop", GradientBackdrop),
        ("shadow", SoftShadow),
        ("shadow", RealShadow),
        ("framing", Framing),
        ("overlay", Overlay),
        ("output", Output),
    ],
)
def test_the_default_preset_names_every_key(name: str, table: type[BaseModel]) -> None:
    text = preset_files([])["studio-grey"].read_text(encoding="utf-8")
    top, *rest = re.split(r"\n(?:#\s*)?\[(\w+)\]\n", text)
    sections = {"": top} | dict(zip(rest[::2], rest[1::2], strict=True))
    told = re.findall(r"^(?:#\s*)?(\w+) =", sections[name], re.MULTILINE)
    assert set(table.model_fields) <= {*told, *([] if name else sections)}


def test_an_empty_preset_has_the_plain_studio_look(tmp_path: Path) -> None:
    preset = read_preset(_written(tmp_path, ""))
    assert isinstance(preset.backdrop, GradientBackdrop)
    assert (preset.on_failed_frame, preset.output.format) == ("publish", "jpeg")


def test_transparent_has_no_backdrop_and_writes_png() -> None:
    preset = load_preset("transparent")
    assert isinstance(preset.backdrop, NoBackdrop)
    assert preset.output.format == "png"


def test_a_preset_of_the_studio_wins_over_a_built_in_of_the_same_name(tmp_path: Path) -> None:
    _written(tmp_path, "frames = 8", "studio-grey.toml")
    assert load_preset("studio-grey", folders=[tmp_path]).frames == 8
    assert load_preset("studio-grey").frames == 16


def test_a_path_that_ends_in_toml_is_read_from_there(tmp_path: Path) -> None:
    assert load_preset(str(_written(tmp_path, "frames = 4"))).frames == 4


def test_a_name_never_leads_out_of_its_folder(tmp_path: Path) -> None:
    _written(tmp_path, "frames = 4", "outside.toml")
    (tmp_path / "presets").mkdir()
    with pytest.raises(PresetError, match="no preset"):
        load_preset("../outside", folders=[tmp_path / "presets"])


def test_an_unknown_name_is_answered_with_the_nearest_and_all_names(tmp_path: Path) -> None:
    _written(tmp_path, "", "my-hall.toml")
    with pytest.raises(PresetError) as caught:
        load_preset("studio-gray", folders=[tmp_path])
    assert 'did you mean "studio-grey"?' in str(caught.value)
    assert "my-hall" in str(caught.value)


def test_a_preset_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_preset("studio-grey").frames = 3


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("# hi\nframs = 3", 2, ["frams is not a known key", 'did you mean "frames"?']),
        ("frames = 0", 1, ["frames = 0", "a whole number from 1 to 1000"]),
        ('frames = "16"', 1, ['frames = "16"', "a whole number"]),
        ('\n\non_failed_frame = "wait"', 3, ['on_failed_frame = "wait"', '"publish" or "hold"']),
        ('[backdrop]\nkind = "colur"', 2, ['backdrop.kind = "colur"', 'did you mean "colour"?']),
        ('[backdrop]\ncolour = "#fff"', 1, ["backdrop.kind is missing", "gradient"]),
        ('[backdrop]\nkind = "colour"', 1, ["backdrop.colour is missing", "#f4f4f4"]),
        ('[backdrop]\nkind = "colour"\ncolour = "red"', 3, ['backdrop.colour = "red"', "#f4f4f4"]),
        (
            '[backdrop]\nkind = "colour"\ncolour = "#ffffff"\ncolr = 1',
            4,
            ["backdrop.colr", '"colour"', "takes kind, colour"],
        ),
        ('[shadow]\nkind = "soft"\nopacity = 1.5', 3, ["shadow.opacity = 1.5", "from 0 to 1"]),
        ("[output]\nquality = true", 2, ["output.quality = true", "from 1 to 100"]),
        ('output.format = "gif"', 1, ['output.format = "gif"', '"jpeg", "png" or "webp"']),
        ("backdrop = 3", 1, ["backdrop = 3", "a table"]),
        ('[backdrop]\nkind = "none"', 2, ["needs transparency", 'Set output.format to "png"']),
    ],
)
def test_a_mistake_is_named_with_file_line_key_value_and_what_is_allowed(
    tmp_path: Path, text: str, line: int, words: list[str]
) -> None:
    complaint = _complaint(tmp_path, text)
    assert f"dealer.toml, line {line}:" in complaint
    for word in words:
        assert word in complaint


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    complaint = _complaint(tmp_path, "frames = 0\n[output]\nquality = 0")
    assert "line 1: frames = 0" in complaint
    assert "line 3: output.quality = 0" in complaint


def test_what_is_no_toml_or_no_text_is_a_preset_error_with_its_place(tmp_path: Path) -> None:
    assert "at line 2, column" in _complaint(tmp_path, "frames = 16\nx = = 2")
    (tmp_path / "dealer.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(PresetError, match="not UTF-8"):
        read_preset(tmp_path / "dealer.toml")


def test_a_preset_file_that_is_not_there_is_a_preset_error(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match=r"gone\.toml cannot be read"):
        load_preset(str(tmp_path / "gone.toml"))


def test_the_backdrop_picture_is_looked_up_next_to_the_preset(tmp_path: Path) -> None:
    text = '[backdrop]\nkind = "picture"\npicture = "hall.png"'
    complaint = _complaint(tmp_path, text)
    assert "line 3" in complaint
    assert str(tmp_path / "hall.png") in complaint
    cv2.imwrite(str(tmp_path / "hall.png"), np.zeros((100, 100, 3), np.uint8))
    backdrop = read_preset(tmp_path / "dealer.toml").backdrop
    assert isinstance(backdrop, PictureBackdrop)
    assert backdrop.picture == tmp_path / "hall.png"


def test_the_digest_follows_the_look_and_not_the_name_or_the_spelling(tmp_path: Path) -> None:
    plain = read_preset(_written(tmp_path, "", "one.toml")).digest
    assert read_preset(_written(tmp_path, "frames = 16 # all", "two.toml")).digest == plain
    other = '[shadow]\nkind = "soft"\nopacity = 0.1'
    assert read_preset(_written(tmp_path, other, "three.toml")).digest != plain


def test_the_digest_follows_the_picture_and_not_its_folder(tmp_path: Path) -> None:
    digests = []
    for folder, shade in (("a", 10), ("b", 10), ("c", 11)):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "hall.png"), np.full((99, 99, 3), shade, np.uint8))
        text = '[backdrop]\nkind = "picture"\npicture = "hall.png"'
        digests.append(read_preset(_written(tmp_path / folder, text)).digest)
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_a_key_is_found_by_its_line_in_tables_and_in_dotted_form() -> None:
    text = 'frames = 1\n\n[output]\n# quality = 3\nquality = 4\n[ shadow ]\nkind = "none"'
    assert line_of(text, ("frames",)) == 1
    assert line_of(text, ("output", "quality")) == 5
    assert line_of(text, ("shadow", "opacity")) == 6
    assert line_of(text, ("backdrop", "kind")) is None
    assert line_of("output.quality = 4", ("output", "quality")) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[framing]\nmode = "keep"\naspect = "1:1"', ["line 3", "framing.aspect", '"fit"']),
        ('[framing]\nmode = "fit"\naspect = "square"', ["line 3", '"square"', '"4:3"']),
        ('[framing]\nmode = "fit"\nwidth = 10', ["line 3", "64 to 20000"]),
        ('[framing]\nmode = "fit"\naspect = "1:9"', ["line 3", '"1:9"', "wider than 1:5"]),
        ('[framing]\nmode = "fit"\nwidth = 20000\naspect = "1:1"', ["line 4", "megapixels"]),
        ('[shadow]\nkind = "real"\nstrength = 9', ["line 3", "shadow.strength = 9", "0 to 2"]),
        ('[overlay]\npicture = "gone.png"', ["line 2", "overlay", "gone.png"]),
        ('[overlay]\npicture = "x.png"\npositon = "top"', ["line 3", "position", "[overlay]"]),
        ("[overlay]\nwidth = 2", ["overlay.width = 2", "0 to 1"]),
    ],
)
def test_mistakes_in_framing_shadow_and_overlay_are_named(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    complaint = _complaint(tmp_path, text)
    assert [word for word in words if word not in complaint] == [], complaint


def test_the_digest_covers_the_overlays_picture_and_not_its_place(tmp_path: Path) -> None:
    digests = []
    for folder, level in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "logo.png"), np.full((4, 4, 3), level, np.uint8))
        preset = read_preset(_written(tmp_path / folder, '[overlay]\npicture = "logo.png"'))
        digests.append(preset.digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_preset_names_its_pictures_that_lie_in_a_folder(tmp_path: Path) -> None:
    for name in ("hall.png", "logo.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    text = '[backdrop]\nkind = "picture"\npicture = "hall.png"\n[overlay]\npicture = "logo.png"\n'
    preset = read_preset(_written(tmp_path, text))
    assert preset.pictures_in(tmp_path) == ["hall.png", "logo.png"]
    assert preset.pictures_in(tmp_path / "elsewhere") == []
    assert load_preset("studio-grey").pictures_in(tmp_path) == []


@pytest.mark.parametrize("change", ["name", "frames", "on_failed_frame"])
def test_what_does_not_show_makes_no_frame_again(change: str) -> None:
    changes = {"name": "another", "frames": 24, "on_failed_frame": "hold"}
    before = load_preset("studio-white")
    after = before.model_validate(before.model_dump() | {change: changes[change]})
    assert after.digest == before.digest
