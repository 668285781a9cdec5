"""Presets: TOML files that say what a finished frame looks like.

What a preset leaves out has a default, so it holds only what differs from the plain studio look.
``presets/studio-grey.toml`` is the reference: each key is explained there.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
)

from worker.errors import PresetError
from worker.finish.preset_errors import explain, line_of
from worker.shoots import PRESET

_BUILTIN = Path(__file__).with_name("presets")
_ONE_COLOUR = 'a colour like "#f4f4f4"'
_TALLEST = 5
"""A finished picture's height, in widths, at most."""
_MOST_PIXELS = 200_000_000
"""And how many pixels a preset may ask for."""


class _Table(BaseModel):
    """A table of the file: unknown keys and values of the wrong type are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _beside_the_preset(value: Any, info: ValidationInfo) -> Any:
    """A picture's path in the preset's folder: a preset comes with a shoot, from anybody, and is
    not to show what else lies on this machine."""
    folder: Path = (info.context or {}).get("folder", Path())
    if not isinstance(value, str) or not value:
        return value
    if "\0" in value or not (folder / value).resolve().is_relative_to(folder.resolve()):
        raise ValueError("it leads out of the preset's folder")
    return folder / value


Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
Picture = Annotated[Path, BeforeValidator(_beside_the_preset)]


class ColourBackdrop(_Table):
    """One flat colour, in sRGB."""

    kind: Literal["colour"]
    colour: Colour = Field(description=_ONE_COLOUR)


class GradientBackdrop(_Table):
    """A seamless studio: a wall that runs into the floor, and light falling on both. In sRGB."""

    kind: Literal["gradient"]
    top: Colour = Field(description=_ONE_COLOUR)
    bottom: Colour = Field(description=_ONE_COLOUR)
    horizon: float = Field(default=0.4, ge=0.05, le=0.95, description="a number from 0.05 to 0.95")
    """Where wall becomes floor, as a part of the picture's height from its top."""
    glow: float = Field(default=0.35, ge=0.0, le=1.0, description="a number from 0 to 1")
    """How far the light on wall and floor goes towards white."""


class PictureBackdrop(_Table):
    """A photo that covers the frame; what does not fit is cropped evenly, nothing is stretched."""

    kind: Literal["picture"]
    picture: Picture = Field(description="a picture file in the preset's folder")


class NoBackdrop(_Table):
    """Nothing behind the car: the finished frame is transparent there."""

    kind: Literal["none"]


class SoftShadow(_Table):
    """A shadow drawn from the mask. Lengths are parts of the car's height in the picture, which
    hardly changes from angle to angle, so that the shadow does not breathe through a spin."""

    kind: Literal["soft"]
    opacity: float = Field(default=0.8, ge=0.0, le=1.0, description="a number from 0 to 1")
    """How dark the floor is where a tyre stands on it."""
    softness: float = Field(default=0.06, ge=0.01, le=0.3, description="a number from 0.01 to 0.3")
    """How far the shadow's border fades."""
    reach: float = Field(default=0.05, ge=0.0, le=0.3, description="a number from 0 to 0.3")
    """How far the shadow comes out from under the car, towards the viewer."""


class RealShadow(_Table):
    """What the booth's floor lost in light under and beside the car, taken from the photo."""

    kind: Literal["real"]
    strength: float = Field(default=1.0, ge=0.0, le=2.0, description="a number from 0 to 2")
    """1 is as dark as in the photo, 0 no shadow."""


class NoShadow(_Table):
    """No shadow: the car floats unless the backdrop brings one."""

    kind: Literal["none"]


class Framing(_Table):
    """Where the car stands in the picture. ``keep`` leaves it where the photographer put it;
    ``fit`` gives all frames of a shoot one scale, one ground line and one centre. The other keys
    are for ``fit``."""

    mode: Literal["keep", "fit"] = Field(default="keep", description='"keep" or "fit"')
    aspect: str | None = Field(
        default=None, pattern=r"^[1-9]\d{0,3}:[1-9]\d{0,3}$", description='text like "4:3"'
    )
    """Width to height of the finished pictures; that of the photos if it is not given."""
    width: int | None = Field(
        default=None, ge=64, le=20_000, description="a whole number from 64 to 20000"
    )
    """Of the finished pictures, in pixels; that of the photos if it is not given."""
    margin: float = Field(default=0.06, ge=0.0, le=0.4, description="a number from 0 to 0.4")
    """What stays free at least to the left and right of the car's widest frame, as a part of the
    picture's width, and above its highest one."""
    ground: float = Field(default=0.84, ge=0.3, le=1.0, description="a number from 0.3 to 1")
    """Where the lowest tyre of the turn stands, as a part of the height from the top."""

    @property
    def proportions(self) -> tuple[int, int] | None:
        """``aspect`` as numbers, width first."""
        if self.aspect is None:
            return None
        across, down = (int(side) for side in self.aspect.split(":"))
        return across, down


