"""The holdout list: the cars that no training ever sees, written once.

    # what the file is for
    car_a
    car_b

Once the file is there it is the truth, whatever cars come and go: a score on these cars stays
comparable from checkpoint to checkpoint. A car that arrives later is trained on, unless a person
adds it to the list before.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from unet_core.data import DataError, Pair, is_holdout, lot

HOLDOUT_FILE = "holdout.txt"
TRAINED_ON = "trained_on"
"""Of a card's recipe: the cars that its network, and those that it comes from, have seen."""

_HEADER = """\
# Cars that no training ever sees: checkpoints are measured on them. One car a line.
# Written once and never again by the program. Add a car here before it is first trained on;
# take none out: a checkpoint that was trained on a car cannot be measured on it.
"""


def read_or_write_holdout(path: Path, cars: Iterable[str]) -> frozenset[str]:
    """The cars in the list at ``path``; where there is none yet, it is written first.

    Then it takes those of ``cars`` that :func:`is_holdout` names, and the one with the smallest
    lot where it names none of several. Two programs that write at once end with the same list.
    Raises :class:`DataError` when the list can be neither read nor written.
    """
    if not path.exists():
        chosen = _chosen(sorted(set(cars)))
        if odd := [car for car in chosen if _names(car) != [car]]:
            raise DataError(f"{path} cannot hold the car name {odd[0]!r}; rename its pictures")
        _write_once(path, chosen)
    return read_holdout(path)


def read_holdout(path: Path) -> frozenset[str]:
    """The cars in the list at ``path``; empty lines and lines that begin with ``# `` are passed
    over. Raises :class:`DataError` when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise DataError(
            f"{path}, the list of cars to keep out of training, cannot be read "
            f"({error.strerror}); bring it back from a backup"
        ) from error
    return frozenset(_names(text))


def require_apart(training: Sequence[Pair], holdout: Collection[str]) -> None:
    """Raises :class:`DataError` when a car of the list is among the pictures to train on.

    Rendered pictures may be: their cars are not those that the list means.
    """
    leaks = sorted({pair.car for pair in training if not pair.rendered} & set(holdout))
    if leaks:
        raise DataError(
            f"{len(leaks)} cars of the holdout list are among the pictures to train on, first "
            f"{', '.join(leaks[:5])}; split the pictures by the list before training"
        )


def _chosen(cars: list[str]) -> list[str]:
    chosen = [car for car in cars if is_holdout(car)]
    # The list stays for good: it must not stay empty because the first few cars drew badly.
    return chosen or ([min(cars, key=lot)] if len(cars) > 1 else [])


def _names(text: str) -> list[str]:
    names = (line.strip() for line in text.splitlines())
    return [name for name in names if name and name != "#" and not name.startswith("# ")]


def _write_once(path: Path, cars: list[str]) -> None:
    """Writes the list whole, and leaves one that appeared meanwhile as it is."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8", errors="surrogateescape") as handle:
            handle.write(_HEADER + "".join(f"{car}\n" for car in cars))
            handle.flush()
            os.fsync(handle.fileno())
        try:
            os.link(part, path)  # unlike a rename, it never replaces
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            part.replace(path)
    except OSError as error:
        raise DataError(
            f"{path}, the list of cars to keep out of training, cannot be written "
            f"({error.strerror}); give it a folder that this program may write to"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()
