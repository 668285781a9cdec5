"""Photos that nobody should send: a corpus of odd, damaged and hostile files, built from a seed.

`python -m tests.faults.hostile FOLDER` writes it, to try it on an inbox by hand.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image, ImageCms

SIZE = (72, 48)


@dataclass(frozen=True)
class Hostile:
    """One file of the corpus."""

    name: str
    data: bytes
    good: bool = False
    """Whether it is a picture that must come out, odd as it may be."""


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture with something in it, in any mode of Pillow's."""
    y, x = np.mgrid[: size[1], : size[0]]
    pixels = np.stack([x * 3 % 256, y * 5 % 256, (x + y) * 2 % 256], -1).astype(np.uint8)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    if mode == "F":
        return image.convert("L").convert("F")
    return image.convert(mode)


def encoded(form: str, image: Image.Image | None = None, **options: Any) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    (image or picture()).save(file, form, **options)
    return file.getvalue()


def originals() -> dict[str, bytes]:
    """A whole file of each form, by suffix."""
    return {
        "baseline.jpg": encoded("JPEG", quality=80),
        "progressive.jpg": encoded("JPEG", progressive=True),
        "cmyk.jpg": encoded("JPEG", picture("CMYK")),
        "plain.png": encoded("PNG"),
        "palette.png": encoded("PNG", picture("P")),
        "strips.tif": encoded("TIFF"),
        "deflate.tif": encoded("TIFF", compression="tiff_adobe_deflate"),
        "lossy.webp": encoded("WEBP"),
        "lossless.webp": encoded("WEBP", lossless=True),
    }


def corpus(seed: int = 1) -> Iterator[Hostile]:
    """More than a thousand files, the same ones for the same seed."""
    random = Random(seed)
    yield from _cut(random)
    yield from _flipped(random)
    yield from _mixed_up(random)
    yield from _bombs()
    yield from _sizes()
    yield from _modes()
    yield from _profiles(random)
    yield from _orientations()
    yield from _names()


def _cut(random: Random) -> Iterator[Hostile]:
    """Ends at every marker, and in many places between."""
    for form, data in originals().items():
        marks = [at for at in range(len(data) - 1) if data[at] == 0xFF and data[at + 1] >= 0xC0]
        cuts = {1, 2, 4, 8, 12, 16, *marks[:24], *random.sample(range(20, len(data) - 2), 24)}
        for cut in sorted(cuts):
            yield Hostile(f"cut-{cut:05}-{form}", data[:cut])
        for cut in random.sample(range(20, len(data) - 2), 6):
            yield Hostile(f"hole-{cut:05}-{form}", data[:cut] + bytes(len(data) - cut))


def _flipped(random: Random) -> Iterator[Hostile]:
    for form, data in originals().items():
        for number in range(45):
            damaged = bytearray(data)
            for _ in range(random.choice((1, 1, 3, 40))):
                reach = random.choice((32, 300, len(data)))
                damaged[random.randrange(min(reach, len(data)))] ^= 1 << random.randrange(8)
            yield Hostile(f"flip-{number:02}-{form}", bytes(damaged))


