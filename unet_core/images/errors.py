"""What can be wrong with one photo file, in words a photographer can act on.

    ImageError
    ├── UnreadableImage    the file itself: missing, no-permission, read-failed, outside,
    │                      empty-file, not-an-image, truncated, corrupt
    ├── UnsupportedImage   a picture, but not for us: needs-heic, needs-raw, unsupported-format
    ├── ImageTooLarge      too-large: more pixels (or bytes) than the limit
    └── ImageTooSmall      too-small: a side under 16 pixels

The words after the colons are the stable values of ``ImageError.code``.
"""

from __future__ import annotations

from pathlib import Path

CODES = (
    *("missing", "no-permission", "read-failed", "outside", "empty-file", "not-an-image"),
    *("truncated", "corrupt", "needs-heic", "needs-raw", "unsupported-format", "too-large"),
    "too-small",
)
"""All values of ``ImageError.code``."""


class ImageError(Exception):
    """One photo that cannot be used; ``str()`` says what failed, on which file, and the cure."""

    def __init__(self, what: str, *, code: str, cure: str) -> None:
        super().__init__(f"{what}. {cure}")
        self.what = what
        self.code = code
        self.cure = cure

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling between processes.
        return (_rebuild, (type(self), self.what, self.code, self.cure))


class UnreadableImage(ImageError):
    """The file is not there, may not be read, or holds no whole picture."""


class UnsupportedImage(ImageError):
    """A picture in a form that this installation does not read."""


class ImageTooLarge(ImageError):
    """More pixels than the limit, found in the header before anything is decoded."""


class ImageTooSmall(ImageError):
    """A picture too small to hold a car."""


def _rebuild(kind: type[ImageError], what: str, code: str, cure: str) -> ImageError:
    return kind(what, code=code, cure=cure)


def shown(path: Path) -> str:
    """The file's name as messages show it: quoted, on one line whatever it contains."""
    return repr(path.name or str(path))


def truncated(path: Path, size: int) -> UnreadableImage:
    """The error for a file that stops before its picture does; ``size`` in bytes."""
    return UnreadableImage(
        f"{shown(path)} ends before the picture does (it has {size:,} bytes)",
        code="truncated",
        cure="Copy it again from the camera or card, and let the copy finish.",
    )


def corrupt(path: Path, reason: str) -> UnreadableImage:
    """The error for a file that is all there and still does not decode."""
    return UnreadableImage(
        f"{shown(path)} is damaged ({reason})",
        code="corrupt",
        cure="Copy it again from the camera or card, or export it again as JPEG.",
    )


def not_an_image(path: Path, found: str) -> UnreadableImage:
    """The error for something that is no picture at all; ``found`` says what it is."""
    return UnreadableImage(
        f"{shown(path)} is not a picture: {found}",
        code="not-an-image",
        cure="Take it out of the folder, or replace it by the photo.",
    )


def outside(path: Path) -> UnreadableImage:
    """The error for a link that leads out of the folder in which photos may lie."""
    return UnreadableImage(
        f"{shown(path)} is a link that leads out of its folder",
        code="outside",
        cure="Copy the file itself there.",
    )


def unsupported(path: Path, found: str) -> UnsupportedImage:
    """The error for a picture of a kind that nobody here reads; ``found`` names the kind."""
    return UnsupportedImage(
        f"{shown(path)} is {found}, which is not supported",
        code="unsupported-format",
        cure="Export it as JPEG, or as TIFF or PNG with 8 or 16 bits.",
    )
