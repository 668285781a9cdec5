"""The tag directories (IFDs) in which TIFF, EXIF and most camera RAW files keep what they know.

TIFF Revision 6.0 (Adobe, 1992), section 2. Only what the image edge needs: whether a TIFF is a
camera's RAW file, how far into the file its picture reaches, and where the orientation stands.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

BITS = 258
COMPRESSION = 259
PHOTOMETRIC = 262
STRIP_OFFSETS, STRIP_SIZES = 273, 279
ORIENTATION = 274
TILE_OFFSETS, TILE_SIZES = 324, 325
SUB_DIRECTORIES = 330
THUMBNAIL_OFFSET, THUMBNAIL_SIZE = 513, 514
DNG_VERSION = 50706

_INTEGER_FORMATS = {1: "B", 3: "H", 4: "I", 13: "I"}  # field type -> struct letter
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_MOST_DIRECTORIES = 16  # a damaged file can point in circles


@dataclass(frozen=True)
class Entry:
    """One tag: where it stands in the block, its field type and its number of values."""

    at: int
    kind: int
    count: int


@dataclass(frozen=True)
class Directory:
    """One IFD: its tags, and where the pointer to the next IFD stands."""

    entries: dict[int, Entry]
    next_at: int


class TiffBlock:
    """A TIFF file, or the body of an EXIF block, in memory.

    Raises ``ValueError`` when the block has no TIFF header; every method raises ``EOFError``
    when the block points beyond its own end.
    """

    def __init__(self, data: bytes | bytearray) -> None:
        orders = {b"II*\0": "<", b"MM\0*": ">"}
        head = bytes(data[:4])
        if head not in orders:
            raise ValueError(f"no TIFF header but {head!r}")
        self.data = data
        self.order = orders[head]

    def unpack(self, form: str, at: int) -> tuple[int, ...]:
        """The integers of struct format ``form`` at byte ``at``, in the block's byte order."""
        try:
            return struct.unpack_from(self.order + form, self.data, at)
        except struct.error as error:
            raise EOFError(f"a tag at byte {at} lies beyond the end") from error

    def directory(self, at: int) -> Directory:
        """The directory that begins at byte ``at``."""
        (count,) = self.unpack("H", at)
        entries = {}
        for entry_at in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, values = self.unpack("HHI", entry_at)
            entries[tag] = Entry(entry_at, kind, values)
        return Directory(entries, at + 2 + 12 * count)

    def values(self, directory: Directory, tag: int) -> tuple[int, ...]:
        """The integers of ``tag``; empty when it is absent or of another type."""
        entry = directory.entries.get(tag)
        if entry is None or entry.kind not in _INTEGER_FORMATS:
            return ()
        if entry.count > len(self.data):
            raise EOFError(f"tag {tag} has more values than the file has bytes")
        form = f"{entry.count}{_INTEGER_FORMATS[entry.kind]}"
        at = entry.at + 8
        if struct.calcsize(self.order + form) > 4:
            (at,) = self.unpack("I", at)
        return self.unpack(form, at)

    def end(self, directory: Directory) -> int:
        """The byte after everything that ``directory`` points to, its picture data included."""
        ends = [directory.next_at + 4]
        for entry in directory.entries.values():
            size = entry.count * _TYPE_BYTES.get(entry.kind, 0)
            if size > 4:
                ends.append(self.unpack("I", entry.at + 8)[0] + size)
        for offsets, sizes in ((STRIP_OFFSETS, STRIP_SIZES), (TILE_OFFSETS, TILE_SIZES)):
            pairs = zip(
                self.values(directory, offsets), self.values(directory, sizes), strict=False
            )
            ends += [offset + size for offset, size in pairs]
        return max(ends)

    def first_directory(self) -> Directory:
        """The directory of the first page (IFD0)."""
        return self.directory(self.unpack("I", 4)[0])

    def with_sub_directories(self) -> Iterator[Directory]:
        """IFD0 and the directories below it, where RAW files keep their sensor data."""
        first = self.first_directory()
        yield first
        for at in self.values(first, SUB_DIRECTORIES)[:_MOST_DIRECTORIES]:
            yield self.directory(at)


def is_camera_raw(data: bytes) -> bool:
    """Whether this TIFF holds sensor data: what a viewer would show is only its preview.

    DNG says so in a tag; the others by a colour-filter photometric (32803), linear RAW (34892)
    or the private compressions of Sony, Samsung, Nikon and Pentax.
    """
    try:
        for directory in (block := TiffBlock(data)).with_sub_directories():
            if (
                DNG_VERSION in directory.entries
                or {32803, 34892} & set(block.values(directory, PHOTOMETRIC))
                or {32767, 32770, 34713, 65535} & set(block.values(directory, COMPRESSION))
            ):
                return True
    except (ValueError, EOFError):
        pass
    return False


def grey_levels(data: bytes) -> tuple[int, bool]:
    """Of a grey TIFF the bits of a level, and whether 0 is white: ``(16, False)`` where it is
    not said."""
    try:
        directory = (block := TiffBlock(data)).first_directory()
        bits, white_is_zero = block.values(directory, BITS), block.values(directory, PHOTOMETRIC)
    except (ValueError, EOFError):  # BigTIFF
        return 16, False
    return bits[0] if bits else 16, white_is_zero == (0,)


def reaches_beyond_end(data: bytes) -> bool:
    """Whether a directory of this TIFF, or the picture data it points to, is not all there."""
    try:
        block = TiffBlock(data)
        return any(block.end(each) > len(data) for each in block.with_sub_directories())
    except EOFError:
        return True
    except ValueError:  # BigTIFF: the decoder judges alone
        return False


def upright_exif(exif: bytes) -> bytes | None:
    """The same EXIF block with Orientation 1 and without its thumbnail; ``None`` if it is broken.

    ``exif`` begins with ``Exif\\0\\0`` or directly with the TIFF header; the answer begins with
    ``Exif\\0\\0``. Patched in place, because rewriting would move the maker note, whose inner
    offsets count from the block's start.
    """
    body = bytearray(exif.removeprefix(b"Exif\0\0"))
    try:
        block = TiffBlock(body)
        directory = block.first_directory()
        (thumbnail_directory,) = block.unpack("I", directory.next_at)
    except (ValueError, EOFError):
        return None
    orientation = directory.entries.get(ORIENTATION)
    if orientation is not None:
        struct.pack_into(block.order + "HHIHH", body, orientation.at, ORIENTATION, 3, 1, 1, 0)
    if thumbnail_directory:
        _drop_thumbnail(block, thumbnail_directory, lowest=directory.next_at + 4)
        struct.pack_into(block.order + "I", body, directory.next_at, 0)
    return b"Exif\0\0" + bytes(body)


def _drop_thumbnail(block: TiffBlock, at: int, *, lowest: int) -> None:
    body = block.data
    assert isinstance(body, bytearray)
    try:
        directory = block.directory(at)
        (start,) = block.values(directory, THUMBNAIL_OFFSET)
        (size,) = block.values(directory, THUMBNAIL_SIZE)
    except (ValueError, EOFError):
        return  # an unreadable directory: unlinking it is all that can be done
    end = min(start + size, len(body))
    if not lowest <= start < end:
        return
    if end == len(body):
        del body[start:]
    else:  # something follows, whose offset must not change
        body[start:end] = bytes(end - start)
