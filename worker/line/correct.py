"""A finished shoot with masks that a person has corrected: no network, no other frame's mask anew.

The other frames keep the masks and the checkpoint of their edition, so that what was looked at and
approved stays as it was; their pictures are made again only where the turn is framed anew.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

from unet_core.images import ImageError, decode
from worker.corrections.desk import Desk
from worker.errors import ShootError
from worker.line.dress import Wardrobe, dress_all, mask_file, placements, with_correction
from worker.outbox.edition import next_edition
from worker.outbox.manifest import FrameRow, Manifest, now

log = logging.getLogger(__name__)


def corrected_edition(
    edition: Manifest, desk: Desk, wardrobe: Wardrobe, *, at_once: int
) -> Manifest | None:
    """The manifest of the next edition, whose files are in the wardrobe's staging; ``None`` when
    no correction that waits can be used. ``wardrobe.masks`` is the edition's folder.

    Raises :class:`ShootError` when a frame can be neither kept nor made again, and when no photo
    that a correction waits for can be read.
    """
    started = now()
    rows = {row.name: row for row in edition.frames}
    unread: list[ImageError] = []
    taken = {row.name: row for row in _taken(edition, desk, wardrobe, unread)}
    if not taken and unread:
        raise ShootError(
            f"{edition.shoot} stays as it is: {unread[0].what}, and a correction waits for it",
            cure=unread[0].cure,
        )
    if not taken:
        return None
    preset = wardrobe.look.preset
    before = placements(rows.values(), preset)
    rows |= taken
    look = dataclasses.replace(wardrobe.look, placements=placements(rows.values(), preset))
    rest = []
    for row in (row for row in rows.values() if row.name not in taken and not row.error):
        same = row.preset == preset.digest
        same = same and before.get(row.name) == look.placements.get(row.name)
        there = (wardrobe.inbox / row.source.path).is_file()
        if (same or not there) and wardrobe.staging.adopt(row, wardrobe.masks):
            continue
        if not there:
            raise ShootError(
                f"the photo {wardrobe.inbox / row.source.path} is gone, and its frame was changed",
                cure="Put the photo back: pictures are made from the original",
            )
        rest.append(row)
    for masks, some in ((wardrobe.staging.folder, list(taken.values())), (wardrobe.masks, rest)):
        again = dataclasses.replace(wardrobe, look=look, masks=masks)
        for row in dress_all(some, again, at_once=at_once):
            rows[row.name] = row
    chosen = edition.preset.chosen
    return next_edition(edition, rows.values(), preset, chosen=chosen, started=started)


def _taken(
    edition: Manifest, desk: Desk, wardrobe: Wardrobe, unread: list[ImageError]
) -> Iterator[FrameRow]:
    """The rows whose corrections can be used, with the new masks in staging; what is wrong with
    photos that they wait for goes to ``unread``."""
    waiting = desk.waiting
    for row in edition.frames:
        path: Path = wardrobe.inbox / row.source.path
        if row.name not in waiting or row.error:
            continue
        try:
            photo = decode(path, max_pixels=wardrobe.max_pixels).on_white()
        except ImageError as error:
            log.warning("%s is not corrected: %s", row.source.path, error)
            unread.append(error)
            continue
        corrected = desk.mask_of(row.name, row.angle, photo, path)
        if corrected is None or corrected.record.source() != waiting[row.name]:
            continue
        (mask,) = mask_file(row.name, corrected.alpha).values()
        outputs = row.outputs | {"mask": wardrobe.staging.write(*mask)}
        yield with_correction(row, corrected).model_copy(update={"outputs": outputs})
