"""How the names of photos end. Imports no decoder: whoever only lists a folder needs none."""

from __future__ import annotations

from importlib.util import find_spec

_RAW_SUFFIXES = (
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .kdc .mef .mos .mrw .nef .nrw .orf "
    ".pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f"
)

PHOTO_SUFFIXES: frozenset[str] = frozenset(
    f".jpg .jpeg .jpe .jfif .png .tif .tiff .webp .heic .heif .hif {_RAW_SUFFIXES}".split()
    + ([".avif"] if find_spec("PIL._avif") else [])
)
"""Every suffix that counts as a photo: lower case, with its dot, as ``Path.suffix`` gives it."""
