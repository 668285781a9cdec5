"""The network in every form that was tried: what one picture costs, and how far its mask is off."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from unet_core.checkpoint import Card, load_checkpoint
from unet_core.export import export_onnx
from unet_core.fusion import can_fuse_activations, fuse_activations, fuse_batch_norm
from unet_core.images import decode
from unet_core.model import UNet
from unet_core.openvino_network import OpenVinoNetwork, pad_to_multiple, translated
from unet_core.segment import Segmenter
from unet_core.store import SHIPPED, ModelStore

Picture = NDArray[np.uint8]
Form = Callable[[], Picture]
"""One picture (1, h, w, 3) through the network: its mask (h, w) uint8."""
TRUTH = "PyTorch float32"
CALIBRATION_PHOTOS = 16
CPU = torch.device("cpu")


def network_forms(path: Path, root: Path, err: Console, *, translate: bool) -> dict[str, Form]:
    """Every form that runs here, on the photo ``path``; what does not is named on ``err``.

    Those that are compiled or translated first only where ``translate`` says so; 8-bit integers are
    calibrated on photos that lie beside ``path``.
    """
    torch.set_num_threads(1)
    network, card = load_checkpoint(ModelStore(SHIPPED).champion().folder)
    segmenter = Segmenter(network, card, CPU)
    picture = segmenter.prepare(decode(path).srgb())[None]
    beside = sorted(path.parent.glob(f"*{path.suffix}"))[:CALIBRATION_PHOTOS]
    others = [segmenter.prepare(decode(other).srgb()) for other in beside]
    forms = _pytorch(network, picture)
    makers: Sequence[Callable[[], dict[str, Form]]] = (
        lambda: _compiled(network, picture),
        lambda: _onnx_runtime(network, card, picture, root),
        lambda: _openvino(network, picture),
        lambda: _eight_bits(network, picture, others),
    )
    for maker in makers if translate else ():
        try:
            forms |= maker()
        except Exception as error:
            err.print(f"left out: {error}", markup=False)
    return forms


def one_thread(run: Callable[[], object]) -> Callable[[], float]:
    """Seconds of processor time that ``run`` takes."""

    def seconds() -> float:
        torch.set_num_threads(1)
        began = time.process_time()
        run()
        return time.process_time() - began

    return seconds


def differences(forms: Mapping[str, Form]) -> dict[str, dict[str, float]]:
    """How far each form's mask is from float32's: the largest difference in levels of 255, and how
    many pixels in a million are on the other side of one half."""
    truth = forms[TRUTH]().astype(int)
    found = {}
    for name, form in forms.items():
        mask = form().astype(int)
        found[name] = {
            "levels": float(np.abs(mask - truth).max()),
            "pixels_in_a_million": round(float(((mask > 127) != (truth > 127)).mean()) * 1e6, 1),
        }
    return found


def _pytorch(network: UNet, picture: Picture) -> dict[str, Form]:
    forms: dict[str, Form] = {}
    for dtype in (torch.float32, torch.bfloat16):
        name = f"PyTorch {str(dtype).removeprefix('torch.')}"
        apart = fuse_batch_norm(network).to(memory_format=torch.channels_last)
        forms[name] = _through(apart, picture, dtype)
        if can_fuse_activations(dtype):
            joined = fuse_activations(fuse_batch_norm(network), dtype)
            forms[f"{name}, activations joined"] = _through(joined, picture, dtype)
    return forms


def _compiled(network: UNet, picture: Picture) -> dict[str, Form]:
    compiled = torch.compile(fuse_batch_norm(network).to(memory_format=torch.channels_last))
    form = _through(compiled, picture, torch.bfloat16)
    form()  # now it is compiled
    return {"PyTorch bfloat16, torch.compile": form}


def _through(network: Any, picture: Picture, dtype: torch.dtype) -> Form:
    x = torch.from_numpy(picture).permute(0, 3, 1, 2).to(dtype).div_(255)

    @torch.inference_mode()
    def run() -> Picture:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            logits = network(x)
        return _bytes(torch.sigmoid(logits.float()).numpy())

    return run


def _onnx_runtime(network: UNet, card: Card, picture: Picture, root: Path) -> dict[str, Form]:
    import onnxruntime

    path = root / "network.onnx"
    export_onnx(network, card, path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    x = picture.transpose(0, 3, 1, 2).astype(np.float32) / 255
    return {"ONNX Runtime float32": lambda: _bytes(session.run(None, {"picture": x})[0])}


def _openvino(network: UNet, picture: Picture) -> dict[str, Form]:
    forms = {
        str(dtype).removeprefix("torch."): OpenVinoNetwork(network, dtype)
        for dtype in (torch.float32, torch.bfloat16)
    }
    return {f"OpenVINO {name}": _called(form, picture) for name, form in forms.items()}


def _called(form: Callable[[Picture], Picture], picture: Picture) -> Form:
    return lambda: form(picture)[0]


def _eight_bits(network: UNet, picture: Picture, others: Sequence[Picture]) -> dict[str, Form]:
    import nncf
    import openvino

    stride = network.config.stride
    padded = [pad_to_multiple(other[None], stride) for other in others]
    model = nncf.quantize(translated(network), nncf.Dataset(padded), subset_size=len(padded))
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    height, width = picture.shape[1:3]
    x = pad_to_multiple(picture, stride)
    return {"OpenVINO int8": lambda: np.asarray(request.infer(x)[0][0, :height, :width], np.uint8)}


def _bytes(probability: NDArray[np.float32]) -> Picture:
    return np.asarray((probability[0, 0] * 255).round(), np.uint8)
