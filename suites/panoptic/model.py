"""A panoptic network: a kernel for each thing and for each kind of stuff, over one map of features.

A thing's kernel is read where its heat map has a peak (Li et al. 2021, "Fully Convolutional
Networks for Panoptic Segmentation"; Zhou et al. 2019, "Objects as Points"). The outputs are those
of MaskFormer: class logits and mask logits of queries.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from suites.digits.model import conv, separable
from suites.segments.model import STRIDE, Segmenter

THINGS, STUFF = 10, 3
PEAKS = 8
"""Queries for things."""

DEPTH = 24
"""Length of a kernel."""

WEIGHTS = Path(__file__).parent / "weights.safetensors"

_NEVER = -20.0  # the logit of a class that a query is never of
_LEAST, _STEEP = 0.06, 60.0  # share of an image from which on stuff is there, and logits for each


class Raw(NamedTuple):
    """What the heads say of images (N, 3, H, W): h and w are a quarter of H and W.

    Attributes:
        heat: logits (N, THINGS, h, w) of a thing's middle.
        kernels: (N, DEPTH, h, w), of a thing whose middle is there.
        narrow: (N, 2, h, w), down and across: how fast its mask fades, before `softplus`.
        presence: logits (N, STUFF), of an auxiliary loss.
        features: (N, DEPTH, H / 2, W / 2).
    """

    heat: Tensor
    kernels: Tensor
    narrow: Tensor
    presence: Tensor
    features: Tensor


class PanopticSegmenter(nn.Module):
    """The network. In: float32 (N, 3, H, W) RGB in [0, 1], H and W multiples of 32."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.segmenter = Segmenter(width)
        self.segmenter.head = nn.Sequential()  # its features are used, not its logits
        self.heat = nn.Sequential(separable(width, 64), separable(64, 64), nn.Conv2d(64, THINGS, 1))
        self.kernels = nn.Sequential(
            separable(width, 64), separable(64, 64), nn.Conv2d(64, DEPTH + 2, 1)
        )
        self.edges = conv(3, 16, 3, 2)
        self.fine = nn.Sequential(conv(width + 16, 48, 1), separable(48, 48), separable(48, 48))
        self.features = nn.Conv2d(48, DEPTH, 1)
        self.presence = nn.Linear(width, STUFF)  # for training alone
        self.stuff = nn.Parameter(0.1 * torch.randn(STUFF, DEPTH))
        nn.init.constant_(cast(Tensor, self.heat[-1].bias), -4.6)  # a prior of 1 %

    def raw(self, x: Tensor) -> Raw:
        """What the heads say of images (N, 3, H, W)."""
        coarse = self.segmenter.features(x)
        kernels, narrow = self.kernels(coarse).split((DEPTH, 2), dim=1)
        large = nn.functional.interpolate(coarse, scale_factor=2.0)
        features = self.features(self.fine(torch.cat((large, self.edges(x)), 1)))
        presence = self.presence(coarse.mean((2, 3)))
        return Raw(self.heat(coarse), kernels, narrow, presence, features)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (N, PEAKS + STUFF, THINGS + STUFF + 1), the last of them no object, and mask
        logits (N, PEAKS + STUFF, H / 2, W / 2).
        """
        raw = self.raw(x)
        best = raw.heat.amax(1, keepdim=True)
        highest = nn.functional.max_pool2d(best, 3, stride=1, padding=1)
        peaks = torch.where(best == highest, best, torch.full_like(best, _NEVER)).flatten(1)
        places = peaks.topk(PEAKS, dim=1).indices
        things = thing_masks(raw, places)
        stuff = torch.einsum("sd,ndhw->nshw", self.stuff, raw.features)
        return _logits(raw, places, stuff), torch.cat((things, stuff), 1)


def at(values: Tensor, places: Tensor) -> Tensor:
    """Values (N, C, h, w) at places (N, K) of their grid in reading order: (N, K, C)."""
    depth = values.shape[1]
    return values.flatten(2).transpose(1, 2).gather(1, places[..., None].expand(-1, -1, depth))


def thing_masks(raw: Raw, places: Tensor) -> Tensor:
    """Mask logits (N, K, H / 2, W / 2) of things whose middles are at places (N, K).

    A mask fades with the square of the distance from its place, so that it is of one thing.
    """
    width = raw.heat.shape[3]
    height, across = raw.features.shape[2:]
    scale = 2.0 / STRIDE  # from the grid of the features to that of the places
    rows = (torch.arange(height, device=places.device) + 0.5) * scale - 0.5
    columns = (torch.arange(across, device=places.device) + 0.5) * scale - 0.5
    down = torch.div(places, width, rounding_mode="floor")
    right = places - down * width
    fade = nn.functional.softplus(at(raw.narrow, places) - 3.0)
    far = fade[..., 0, None] * (rows - down[..., None]) ** 2
    aside = fade[..., 1, None] * (columns - right[..., None]) ** 2
    masks = torch.einsum("nkd,ndhw->nkhw", at(raw.kernels, places), raw.features)
    return masks - far[..., :, None] - aside[..., None, :]


def _logits(raw: Raw, places: Tensor, stuff_masks: Tensor) -> Tensor:
    """Class logits of all queries, (N, PEAKS + STUFF, THINGS + STUFF + 1). Stuff is there where its
    mask has more than `_LEAST` of the image.
    """
    things = nn.functional.pad(at(raw.heat, places), (0, STUFF), value=_NEVER)
    own = torch.eye(STUFF, device=places.device)
    presence = _STEEP * (stuff_masks.sigmoid().mean((2, 3)) - _LEAST)
    present = presence[:, None, :] * own + (1 - own) * _NEVER
    stuff = nn.functional.pad(present, (THINGS, 0), value=_NEVER)
    logits = torch.cat((things, stuff), 1)
    return torch.cat((logits, torch.zeros_like(logits[..., :1])), 2)


def build() -> nn.Module:
    """The trained network in eval mode; its weights lie beside this file."""
    from safetensors.torch import load_model

    network = PanopticSegmenter()
    load_model(network, WEIGHTS)
    return network.eval()
