"""The network run by OpenVINO: on a CPU the masks that PyTorch gives (float32: to half a level of
255), in less time.

pictures ─ pad ─ from uint8 to [0, 1] ─ network ─ probability as uint8 ─ crop ─ masks
                 └────────────── one compiled OpenVINO model ─────────┘
"""

from __future__ import annotations

import queue
import warnings
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unet_core.cores import usable_cores
from unet_core.fusion import fuse_batch_norm
from unet_core.model import UNet

if TYPE_CHECKING:
    import openvino

Pixels = NDArray[np.uint8]
PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVinoNetwork:
    """(N, h, w, 3) uint8 sRGB → (N, h, w) uint8, 255 = subject; any N, h, w ≥ 1.

    May be called from several threads: a call computes on one core, as many calls at once as
    there are cores for this process.
    """

    def __init__(self, network: UNet, dtype: torch.dtype) -> None:
        """Translates and compiles ``network``, which stays as it is, to compute in ``dtype``:
        float32 or bfloat16.

        Raises ``ImportError`` where OpenVINO is not installed, and ``RuntimeError`` where it does
        not take the network.
        """
        import openvino

        self._stride = network.config.stride
        cores = usable_cores()
        settings = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[dtype],
            "INFERENCE_NUM_THREADS": cores,
            "NUM_STREAMS": cores,
            "ENABLE_CPU_PINNING": False,  # other work shares these cores
        }
        try:
            self._compiled = openvino.Core().compile_model(translated(network), "CPU", settings)
        except Exception as error:  # of many classes of its own
            raise RuntimeError(f"OpenVINO does not take the network: {error}") from error
        self._idle: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()

    def __call__(self, pictures: Pixels) -> Pixels:
        height, width = pictures.shape[1:3]
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        masks = request.infer(pad_to_multiple(pictures, self._stride), share_inputs=True)[0]
        self._idle.put(request)  # one that failed is not used again
        return cast(Pixels, masks[:, :height, :width])


def pad_to_multiple(pictures: Pixels, multiple: int) -> Pixels:
    """(N, h, w, 3) padded right and below with the border, as the network itself would."""
    below, right = (-side % multiple for side in pictures.shape[1:3])
    if not (below or right):
        return pictures
    border = (0, below, 0, right, cv2.BORDER_REPLICATE)
    return np.stack([np.asarray(cv2.copyMakeBorder(p, *border), np.uint8) for p in pictures])


class _AsBytes(nn.Module):
    """(N, 3, H, W) in [0, 1] → (N, H, W) uint8, for sides that the network need not pad."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.network(x))[:, 0].mul(255).round().to(torch.uint8)


def translated(network: UNet) -> openvino.Model:
    """The model that :class:`OpenVinoNetwork` compiles: (N, H, W, 3) uint8 → (N, H, W) uint8, for
    sides that the stride divides. Not by ``openvino.convert_model``, which reports to its
    maker that it was called."""
    from openvino import Layout, Type
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
    from openvino.preprocess import PrePostProcessor

    stride = network.config.stride
    example = torch.zeros(1, network.config.in_channels, 2 * stride, 3 * stride)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that sides are taken for multiples of the stride: true
        traced = TorchScriptPythonDecoder(
            _AsBytes(fuse_batch_norm(network)).eval(), example_input=(example,)
        )
        frontend = FrontEndManager().load_by_framework("pytorch")
        parsed = frontend.load(traced)
        model = frontend.convert(parsed)
    process = PrePostProcessor(model)
    tensor = process.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    tensor.set_shape([-1, -1, -1, network.config.in_channels])
    process.input().model().set_layout(Layout("NCHW"))
    process.input().preprocess().convert_element_type(Type.f32).scale(255.0)
    return process.build()
