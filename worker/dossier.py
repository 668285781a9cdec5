"""All that is known of one checkpoint: its card, how it came to be, and what it has made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from unet_core.checkpoint import CheckpointError, read_card
from unet_core.gate_page import PAGE, REPORT
from unet_core.promotions import Promotion
from unet_core.segment import Segmenter
from unet_core.store import ModelStore, Version
from worker.errors import ModelError
from worker.line.model_slot import golden_dice
from worker.outbox.manifest import MANIFEST, Manifest, read_manifest
from worker.settings import Settings
from worker.shoots import counted


def dossier(settings: Settings, name: str) -> dict[str, Any]:
    """What ``cyclorama models show`` tells of the checkpoint ``name``, as JSON has it.

    Reads every manifest in the outbox, and puts the golden image through the network.
    Raises :class:`ModelError` when there is no such checkpoint, or its card cannot be read.
    """
    store = ModelStore(settings.model_store)
    try:
        version = store.find(name)
        card = read_card(version.folder)
        champion, history = _champion(store), store.history()
    except CheckpointError as error:
        raise ModelError(str(error)) from error
    return {
        "version": version.name,
        "champion": champion == version.sha256,
        "folder": str(version.folder),
        "card": card.model_dump(mode="json"),
        "history": [row.model_dump(mode="json") for row in history if _is_about(row, name)],
        "night": _night(settings.state / "retraining" / name),
        "shoots": _made(settings.outbox, version.sha256),
        "golden": _golden(version),
    }


def lines(found: dict[str, Any]) -> list[str]:
    """A dossier for a person."""
    card, shoots, golden, night = (found[key] for key in ("card", "shoots", "golden", "night"))
    network = ", ".join(f"{key} {value}" for key, value in card["network"].items())
    recipe, sight = card["recipe"], card["squash_px"] or card["long_side_px"]
    told = [
        f"{found['version']}{', the champion' if found['champion'] else ''}: {found['folder']}",
        f"sha256    {card['sha256']}",
        f"parent    {card['parent'] or 'none: trained from the start, or not said'}",
        f"network   {network}; sees {sight} px",
        f"data      {card['data'] or 'not said'}",
        f"recipe    {recipe.get('command') or recipe.get('imported') or 'not said'}",
        f"figures   {card['measured_on'] or 'none on the card'}",
    ]
    told += [f"  {name:<28} {value:g}" for name, value in card["metrics"].items()]
    told += [
        f"history   {row['when']}  {row['event']} of {row['champion']['version']} by {row['by']}  "
        f"{row['reason']}".rstrip()
        for row in found["history"]
    ] or ["history   never promoted here"]
    if night:
        told.append(f"night     {night['outcome']}: {night['reason']} ({night['report']})")
    told.append(f"golden    {golden['error'] or 'Dice {:.4f}'.format(golden['dice'])}")
    told.append(
        f"made      {counted(shoots['frames'], 'frame')} of {counted(shoots['count'], 'shoot')} "
        f"in the outbox, {shoots['corrected']} corrected since"
    )
    told += [f"  {one['shoot']:<28} {one['finished']}" for one in shoots["latest"]]
    return told


def _champion(store: ModelStore) -> str | None:
    try:
        return store.champion().sha256
    except CheckpointError:
        return None  # that the champion is damaged is no reason to hide another one


def _is_about(row: Promotion, name: str) -> bool:
    return name in (row.champion.version, row.previous.version if row.previous else None)


def _night(folder: Path) -> dict[str, str] | None:
    """How the night ended in which the checkpoint was trained, if its report is still there."""
    try:
        report = json.loads((folder / REPORT).read_bytes())
        return {
            "outcome": str(report["outcome"]),
            "reason": str(report["reason"]),
            "report": str(folder / PAGE),
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _made(outbox: Path, sha256: str) -> dict[str, Any]:
    """Frames that the network masked, in shoots that are in the outbox now; latest first."""
    found, frames, corrected = [], 0, 0
    for manifest in _manifests(outbox):
        rows = [row for row in manifest.frames if row.checkpoint == sha256 and not row.error]
        own = [row for row in rows if row.mask == "network"]
        if not rows:
            continue
        found.append((manifest.finished, manifest.shoot))
        frames, corrected = frames + len(own), corrected + len(rows) - len(own)
    latest = sorted(found, reverse=True)[:10]
    return {
        "count": len(found),
        "frames": frames,
        "corrected": corrected,
        "latest": [{"shoot": shoot, "finished": finished} for finished, shoot in latest],
    }


def _manifests(outbox: Path) -> Iterator[Manifest]:
    for path in (*outbox.glob(f"*/{MANIFEST}"), *outbox.glob(f".held/*/{MANIFEST}")):
        if not path.parent.name.startswith(".") and (manifest := read_manifest(path.parent)):
            yield manifest


def _golden(version: Version) -> dict[str, Any]:
    """The Dice of the golden image, as the gate of a night measures it, or why there is none."""
    try:
        network = Segmenter.load(version, torch.device("cpu"))
        return {"dice": round(golden_dice(network), 5), "error": None}
    except (CheckpointError, RuntimeError) as error:
        return {"dice": None, "error": str(error)}
