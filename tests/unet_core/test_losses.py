"""The loss: near zero when right, finite when extreme, and heavier where edges run."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.carvana import disc
from unet_core.losses import segmentation_loss, soft_dice_loss

TARGET = (torch.from_numpy(disc(48, 48, centre=(24, 24), radius=13))[None, None] / 255).round()


def logits_of(target: Tensor, strength: float = 20.0) -> Tensor:
    return (target * 2 - 1) * strength


def test_a_perfect_prediction_costs_nearly_nothing_and_its_opposite_much() -> None:
    assert float(segmentation_loss(logits_of(TARGET), TARGET)) < 1e-4
    assert float(segmentation_loss(logits_of(1 - TARGET), TARGET)) > 10


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_perfect_prediction_of_all_or_nothing_costs_nearly_nothing(value: float) -> None:
    target = torch.full((2, 1, 16, 16), value)

    assert float(segmentation_loss(logits_of(target), target)) < 1e-4


@pytest.mark.parametrize("strength", [1e4, -1e4, 1e30, -1e30])
def test_extreme_logits_have_finite_loss_and_gradients(strength: float) -> None:
    logits = logits_of(TARGET, strength).requires_grad_()

    loss = segmentation_loss(logits, TARGET)
    loss.backward()

    assert loss.isfinite()
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_the_gradient_pulls_every_pixel_towards_its_target() -> None:
    logits = torch.zeros_like(TARGET, requires_grad=True)

    segmentation_loss(logits, TARGET).backward()

    assert logits.grad is not None
    assert torch.equal(logits.grad < 0, TARGET > 0.5)


def test_a_mistake_at_the_edge_costs_more_than_one_in_the_open() -> None:
    def cost(y: int, x: int, edge_weight: float) -> float:
        logits = logits_of(TARGET, 6)
        logits[0, 0, y, x] *= -1
        return float(segmentation_loss(logits, TARGET, edge_weight=edge_weight))

    # Both pixels are background: (24, 9) two pixels from the disc's edge, (3, 3) far away.
    assert float(TARGET[0, 0, 24, 9]) == float(TARGET[0, 0, 3, 3]) == 0
    assert cost(24, 9, 4.0) > 2 * cost(3, 3, 4.0)
    assert cost(24, 9, 0.0) == pytest.approx(cost(3, 3, 0.0))


def test_the_edge_band_is_three_pixels_wide_on_either_side() -> None:
    target = torch.zeros(1, 1, 1, 24)
    target[..., 12:] = 1
    logits = torch.zeros_like(target, requires_grad=True)

    heavy = segmentation_loss(logits, target, edge_weight=9.0) - soft_dice_loss(logits, target)
    heavy.backward()

    assert logits.grad is not None
    pull = logits.grad[0, 0, 0].abs()
    assert (pull > 5 * pull.min()).nonzero().flatten().tolist() == list(range(9, 15))


def test_soft_dice_is_the_formula_averaged_over_the_batch() -> None:
    probability = torch.tensor([[0.9, 0.2], [0.5, 0.5]]).reshape(2, 1, 1, 2)
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).reshape(2, 1, 1, 2)
    first = 1 - (2 * 0.9 + 1) / (0.81 + 0.04 + 1 + 1)
    second = 1 - (2 * 0.5 + 1) / (0.25 + 0.25 + 1 + 1)

    loss = soft_dice_loss(torch.logit(probability), target)

    assert float(loss) == pytest.approx((first + second) / 2, abs=1e-6)


def test_a_soft_target_is_best_met_by_its_own_value() -> None:
    target = torch.full((1, 1, 8, 8), 0.3)
    losses = {
        p: float(segmentation_loss(torch.logit(torch.full_like(target, p)), target))
        for p in (0.1, 0.2, 0.3, 0.4, 0.6)
    }

    assert min(losses, key=losses.__getitem__) == 0.3