class Overlay(_Table):
    """A picture laid over every finished frame: a logo, a number plate's cover."""

    picture: Picture = Field(description="a picture file in the preset's folder")
    position: Literal[
        "top-left", "top", "top-right", "centre", "bottom-left", "bottom", "bottom-right"
    ] = Field(
        default="bottom-right",
        description='"top-left", "top", "top-right", "centre", "bottom-left", "bottom" or '
        '"bottom-right"',
    )
    width: float = Field(default=0.16, gt=0.0, le=1.0, description="a number from 0 to 1")
    """As a part of the frame's width; smaller where it would not fit the height."""
    margin: float = Field(default=0.03, ge=0.0, le=0.4, description="a number from 0 to 0.4")
    """Free space to the frame's border, as a part of the frame's width."""
    opacity: float = Field(default=1.0, ge=0.0, le=1.0, description="a number from 0 to 1")


class Output(_Table):
    """How finished frames are written."""

    format: Literal["jpeg", "png", "webp"] = Field(
        default="jpeg", description='"jpeg", "png" or "webp"'
    )
    quality: int = Field(default=92, ge=1, le=100, description="a whole number from 1 to 100")
    """For jpeg and webp; png is always without loss."""
    cutouts: bool = Field(default=False, description="true or false")
    """Whether each frame's cut-out (RGBA) is published too."""


Backdrop = ColourBackdrop | GradientBackdrop | PictureBackdrop | NoBackdrop
Shadow = SoftShadow | RealShadow | NoShadow


