"""The line in one go, for a first look: renders a shoot (or takes photos), runs it, says what
to open. Everything lies in .demo/; started by scripts/demo."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from unet_core.booth import Booth, write_shoot
from unet_core.suffixes import PHOTO_SUFFIXES
from worker.shoots import PLATE

console = Console()
ROOT = Path(__file__).resolve().parent.parent / ".demo"


def main() -> int:
    """Exit code of the line: 0 when every frame is done, 1 when one failed, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("photos", nargs="*", type=Path, help="folders or files of your own")
    parser.add_argument("--preset", help="name of a preset or a .toml file")
    parser.add_argument("--seed", type=int, default=15, help="which car is rendered")
    parser.add_argument("--width", type=int, default=960, help="of rendered photos, in pixels")
    options = parser.parse_args()
    name = f"rendered-{options.seed}-{options.width}"
    if options.photos:  # a folder for each choice of photos
        chosen = "\n".join(str(path.resolve()) for path in options.photos)
        name = f"own-{hashlib.sha256(chosen.encode()).hexdigest()[:8]}"
    inbox, outbox = ROOT / name / "inbox", ROOT / name / "outbox"
    if options.photos:
        if missing := [path for path in options.photos if not path.exists()]:
            console.print(f"{missing[0]} is not there", style="red")
            return 2
        if not take_over(options.photos, inbox):
            console.print("No photo was found there (JPEG, PNG, TIFF, WebP)", style="red")
            return 2
    else:
        render(inbox / f"car-{options.seed}", seed=options.seed, width=options.width)
    command = [sys.executable, "-m", "worker.cli", "run", "--once"]
    command += ["--inbox", str(inbox), "--outbox", str(outbox)]
    command += ["--preset", options.preset] if options.preset else []
    console.print(f"Running: cyclorama {' '.join(command[3:])}", soft_wrap=True)
    code = subprocess.run(command, env=environment(), check=False).returncode
    tell(inbox, outbox)
    return code


def render(folder: Path, *, seed: int, width: int) -> None:
    """A rendered shoot of 16 angles, unless it is there from last time."""
    booth = Booth(seed=seed, width=width, height=width * 2 // 3)
    if len(list(folder.glob("*.jpg"))) == booth.angles:
        console.print(f"The rendered shoot is there from last time: {folder}")
        return
    console.print(f"Rendering a car from {booth.angles} angles …")
    part = folder.with_name(f".{folder.name}")  # the line passes over dot folders
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with Progress(console=console) as bar:
        task = bar.add_task("rendering", total=booth.angles)
        write_shoot(booth, part, name=folder.name, on_frame=lambda *_: bar.advance(task))
    part.rename(folder)


def take_over(paths: list[Path], inbox: Path) -> int:
    """Copies photos into the inbox and says how many: a folder of photos as a shoot, a folder of
    such folders as several, loose files as they are."""
    count = 0
    taken: dict[Path, Path] = {}
    for path in paths:
        if path.is_file():
            car = re.sub(r"(?<=.)_\d{1,4}$", "", path.stem)
            shoot = own(inbox / car, path.parent, taken)
            copy(path, shoot.with_name(shoot.name + path.name.removeprefix(car)))
            count += 1
            continue
        for folder in [path, *sorted(p for p in path.iterdir() if p.is_dir())]:
            photos = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
            if not photos:
                continue
            console.print(f"Copying {len(photos)} photos of {folder}", soft_wrap=True)
            shoot = own(inbox / folder.resolve().name, folder, taken)
            for photo in photos:
                copy(photo, shoot / photo.name)
            count += len(photos)
    return count


def own(shoot: Path, folder: Path, taken: dict[Path, Path]) -> Path:
    """The shoot, numbered where photos of another folder have its name; notes it in ``taken``."""
    if shoot.name == PLATE:  # under another name it would be a car
        return shoot
    free, number = shoot, 1
    while taken.setdefault(free, folder.resolve()) != folder.resolve():
        number += 1
        free = shoot.with_name(f"{shoot.name}-{number}")
    return free


def copy(photo: Path, target: Path) -> None:
    """Copies a photo with its times, so that an unchanged one is not done again."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(photo, target)


def environment() -> dict[str, str]:
    """Ours, with a state folder of the demo's own."""
    return os.environ | {"CYCLORAMA_STATE": str(ROOT / "state")}


def tell(inbox: Path, outbox: Path) -> None:
    """What to open."""
    console.print(f"\nPhotos:   {inbox}\nFinished: {outbox}\n\nOpen:", soft_wrap=True)
    for shoot in sorted(path.parent for path in outbox.glob("*/manifest.json")):
        console.print(
            f"  {shoot / 'spin.html'}  (drag to turn the car)",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        console.print(
            f"  {shoot / 'contact-sheet.jpg'}", markup=False, highlight=False, soft_wrap=True
        )


if __name__ == "__main__":
    sys.exit(main())
