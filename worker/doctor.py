"""Is this machine ready? What is right, what is wrong, and what to do about it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from worker.courier.word import buckets
from worker.crew import gpus
from worker.errors import BrokerError, CycloramaError, ModelError
from worker.finish.presets import load_preset
from worker.outbox.places import Places
from worker.queue.app import connect
from worker.queue.broker import broker_of, redis_binary
from worker.queue.roster import missing_workers, workers
from worker.settings import Settings
from worker.webhook.receiver import receiver_of


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    good: bool
    detail: str
    """What was found; for a bad finding, with the cure."""


def examine(settings: Settings) -> Iterator[Finding]:
    """Looks at one thing after another; nothing is raised."""
    checks: dict[str, Callable[[Settings], str]] = {
        "Python": _python,
        "folders": _folders,
        "buckets": _buckets,
        "Redis": _redis,
        "preset": _preset,
        "device": _device,
        "checkpoint": _checkpoint,
        "photo formats": _formats,
        "workers": _workers,
        "webhook": _webhook,
        "nights": _nights,
    }
    for what, check in checks.items():
        try:
            yield Finding(what, True, check(settings))
        except CycloramaError as error:
            yield Finding(what, False, str(error))
        except ImportError as error:
            yield Finding(what, False, f"{error}; install the program again")
        except RuntimeError as error:  # of a device
            yield Finding(what, False, str(error).splitlines()[0])


def _python(settings: Settings) -> str:
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}"


def _folders(settings: Settings) -> str:
    Places(settings.inbox, settings.outbox).check()
    return f"inbox {settings.inbox}, outbox {settings.outbox} (can be written)"


def _buckets(settings: Settings) -> str:
    from worker.courier.rounds import OUTBOX, PROBE, Courier

    if not buckets(settings):
        return "none is set"
    courier = Courier(settings)
    for route in courier.routes:
        route.bucket.listing(PROBE)  # nothing, but a bucket that is not there tells
        if route.name == OUTBOX:
            route.bucket.put(b"", PROBE)
            route.bucket.remove(PROBE)
    return ", ".join(f"{route.name} {route.bucket.url}" for route in courier.routes) + " answer"


def _redis(settings: Settings) -> str:
    if settings.broker_url:
        connect(settings.broker_url)
        return "the shared Redis answers"
    return f"embedded, {redis_binary()}"


def _preset(settings: Settings) -> str:
    preset = load_preset(settings.preset, folders=[settings.presets])
    return f"{preset.name}, {preset.frames} frames a shoot"


def _device(settings: Settings) -> str:
    import torch

    from unet_core.cores import usable_cores
    from unet_core.devices import inference_dtype
    from worker.line.service import load_device

    device = load_device(settings)
    if (device.type, settings.device, settings.runtime) == ("cpu", "auto", "torch") and gpus():
        raise ModelError(
            f"there is an NVIDIA GPU, and torch {torch.__version__} (CUDA "
            f"{torch.version.cuda or 'none'}) cannot compute on it: the processor does",
            cure="Update its driver or install a torch that fits it; or set CYCLORAMA_DEVICE=cpu "
            "to do without",
        )
    kind = str(inference_dtype(device)).removeprefix("torch.")
    name = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"{usable_cores()} cores"
    )
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    said = f"{device} ({name}, {kind}); torch {torch.__version__}, built with {build}"
    if settings.runtime == "openvino":
        import openvino

        said += f"; the network runs by OpenVINO {openvino.__version__}"
    return said


def _checkpoint(settings: Settings) -> str:
    from worker.line.service import load_slot

    slot = load_slot(settings)
    card, dice = slot.current.card, slot.current.card.metrics.get("dice_mean")
    measured = "" if dice is None else f", Dice {dice:.4f} ({card.measured_on})"
    return f"{card.version}{measured}, {slot.skill:.4f} on the golden picture"


def _nights(settings: Settings) -> str:
    from worker.queue.nights import next_due  # loads Celery

    if not settings.retrain_cron:
        return "no retraining is set"
    due = next_due(settings.retrain_cron, datetime.now().astimezone())
    return f"the next retraining is due on {due:%Y-%m-%d at %H:%M}"


def _workers(settings: Settings) -> str:
    url = broker_of(settings)
    try:
        redis = connect(url)
    except BrokerError:
        return "none is at work now"
    signs, missing = workers(redis), missing_workers(redis)
    troubles = [f"{sign.name}: {sign.trouble}" for sign in signs if sign.trouble]
    troubles += [f"{name}: no sign of life for {s:.0f} s" for name, s in missing.items()]
    if troubles:
        raise BrokerError(
            "; ".join(troubles),
            cure="Look at its log, and start it again if it does not come back by itself",
        )
    return f"{len(signs)} at work" if signs else "none is at work now"


def _formats(settings: Settings) -> str:
    import importlib.util

    extras = {"pillow_heif": "pillow-heif", "rawpy": "rawpy"}
    missing = [name for module, name in extras.items() if not importlib.util.find_spec(module)]
    if not missing:
        return "JPEG, PNG, TIFF, WebP, HEIC, camera RAW"
    command = f"{sys.executable} -m pip install {' '.join(missing)}"
    return f"JPEG, PNG, TIFF, WebP (HEIC and camera RAW with: {command})"


def _webhook(settings: Settings) -> str:
    receiver = receiver_of(settings)
    return f"signed, to {receiver.host}" if receiver else "none is set"
