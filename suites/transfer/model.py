"""PP-OCR's classifier of text direction as a torch module, with the weights that the package
rapidocr ships in an ONNX file: MobileNetV3-small, a third as wide (Howard et al. 2019, "Searching
for MobileNetV3").

The file names its weights after their layers and has batch normalisation as it was trained, so that
the network can be trained further.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

HEIGHT, WIDTH = 48, 192
_FILE = "models/ch_ppocr_mobile_v2.0_cls_mobile.onnx"
_BLOCKS = range(2, 13)  # conv2 to conv12
_HALVING = {2, 3, 5, 10}  # blocks that halve the height
_RELU = {2, 3, 4}  # blocks with ReLU; the others have hard swish
_EPSILON = 1e-5

Weights = Mapping[str, Tensor]


class Layer(nn.Module):
    """A convolution without bias, batch normalisation and an activation, by the file's names."""

    def __init__(
        self, weights: Weights, name: str, act: nn.Module, stride: tuple[int, int], groups: int = 1
    ) -> None:
        super().__init__()
        kernel = weights[f"{name}_weights"]
        outputs, inputs, side, _ = kernel.shape
        self.conv = nn.Conv2d(
            inputs * groups, outputs, side, stride, side // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs, eps=_EPSILON)
        self.act = act
        _set(self.conv.weight, kernel)
        _set(self.norm.weight, weights[f"{name}_bn_scale"])
        _set(self.norm.bias, weights[f"{name}_bn_offset"])
        _set(self.norm.running_mean, weights[f"{name}_bn_mean"])
        _set(self.norm.running_var, weights[f"{name}_bn_variance"])

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W)."""
        result: Tensor = self.act(self.norm(self.conv(x)))
        return result


class Squeeze(nn.Module):
    """Weighs channels by their means (Hu et al. 2018, "Squeeze-and-Excitation Networks")."""

    def __init__(self, weights: Weights, name: str) -> None:
        super().__init__()
        self.first, self.second = (_point(weights, f"{name}_{place}") for place in (1, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W)."""
        share: Tensor = self.second(self.first(x.mean((2, 3), keepdim=True)).relu())
        return x * (0.2 * share + 0.5).clamp(0.0, 1.0)  # Paddle's hard sigmoid


class Block(nn.Module):
    """An inverted residual block."""

    def __init__(self, weights: Weights, number: int) -> None:
        super().__init__()
        name = f"conv{number}"
        act = nn.ReLU if number in _RELU else nn.Hardswish
        stride = (2, 1) if number in _HALVING else (1, 1)
        width = len(weights[f"{name}_expand_weights"])
        self.expand = Layer(weights, f"{name}_expand", act(), (1, 1))
        self.depthwise = Layer(weights, f"{name}_depthwise", act(), stride, width)
        squeezes = f"{name}_se_1_weights" in weights
        self.squeeze = Squeeze(weights, f"{name}_se") if squeezes else nn.Identity()
        self.linear = Layer(weights, f"{name}_linear", nn.Identity(), (1, 1))
        inputs, outputs = self.expand.conv.in_channels, self.linear.conv.out_channels
        self.adds = stride == (1, 1) and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W)."""
        y: Tensor = self.linear(self.squeeze(self.depthwise(self.expand(x))))
        return x + y if self.adds else y


class Direction(nn.Module):
    """Lines of text (N, 3, 48, 192), BGR from -1 to 1, to logits (N, 2) of upright and upside
    down.
    """

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.stem = Layer(weights, "conv1", nn.Hardswish(), (2, 2))
        self.blocks = nn.Sequential(*(Block(weights, number) for number in _BLOCKS))
        self.last = Layer(weights, "conv_last", nn.Hardswish(), (1, 1))
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(*weights["fc_0.w_0"].shape)
        _set(self.fc.weight, weights["fc_0.w_0"].T)
        _set(self.fc.bias, weights["fc_0.b_0"])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 2)."""
        features = self.pool(self.last(self.blocks(self.stem(x))))
        logits: Tensor = self.fc(features.mean((2, 3)))
        return logits


def build() -> Direction:
    """The network with the package's weights, in eval mode."""
    return Direction(weights()).eval()


def file() -> Path:
    """The package's ONNX file."""
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("python -m pip install rapidocr", name="rapidocr")
    return Path(spec.origin).parent / _FILE


def weights() -> dict[str, Tensor]:
    """The weights of the file by their names; it has them as constants of the graph."""
    import onnx

    arrays: dict[str, Any] = {
        node.output[0]: onnx.numpy_helper.to_array(node.attribute[0].t)
        for node in onnx.load(file()).graph.node
        if node.op_type == "Constant"
    }
    return {name: torch.tensor(array) for name, array in arrays.items()}


def _point(weights: Weights, name: str) -> nn.Conv2d:
    """A convolution of single pixels with a bias."""
    kernel = weights[f"{name}_weights"]
    layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], 1)
    _set(layer.weight, kernel)
    _set(layer.bias, weights[f"{name}_offset"])
    return layer


@torch.no_grad()
def _set(place: Tensor | None, value: Tensor) -> None:
    if place is None:
        raise ValueError("the layer has no such weight")
    place.copy_(value)