def _mixed_up(random: Random) -> Iterator[Hostile]:
    """Heads on other bodies, and what is no picture at all."""
    forms = originals()
    for head, first in forms.items():
        for body, second in forms.items():
            if head != body:
                yield Hostile(f"head-{head}-{body}", first[:16] + second[16:])
    things = {
        "empty": b"",
        "zeros": bytes(4096),
        "one": b"\xff",
        "text": b"these are my notes\n" * 50,
        "page": b"<html><script>alert(1)</script></html>",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "pdf": b"%PDF-1.7\n" + random.randbytes(500),
        "zip": b"PK\x03\x04" + random.randbytes(500),
        "elf": b"\x7fELF" + random.randbytes(500),
        "pickle": b"\x80\x04\x95" + random.randbytes(50),
        "postscript": b"%!PS-Adobe-3.0\n(/etc/passwd) (r) file\n",
        "noise": random.randbytes(5000),
    }
    for name, data in things.items():
        for suffix in ("jpg", "png", "tif", "webp"):
            yield Hostile(f"thing-{name}.{suffix}", data)


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG whose header names a size that its data does not have."""
    data = bytearray(encoded("PNG"))
    struct.pack_into(">II", data, 16, width, height)
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    return bytes(data)


def _bombs() -> Iterator[Hostile]:
    for width, height in [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (0, 100), (1, 2**31 - 1)]:
        yield Hostile(f"bomb-claims-{width}-{height}.png", png_that_claims(width, height))
    jpeg = bytearray(encoded("JPEG"))
    at = jpeg.index(b"\xff\xc0")
    struct.pack_into(">HH", jpeg, at + 5, 65_500, 65_500)
    yield Hostile("bomb-claims.jpg", bytes(jpeg))
    flat = Image.new("1", (9000, 9000))
    yield Hostile("bomb-flat.png", encoded("PNG", flat))
    yield Hostile("bomb-flat.tif", encoded("TIFF", flat, compression="group4"))
    yield Hostile("bomb-flat.webp", encoded("WEBP", Image.new("RGB", (9000, 9000)), lossless=True))
    chunk = b"zTXt" + b"Comment\0\0" + zlib.compress(bytes(30_000_000), 9)
    text = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    png = encoded("PNG")
    yield Hostile("bomb-text.png", png[:33] + text + png[33:])


def _sizes() -> Iterator[Hostile]:
    for width, height in [(1, 1), (1, 30_000), (30_000, 1), (15, 200), (200, 15)]:
        for form, suffix in (("PNG", "png"), ("JPEG", "jpg"), ("TIFF", "tif")):
            image = Image.new("RGB", (width, height), "#506070")
            yield Hostile(f"size-{width}x{height}.{suffix}", encoded(form, image))
    for width, height in [(16, 16), (16, 2000), (2000, 16), (17, 31)]:
        image = picture(size=(width, height))
        yield Hostile(f"size-{width}x{height}.png", encoded("PNG", image), good=True)


def _modes() -> Iterator[Hostile]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        name = mode.replace(";", "-")
        yield Hostile(f"mode-{name}.png", encoded("PNG", picture(mode)), good=True)
        yield Hostile(f"mode-{name}.tif", encoded("TIFF", picture(mode)), good=True)
    for mode in ("L", "RGB", "CMYK"):
        yield Hostile(f"mode-{mode}.jpg", encoded("JPEG", picture(mode)), good=True)
    yield Hostile("mode-lab.tif", encoded("TIFF", picture("LAB")), good=True)
    yield Hostile("mode-float.tif", encoded("TIFF", picture("F")))
    frames = [picture("P"), picture("P").rotate(90), picture("P").rotate(180)]
    moving: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": 50}
    yield Hostile("moving.png", encoded("PNG", frames[0].convert("RGB"), **moving), good=True)
    yield Hostile("moving.webp", encoded("WEBP", frames[0].convert("RGB"), **moving), good=True)
    yield Hostile("moving-gif.jpg", encoded("GIF", frames[0], **moving), good=True)
    yield Hostile("png-named.jpg", encoded("PNG"), good=True)
    yield Hostile("jpeg-named.tif", encoded("JPEG"), good=True)


def _profiles(random: Random) -> Iterator[Hostile]:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    profiles = [b"", b"x", random.randbytes(300), srgb[:100], srgb[:-200], bytes(3000), lab]
    for _ in range(12):
        damaged = bytearray(srgb)
        for _ in range(8):
            damaged[random.randrange(len(srgb))] = random.randrange(256)
        profiles.append(bytes(damaged))
    for number, profile in enumerate(profiles):
        for form, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")):
            data = encoded(form, icc_profile=profile)
            yield Hostile(f"profile-{number:02}.{suffix}", data, good=True)


def _orientations() -> Iterator[Hostile]:
    for value in (*range(10), 255, 65_535):
        exif = Image.Exif()
        exif[0x0112] = value
        for form, suffix in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")):
            data = encoded(form, exif=exif.tobytes())
            yield Hostile(f"orientation-{value}.{suffix}", data, good=True)
    for number, block in enumerate([b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"II*\0" * 50]):
        data = encoded("JPEG", exif=b"Exif\0\0" + block)
        yield Hostile(f"exif-{number}.jpg", data, good=True)


def _names() -> Iterator[Hostile]:
    names = [
        "n" * 251 + ".jpg",
        "é" * 125 + ".jpg",
        "new\nline.jpg",
        "-rf.jpg",
        "--help.jpg",
        "a..jpg",
        "caf\u00e9.jpg",
        "cafe\u0301.jpg",
        "\U0001f697.jpg",
        "Case.jpg",
        "case.jpg",
        "CASE.JPG",
        "case.jpeg",
        " leading.jpg",
        "trailing .jpg",
        "tab\there.jpg",
        "bell\a.jpg",
        "quote'\"`.jpg",
        "$(reboot).jpg",
        "%s%n%x.jpg",
        "{{title}}.jpg",
        "<script>alert(1)<.jpg",
        "&amp;.jpg",
        "[red]bold[_red].jpg",
        "\u202egpj.exe.jpg",
        "CON.jpg",
        "NUL.jpg",
        "contact-sheet.jpg",
        "spin.jpg",
        "manifest.jpg",
        "masks.jpg",
        "0" * 200 + "7.jpg",
        "9" * 200 + ".jpg",
        "\u0663.jpg",
        "\uff11.jpg",
    ]
    for name in names:
        yield Hostile(name, encoded("JPEG"), good=True)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    files = list(corpus())
    for each in files:
        (folder / each.name).write_bytes(each.data)
    print(f"{len(files)} files in {folder}")


if __name__ == "__main__":
    main()
