"""A small recurrent classifier: it sees a frame, features of the one before, and what it kept."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from suites.digits.model import conv

CLASSES = 8
HIDDEN, FEATURES, GRID = 64, 16, 12
WEIGHTS = Path(__file__).parent / "weights.safetensors"


class Recurrent(nn.Module):
    """The classifier. In: a frame, float32 (N, 3, 48, 48) RGB in [0, 1]; features of the frame
    before (N, FEATURES, GRID, GRID) and the state of a gated unit (N, HIDDEN), both zeros at the
    first frame of a clip.
    """

    def __init__(self, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.features = nn.Sequential(conv(3, 16, 3, 2), conv(16, FEATURES, 3, 2))
        self.motion = nn.Sequential(conv(3 * FEATURES, 32, 3), conv(32, 32, 3, 2), nn.Flatten())
        self.embed = nn.Sequential(nn.Linear(32 * (GRID // 2) ** 2, hidden), nn.ReLU())
        self.gates = nn.Linear(2 * hidden, 2 * hidden)
        self.fresh = nn.Linear(2 * hidden, hidden)
        self.head = nn.Linear(hidden, CLASSES)

    def forward(self, x: Tensor, before: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (N, CLASSES) of the clip so far, and both states for the next frame: a gated
        recurrent unit (Cho et al. 2014) over what moved between two frames.
        """
        now = self.features(x)
        y = self.embed(self.motion(torch.cat([now, before, now - before], 1)))
        update, reset = self.gates(torch.cat([y, hidden], 1)).sigmoid().chunk(2, 1)
        candidate = self.fresh(torch.cat([y, reset * hidden], 1)).tanh()
        # Written so, since OpenVINO 2026.4 does not load u * h + (1 - u) * c: its fusion of gated
        # units fails on the biases of the linear layers.
        after = candidate + update * (hidden - candidate)
        return self.head(after), now, after


def build() -> nn.Module:
    """The trained classifier in eval mode; its weights lie beside this file."""
    from safetensors.torch import load_model

    module = Recurrent()
    load_model(module, WEIGHTS)
    return module.eval()
