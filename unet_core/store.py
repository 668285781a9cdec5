"""The model store: immutable checkpoints side by side, and ``champion`` that names the one in use.

    <store>/<version>/        a checkpoint
    <store>/champion.json     {"version": …, "sha256": …}, replaced atomically
    <store>/history.jsonl     every promotion; see promotions.py

A store without a champion falls back on the checkpoint that comes with the program. Names that
begin with a dot are being written, or were left by a process that died; nobody looks at them.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from unet_core.checkpoint import (
    WEIGHTS,
    Card,
    CheckpointError,
    appears_whole,
    file_sha256,
    load_checkpoint,
    read_card,
    save_checkpoint,
    write_card,
)
from unet_core.files import sync, write_file
from unet_core.model import UNet
from unet_core.promotions import Pointer, Promotion, Promotions, succession

SHIPPED = Path(__file__).parent / "shipped"
CHAMPION, HISTORY = "champion.json", "history.jsonl"


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
        self._promotions = Promotions(folder / HISTORY)

    def versions(self) -> list[Version]:
        """Every checkpoint at hand, the shipped one included, sorted by name."""
        found = self._folders()
        return [_version(found[name]) for name in sorted(found)]

    def find(self, name: str) -> Version:
        """The checkpoint of that name; raises :class:`CheckpointError` that says what is there."""
        found = self._folders()
        if name in found:
            return _version(found[name])  # reads no other card: one damaged neighbour harms nobody
        at_hand = ", ".join(sorted(found)) or "none"
        raise CheckpointError(f"{self.folder} has no checkpoint {name!r}; at hand: {at_hand}")

    def publish(self, network: UNet, card: Card) -> Version:
        """Saves a network as version ``card.version``, whole or not at all."""
        folder = self._new(card.version)
        return Version(card.version, folder, save_checkpoint(folder, network, card).sha256)

    def add(self, folder: Path, *, name: str | None = None) -> Version:
        """Copies a checkpoint into the store, whole or not at all, once it is verified.

        Raises :class:`CheckpointError` when it does not load, or its name (``name``, or else the
        one on its card) is impossible or taken.
        """
        _, card = load_checkpoint(folder)
        card = card.model_copy(update={"version": name or card.version})
        target = self._new(card.version)
        with appears_whole(target) as part:
            shutil.copyfile(folder / WEIGHTS, part / WEIGHTS)
            if file_sha256(part / WEIGHTS) != card.sha256:
                raise CheckpointError(f"{folder} changed while it was copied; add it again")
            write_card(part, card)
        return Version(card.version, target, card.sha256)

    def champion(self) -> Version:
        """The checkpoint that workers use.

        Raises :class:`CheckpointError` when there is none, or the one named is missing or is
        not the one that was promoted.
        """
        pointer = self._pointer()
        return self._pointed_at(pointer) if pointer else self._shipped()

    def promote(self, name: str, *, reason: str = "", by: str = "") -> Version:
        """Makes a version the champion, atomically, once all of it was read and fits.

        Of several that promote at once the last one wins; the history has them all.
        """
        version = _verified(self.find(name))
        with self._promotions.locked():
            self._appoint("promotion", version, reason=reason, by=by)
        return version

    def rollback(self, *, reason: str = "", by: str = "") -> Version:
        """Makes the champion before the present one champion again; repeated, it goes further
        back, never to one that was rolled back from.

        Raises :class:`CheckpointError` when there is none before, or it no longer loads.
        """
        nothing = f"{self.folder} has no champion before the present one; promote one by its name"
        if not self.history():
            raise CheckpointError(nothing)
        with self._promotions.locked():
            line = succession(self.history(), self._present())
            if len(line) < 2:
                raise CheckpointError(nothing)
            version = _verified(self._pointed_at(line[-2]))
            self._appoint("rollback", version, reason=reason, by=by)
        return version

    def history(self) -> list[Promotion]:
        """Every promotion and rollback, oldest first."""
        return self._promotions.rows()

    def _appoint(
        self, event: Literal["promotion", "rollback"], version: Version, *, reason: str, by: str
    ) -> None:
        pointer = _pointer_to(version)
        row = Promotion(
            when=datetime.now(UTC).replace(microsecond=0),
            event=event,
            champion=pointer,
            previous=self._present(),
            reason=reason,
            by=by,
        )
        self._promotions.append(row)
        write_file(self.folder / CHAMPION, (pointer.model_dump_json() + "\n").encode())
        sync(self.folder)

    def _present(self) -> Pointer | None:
        """What is champion now, whether or not it can still be used; None if nothing says."""
        try:
            return self._pointer() or _pointer_to(self._shipped())
        except CheckpointError:
            return None

    def _pointer(self) -> Pointer | None:
        path = self.folder / CHAMPION
        try:
            return Pointer.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}; promote again") from error

    def _pointed_at(self, pointer: Pointer) -> Version:
        version = self.find(pointer.version)
        if version.sha256 != pointer.sha256:
            raise CheckpointError(
                f"{version.folder} is not the checkpoint that was promoted (its hash differs); "
                "promote it again or choose another"
            )
        return version

    def _new(self, name: str) -> Path:
        """The folder of a version to come; raises :class:`CheckpointError` if it cannot be."""
        require_name(name)
        if name in {CHAMPION, HISTORY, *self._folders()}:
            raise CheckpointError(f"{name} is taken in {self.folder}; choose another name")
        return self.folder / name

    def _shipped(self) -> Version:
        found = _folders(SHIPPED)
        if not found:
            raise CheckpointError(
                f"{self.folder} has no champion and no checkpoint came with the program; "
                "train one with scripts/train.py, or install the program again"
            )
        return _version(found[max(found)])

    def _folders(self) -> dict[str, Path]:
        return _folders(SHIPPED) | _folders(self.folder)


def require_name(name: str) -> None:
    """Raises :class:`CheckpointError` if no checkpoint may be named so."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]{0,99}", name, re.ASCII):
        raise CheckpointError(
            f"{name!r} cannot be the name of a checkpoint: use at most 100 letters, digits, "
            "and . _ + - after the first"
        )


def chosen_version(folder: Path | None) -> Version:
    """The checkpoint in ``folder``, in a store or not; without one, the one that comes along.
    Raises :class:`CheckpointError` when there is none."""
    if folder is None:
        return ModelStore(SHIPPED).champion()
    card = read_card(folder)
    return Version(card.version, folder, card.sha256)


def _folders(root: Path) -> dict[str, Path]:
    """The checkpoint folders of ``root`` by name; those still being written are left out."""
    folders = (card.parent for card in root.glob("*/card.json"))
    return {folder.name: folder for folder in folders if not folder.name.startswith(".")}


def _version(folder: Path) -> Version:
    return Version(folder.name, folder, read_card(folder).sha256)


def _verified(version: Version) -> Version:
    """The same, once its hash, architecture and every tensor were found to fit."""
    _, card = load_checkpoint(version.folder)
    return Version(version.name, version.folder, card.sha256)


def _pointer_to(version: Version) -> Pointer:
    return Pointer(version=version.name, sha256=version.sha256)
