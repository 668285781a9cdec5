"""The model store: immutable checkpoints side by side, and ``champion`` that names the one in use.

    <store>/<version>/        a checkpoint
    <store>/champion.json     {"version": …, "sha256": …}, replaced atomically

A store without a champion falls back on the checkpoint that comes with the program.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from unet_core.checkpoint import CheckpointError, read_card

SHIPPED = Path(__file__).parent / "shipped"
CHAMPION = "champion.json"


@dataclass(frozen=True)
class Version:
    """One checkpoint of a store."""

    name: str
    folder: Path
    sha256: str


class ModelStore:
    """The folder of checkpoints; it need not exist as long as the shipped checkpoint will do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def versions(self) -> list[Version]:
        """Every checkpoint at hand, the shipped one included, sorted by name."""
        found = _folders(SHIPPED) | _folders(self.folder)
        return [_version(found[name]) for name in sorted(found)]

    def champion(self) -> Version:
        """The checkpoint that workers use.

        Raises :class:`CheckpointError` when there is none, or the one named is missing or is
        not the one that was promoted.
        """
        try:
            named = json.loads((self.folder / CHAMPION).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return self._shipped()
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.folder / CHAMPION} cannot be read: {error}") from error
        if not isinstance(named, dict):
            raise CheckpointError(
                f"{self.folder / CHAMPION} cannot be read: it holds no JSON object; promote again"
            )
        version = self._find(str(named.get("version")))
        if version.sha256 != named.get("sha256"):
            raise CheckpointError(
                f"{version.folder} is not the checkpoint that was promoted (its hash differs); "
                "promote it again or choose another"
            )
        return version

    def promote(self, name: str) -> Version:
        """Makes a version of the store the champion, atomically."""
        version = self._find(name)
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f".{CHAMPION}.{os.getpid()}.part"
        with part.open("w", encoding="utf-8") as handle:
            json.dump({"version": version.name, "sha256": version.sha256}, handle)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(self.folder / CHAMPION)
        return version

    def _find(self, name: str) -> Version:
        found = _folders(SHIPPED) | _folders(self.folder)
        if name in found:
            return _version(found[name])  # reads no other card: one damaged neighbour harms nobody
        at_hand = ", ".join(sorted(found)) or "none"
        raise CheckpointError(f"{self.folder} has no checkpoint {name!r}; at hand: {at_hand}")

    def _shipped(self) -> Version:
        found = _folders(SHIPPED)
        if not found:
            raise CheckpointError(
                f"{self.folder} has no champion and no checkpoint came with the program; "
                "train one with scripts/train.py, or install the program again"
            )
        return _version(found[max(found)])


def _folders(root: Path) -> dict[str, Path]:
    """The checkpoint folders of ``root`` by name; those still being written are left out."""
    folders = (card.parent for card in root.glob("*/card.json"))
    return {folder.name: folder for folder in folders if not folder.name.startswith(".")}


def _version(folder: Path) -> Version:
    return Version(folder.name, folder, read_card(folder).sha256)
