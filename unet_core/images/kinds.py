"""Which kind of picture a file holds, told from its first bytes and never from its name."""

from __future__ import annotations

from enum import StrEnum

from unet_core.images.tiff import is_camera_raw

HEAD_BYTES = 4096
"""As much of a file as ``sniff`` needs to tell a picture from anything else."""


class Kind(StrEnum):
    """The kinds that can be decoded; the value is Pillow's name where Pillow decodes it."""

    JPEG = "JPEG"
    PNG = "PNG"
    TIFF = "TIFF"
    WEBP = "WEBP"
    GIF = "GIF"
    BMP = "BMP"
    AVIF = "AVIF"
    HEIC = "HEIC"
    RAW = "RAW"


_SIGNATURES = {
    b"\xff\xd8\xff": Kind.JPEG,
    b"\x89PNG\r\n\x1a\n": Kind.PNG,
    b"GIF87a": Kind.GIF,
    b"GIF89a": Kind.GIF,
    b"FUJIFILMCCD-RAW": Kind.RAW,
    b"IIRO": Kind.RAW,  # Olympus ORF
    b"IIRS": Kind.RAW,
    b"MMOR": Kind.RAW,
    b"IIU\0": Kind.RAW,  # Panasonic RW2
    b"II\x1a\0\0\0HEAPCCDR": Kind.RAW,  # Canon CRW
    b"\0MRM": Kind.RAW,  # Minolta
    b"FOVb": Kind.RAW,  # Sigma X3F
}
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BMP_HEADER_SIZES = {12, 40, 52, 56, 64, 108, 124}

_UNSUPPORTED = {
    b"8BPS": "a Photoshop document",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 picture",
    b"\xff\x4f\xff\x51": "a JPEG 2000 picture",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture",
    b"\xff\x0a": "a JPEG XL picture",
    b"v/1\x01": "an OpenEXR picture",
    b"#?RADIANCE": "a Radiance HDR picture",
    b"%PDF": "a PDF document",
    b"%!PS": "a PostScript document",
    b"<svg": "an SVG drawing",
    b"gimp xcf": "a GIMP document",
}

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}


def sniff(data: bytes) -> Kind | None:
    """The kind of the picture in ``data`` (a whole file, or its head), ``None`` if it is none.

    A TIFF-based camera RAW file may need the whole file to be told from a plain TIFF.
    """
    for signature, kind in _SIGNATURES.items():
        if data.startswith(signature):
            return kind
    if data.startswith(_TIFF_SIGNATURES):
        is_cr2 = data[8:10] == b"CR"
        return Kind.RAW if is_cr2 or is_camera_raw(data) else Kind.TIFF
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Kind.WEBP
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return Kind.BMP
    return _sniff_boxes(data) if data[4:8] == b"ftyp" else None


def _sniff_boxes(data: bytes) -> Kind | None:
    """ISO base media files name their brands in the first box: major, version, compatible."""
    size = min(int.from_bytes(data[:4], "big"), HEAD_BYTES)
    major, others = data[8:12], {data[at : at + 4] for at in range(16, size, 4)}
    for brands in ({major}, others):
        if brands & _AVIF_BRANDS:
            return Kind.AVIF
        if brands & _HEIC_BRANDS:
            return Kind.HEIC
    return Kind.RAW if major == b"crx " else None


def unsupported_name(data: bytes) -> str | None:
    """What to call a picture that is known and yet not read, ``None`` for anything else."""
    for signature, name in _UNSUPPORTED.items():
        if data.startswith(signature):
            return name
    return "a video" if data[4:8] == b"ftyp" else None


def may_become_image(data: bytes) -> bool:
    """Whether ``data`` is the first bytes of a picture, or zeros that a copy reserved for one."""
    written = data.rstrip(b"\0")
    known = (*_SIGNATURES, *_TIFF_SIGNATURES)
    if any(signature.startswith(written) for signature in known):
        return bool(data)
    if len(written) >= 18:  # all of these are told apart by then
        return False
    box = data[:3] == b"\0\0\0" and b"ftyp".startswith(written[4:8])
    return box or any(word.startswith(written[: len(word)]) for word in (b"RIFF", b"BM"))
