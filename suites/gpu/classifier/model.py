"""A classifier of ten photographs: ResNet-50 with random weights, and a head fitted to them.

The convolutions are random and seeded; no training is needed. Batch norms take their statistics
from calibration crops, so that activations have the ranges of a trained network. The head is a
ridge regression on the features of these crops: random features are good enough for calls that mean
something, so that a precision that harms the network shows in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from suites.gpu.classifier import resnet
from suites.gpu.classifier.data import CLASSES, calibration

if TYPE_CHECKING:
    from pytest_perfgate.tasks.classification.data import ClassificationData

_SIDE = 112  # of the crops that statistics are of: a quarter of the work
_BRANCH = 0.3  # weight of a block's branch beside its shortcut: features keep what images differ by
_RIDGE = 0.01  # of the mean square of the features
_SHARPNESS = 10.0  # of the logits, of which the regression's targets are a tenth


def build() -> nn.Module:
    """The network in eval mode: float32 (N, 3, H, W) in [0, 1] to logits (N, 10)."""
    network = resnet.build(len(CLASSES))
    images, labels = _examples(calibration())
    with torch.no_grad():
        _weaken_branches(network)
        _set_statistics(network, images)
        _set_head(cast(nn.Linear, network[-1]), network[:-1](images), labels)
    return network


def _examples(data: ClassificationData) -> tuple[Tensor, Tensor]:
    """Every fourth crop at half its side, float32 (20, 3, 112, 112), and its class, int64 (20,)."""
    chosen = np.stack(data.images[::4])
    images = torch.from_numpy(chosen).permute(0, 3, 1, 2).float() / 255.0
    small = nn.functional.interpolate(images, size=(_SIDE, _SIDE), mode="area")
    return small, torch.tensor(data.labels[::4])


def _weaken_branches(network: nn.Module) -> None:
    for block in network.modules():
        if isinstance(block, resnet.Bottleneck):
            nn.init.constant_(block.last_norm.weight, _BRANCH)


def _set_statistics(network: nn.Module, images: Tensor) -> None:
    """Gives every batch norm the mean and variance of its inputs for these images."""
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # the running statistics become those of the one batch
    network.train()(images)
    network.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _set_head(head: nn.Linear, features: Tensor, labels: Tensor) -> None:
    """Fits the layer to features (N, F) by ridge regression on their classes, in the dual form
    (Hastie et al. 2009, "The Elements of Statistical Learning", 18.3.5): N is smaller than F.
    """
    centre = features.mean(0)
    rows = features - centre
    products = rows @ rows.T
    ridge = _RIDGE * products.diagonal().mean() * torch.eye(len(rows))
    targets = nn.functional.one_hot(labels, len(CLASSES)) - 1 / len(CLASSES)
    weights = _SHARPNESS * (rows.T @ torch.linalg.solve(products + ridge, targets)).T
    head.weight.copy_(weights)
    head.bias.copy_(-weights @ centre)
