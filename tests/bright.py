"""A network that is good at the tests' pictures without any training."""

from __future__ import annotations

import torch

from unet_core.model import UNet


def bright_network(*, threshold: float = 0.45) -> UNet:
    """By its weights alone it takes for subject what is brighter than ``threshold`` (0 to 1), as
    the discs of ``tests.carvana`` are; above 1 it sees nothing."""
    network = UNet(width=2, depth=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        first = network.get_submodule("down_convolution_1.conv.conv_op")
        last = network.get_submodule("up_convolution_1.conv.conv_op")
        first[0].weight[0, :, 1, 1] = 1 / 3
        first[2].weight[0, 0, 1, 1] = 1
        last[0].weight[0, 2, 1, 1] = 1  # the skip comes behind the 2 channels from below
        last[2].weight[0, 0, 1, 1] = 1
        network.out.weight[0, 0] = 40
        network.out.bias[0] = -40 * threshold
    return network
