"""The model store from the command line: in, out, promoted, rolled back."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from unet_core.checkpoint import Card, load_checkpoint, read_card, save_checkpoint
from unet_core.model import UNet
from unet_core.store import SHIPPED, ModelStore
from worker.cli import app
from worker.errors import ModelError

STORE = Path(".cyclorama/models")
OURS = ModelStore(SHIPPED).champion().name


@pytest.fixture(autouse=True)
def folder(no_settings: Path) -> Path:
    """An empty working folder with ``unet.pth``, a small classic network."""
    torch.manual_seed(0)
    torch.save(UNet(width=4, depth=2).state_dict(), no_settings / "unet.pth")
    return no_settings


def run(*arguments: str) -> str:
    """What ``cyclorama models …`` prints; its errors are raised."""
    done = CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def read(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_a_plain_file_is_taken_in_put_to_use_and_taken_back() -> None:
    said = run("import", "unet.pth", "--name", "mine", "--data-note", "our own shoots")
    assert "mine is in the store; it sees pictures squashed to 512x512" in said
    assert "cyclorama models promote mine" in said
    assert read()[0]["version"] == "mine" and not read()[0]["champion"]

    with pytest.raises(ModelError, match=r"golden picture with Dice 0\.\d+.*--force"):
        run("promote", "mine")
    assert "mine is the champion" in run("promote", "mine", "--reason", "a try", "--force")
    assert [row["version"] for row in read("list") if row["champion"]] == ["mine"]
    assert "* mine" in run()
    assert f"{OURS} is the champion again" in run("rollback")

    there, back = read("history")
    assert (there["event"], there["champion"]["version"], there["reason"]) == (
        "promotion", "mine", "a try",
    )  # fmt: skip
    assert there["by"].startswith(f"{getpass.getuser()}@")
    assert (back["event"], back["previous"]["version"]) == ("rollback", "mine")
    assert f"rollback  {OURS} (before: mine)" in run("history")


def test_the_card_of_an_imported_file_says_what_was_told() -> None:
    row = read("import", "unet.pth", "--squash", "320x192", "--data-note", "our own shoots")
    network, card = load_checkpoint(STORE / "unet")
    assert (card.version, card.squash_px, card.data) == ("unet", (192, 320), "our own shoots")
    assert card.recipe["imported"] == "unet.pth" and len(card.recipe["sha256"]) == 64
    assert row["network"] == card.network
    expected = torch.load("unet.pth", weights_only=True)
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected[name].half().float())

    run("import", "unet.pth", "--name", "long", "--long-side", "960")
    assert (read_card(STORE / "long").squash_px, read_card(STORE / "long").long_side_px) == (
        None, 960,
    )  # fmt: skip


def test_a_checkpoints_folder_is_taken_in_with_its_card() -> None:
    save_checkpoint(Path("usb/v7"), UNet(width=4, depth=1), Card(version="v7", long_side_px=96))
    assert "at most 96 px long" in run("import", "usb/v7")
    run("import", "usb/v7", "--name", "seven")
    assert [row["version"] for row in read()] == ["seven", OURS, "v7"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["import", "nowhere.pth"], r"nowhere\.pth cannot be read.*give a \.pth file"),
        (["import", "unet.pth", "--name", OURS], f"{OURS} is taken in .*another name"),
        (["import", "unet.pth", "--name", "a/b"], "'a/b' cannot be the name"),
        (["import", "unet.pth", "--squash", "512"], "--squash 512 is no size.*512x512"),
        (["import", "unet.pth", "--squash", "9x9"], "--squash 9x9 is no size"),
        (["import", "unet.pth", "--squash", "64x64", "--long-side", "64"], "contradict"),
        (["import", "unet.pth", "--fold", "2"], r"unet\.pth .*do not go with a fold of 2"),
        (["import", "."], r"no checkpoint: it has no card\.json"),
        (["import", ".", "--squash", "64x64"], "its card says how it sees.*Leave out"),
        (["promote", "ghost"], f"no checkpoint 'ghost'; at hand: {OURS}"),
        (["rollback"], "no champion before the present one"),
        (["export", "ghost", "x.onnx"], "no checkpoint 'ghost'"),
        (["export", OURS, "unet.pth"], r"unet\.pth is there already"),
    ],
)
def test_what_cannot_be_done_is_told_and_leaves_the_store_as_it_was(
    arguments: list[str], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        run(*arguments)
    assert not list(STORE.rglob("*"))


def test_a_checkpoint_that_the_line_cannot_use_is_taken_in_but_not_promoted() -> None:
    torch.save(UNet(3, 10, width=4, depth=1).state_dict(), "ten.pth")
    run("import", "ten.pth")
    with pytest.raises(ModelError, match=r"ten: the line needs a network from RGB to one mask"):
        run("promote", "ten")
    assert read("history") == []


def test_a_store_that_cannot_be_written_is_told() -> None:
    STORE.parent.mkdir()
    STORE.write_text("a file")
    with pytest.raises(ModelError, match=r"models cannot be used: .*it can be written"):
        run("import", "unet.pth")


def test_an_exported_file_is_an_onnx_model() -> None:
    import onnx

    run("import", "unet.pth")
    assert "unet is in out/unet.onnx" in run("export", "unet", "out/unet.onnx")
    model = onnx.load("out/unet.onnx")
    onnx.checker.check_model(model)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert said["sha256"] == read_card(STORE / "unet").sha256


def test_a_refusal_is_one_line_on_standard_error_and_exit_code_2(folder: Path) -> None:
    Path("unet.pth").write_bytes(b"cos\nsystem\n(S'touch it-ran'\ntR.")
    command = [sys.executable, "-m", "worker.cli", "models", "import", "unet.pth"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: unet.pth is no plain state dict")
    assert not (folder / "it-ran").exists()


def test_help_imports_no_torch() -> None:
    code = (
        "import sys, worker.cli\n"
        "try: worker.cli.app(['models', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