class Preset(_Table):
    """Everything that decides what a shoot looks like. Frozen; made by `load_preset`."""

    name: str = Field(default="", description="text")
    """What people call it; the file's name if it does not say."""
    frames: int = Field(default=16, ge=1, le=1000, description="a whole number from 1 to 1000")
    """Expected number of frames: a shoot with that many settled ones starts at once."""
    on_failed_frame: Literal["publish", "hold"] = Field(
        default="publish", description='"publish" or "hold"'
    )
    backdrop: Backdrop = Field(
        default=GradientBackdrop(kind="gradient", top="#b9bdc2", bottom="#8a8e94"),
        discriminator="kind",
    )
    shadow: Shadow = Field(default=SoftShadow(kind="soft"), discriminator="kind")
    framing: Framing = Framing()
    overlay: Overlay | None = Field(default=None, description="a table of keys")
    output: Output = Output()

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of everything that shows: same digest, same pictures.

        Covers the bytes of its pictures and not where they lie, so a preset keeps its digest when
        its folder moves. Raises `PresetError` when a picture cannot be read.
        """
        hidden: Any = {
            "name": True,
            "frames": True,
            "on_failed_frame": True,
            "backdrop": {"picture"},
            "overlay": {"picture"},
        }
        look = self.model_dump(mode="json", exclude=hidden)
        digest = hashlib.sha256(json.dumps(look, sort_keys=True).encode())
        if isinstance(self.backdrop, PictureBackdrop):
            digest.update(_read(self.backdrop.picture, "backdrop picture"))
        if self.overlay:
            digest.update(_read(self.overlay.picture, "overlay"))
        return digest.hexdigest()

    def pictures_in(self, folder: Path) -> list[str]:
        """Its pictures that lie in ``folder``, relative to it."""
        found = [self.backdrop.picture] if isinstance(self.backdrop, PictureBackdrop) else []
        found += [self.overlay.picture] if self.overlay else []
        inside = (picture for picture in found if picture.is_relative_to(folder))
        return [picture.relative_to(folder).as_posix() for picture in inside]


def builtin_presets() -> list[str]:
    """Names of the presets that come with the program, sorted."""
    return sorted(path.stem for path in _BUILTIN.glob("*.toml"))


def preset_files(folders: Sequence[Path]) -> dict[str, Path]:
    """The file of every preset there is, by name: those in ``folders`` (earlier ones win) and the
    built-in ones, sorted."""
    found: dict[str, Path] = {}
    for folder in (*folders, _BUILTIN):
        for path in folder.glob("*.toml"):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def load_preset(name_or_path: str, *, folders: Sequence[Path] = ()) -> Preset:
    """The preset of that name from ``folders`` (earlier ones win) or the built-in ones, or the
    one in the ``.toml`` file of that path.

    Raises `PresetError`: no such preset (with the names there are), or one that is wrong.
    """
    if is_path(name_or_path):
        return read_preset(Path(name_or_path))
    return _named(name_or_path, folders)


def is_path(name_or_path: str) -> bool:
    """Whether a preset is given by its file."""
    return name_or_path.endswith(".toml")


def _named(name: str, folders: Sequence[Path]) -> Preset:
    # Only names that a listing shows: a name never leads out of its folder.
    files = preset_files(folders)
    if name in files:
        return read_preset(files[name])
    raise _unknown(name, list(files))


def preset_of(
    folder: Path, default: str, *, chosen: str | None = None, folders: Sequence[Path]
) -> Preset:
    """The preset of a shoot in the inbox's ``folder``: that of the name ``chosen``, or else its
    own, or else the ``default`` one. Raises `PresetError` as `load_preset` does."""
    own = folder / PRESET
    if chosen:
        return _named(chosen, folders)
    if not own.is_file():
        return load_preset(default, folders=folders)
    if not own.resolve().is_relative_to(folder.parent.resolve()):
        raise PresetError(
            f"{own} is a link that leads out of the inbox", cure="Copy the file itself"
        )
    return read_preset(own)


def read_preset(path: Path) -> Preset:
    """The preset in one TOML file; its backdrop picture is looked up next to the file.

    Raises `PresetError`, which names the file, the line, the key, its value and what is allowed.
    """
    try:
        text = _read(path, "preset").decode("utf-8-sig")
        table = {"name": path.stem, **tomllib.loads(text)}
    except UnicodeDecodeError as error:
        raise PresetError(f"{path} is not UTF-8 text", cure="Save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise PresetError(
            f"{path} is not valid TOML: {error}",
            cure='Keys are written as: key = value, with texts in "quotes"',
        ) from error
    try:
        preset = Preset.model_validate(table, context={"folder": path.parent})
    except ValidationError as error:
        raise PresetError(explain(error, model=Preset, text=text, source=path)) from error
    _check_together(preset, text=text, source=path)
    return preset


def _check_together(preset: Preset, *, text: str, source: Path) -> None:
    """Refuses settings that are right alone and wrong together."""
    if isinstance(preset.backdrop, NoBackdrop) and preset.output.format == "jpeg":
        line = line_of(text, ("output", "format")) or line_of(text, ("backdrop", "kind"))
        raise PresetError(
            f'{source}, line {line}: backdrop.kind = "none" needs transparency, and '
            f'output.format = "jpeg" has none',
            cure='Set output.format to "png" or "webp", or choose a backdrop',
        )
    framing = preset.framing
    if framing.mode == "keep" and (given := framing.model_fields_set - {"mode"}):
        key = min(given)
        line = line_of(text, ("framing", key))
        raise PresetError(
            f'{source}, line {line}: framing.{key} has no meaning with framing.mode = "keep"',
            cure='Remove it, or set framing.mode to "fit"',
        )
    if framing.aspect and not _within_reason(framing):
        line = line_of(text, ("framing", "aspect"))
        raise PresetError(
            f'{source}, line {line}: framing.aspect = "{framing.aspect}" makes pictures that are '
            f"too tall, or of more than {_MOST_PIXELS // 1_000_000} megapixels",
            cure=f"Choose one that is wider than 1:{_TALLEST}, or a smaller width",
        )
    try:
        _ = preset.digest  # the pictures are read now, and not at the first frame
    except PresetError as error:
        table = "overlay" if "overlay" in error.args[0] else "backdrop"
        line = line_of(text, (table, "picture"))
        raise PresetError(f"{source}, line {line}: {error.args[0]}", cure=error.cure) from error


def _within_reason(framing: Framing) -> bool:
    """Whether pictures of its aspect fit into memory: presets come with shoots, from anybody."""
    across, down = framing.proportions or (1, 1)
    pixels = (framing.width or 0) ** 2 * down / across
    return down <= _TALLEST * across and pixels <= _MOST_PIXELS


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PresetError(
            f"The {what} {path} cannot be read: {error.strerror}",
            cure="Check its name and its permissions",
        ) from error


def _unknown(name: str, names: list[str]) -> PresetError:
    near = difflib.get_close_matches(name, names, n=1)
    hint = f' (did you mean "{near[0]}"?)' if near else ""
    return PresetError(
        f'There is no preset "{name}"{hint}',
        cure=f"Choose one of {', '.join(names)}, or give the path of a .toml file",
    )
