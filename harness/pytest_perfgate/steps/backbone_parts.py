"""Names of backbones that several packages know, and the source that is taken for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.errors import suggestion
from pytest_perfgate.sources import Source

KNOWN: Mapping[str, Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "mobilenet_v2": {
        "torchvision": ("mobilenet_v2", {}),
        "timm": ("mobilenetv2_100", {}),
        "transformers": ("mobilenet_v2", {}),
    },
    "mobilenet_v3_small": {
        "torchvision": ("mobilenet_v3_small", {}),
        "timm": ("mobilenetv3_small_100", {}),
    },
    "mobilenet_v3_large": {
        "torchvision": ("mobilenet_v3_large", {}),
        "timm": ("mobilenetv3_large_100", {}),
    },
    "efficientnet_b0": {
        "torchvision": ("efficientnet_b0", {}),
        "timm": ("efficientnet_b0", {}),
        "transformers": (
            "efficientnet",
            {"width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280},
        ),
    },
    "shufflenet_v2_x0_5": {"torchvision": ("shufflenet_v2_x0_5", {})},
    "shufflenet_v2_x1_0": {"torchvision": ("shufflenet_v2_x1_0", {})},
    "resnet18": {
        "torchvision": ("resnet18", {}),
        "timm": ("resnet18", {}),
        "transformers": (
            "resnet",
            {
                "layer_type": "basic",
                "depths": [2, 2, 2, 2],
                "hidden_sizes": [64, 128, 256, 512],
            },
        ),
    },
    "resnet50": {
        "torchvision": ("resnet50", {}),
        "timm": ("resnet50", {}),
        "transformers": ("resnet", {}),
    },
    "vgg11": {"torchvision": ("vgg11", {}), "timm": ("vgg11", {})},
    "vgg11_bn": {"torchvision": ("vgg11_bn", {}), "timm": ("vgg11_bn", {})},
    "vgg16_bn": {"torchvision": ("vgg16_bn", {}), "timm": ("vgg16_bn", {})},
}
"""Networks by a name of their own: what each source calls them, the one to be taken first first."""


@dataclass(frozen=True)
class Chosen:
    """A network as one source names it."""

    source: str
    model: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.source}:{self.model}"


def chosen(name: str, arguments: Mapping[str, Any]) -> Chosen:
    """What a name means here: "source:model", or a network of `KNOWN` from the first of its
    sources that is installed; the first of all where none is.

    Raises:
        RecipeError: there is no such source.
        ValueError: it is neither.
    """
    source, colon, model = name.partition(":")
    if colon:
        if not registry.find(registry.SOURCES, source).has_backbones:
            raise ValueError(f"the source {source!r} has no backbones")
        return Chosen(source, model, dict(arguments))
    if name not in KNOWN:
        raise ValueError(
            f'no known network has this name; valid: "source:model", or {suggestion(name, KNOWN)}'
        )
    candidates = [
        Chosen(source, model, {**known, **arguments})
        for source, (model, known) in KNOWN[name].items()
    ]
    return next((candidate for candidate in candidates if not _missing(candidate)), candidates[0])


def source_of(backbone: Chosen) -> Source:
    """The source of a network; it has backbones."""
    source: Source = registry.find(registry.SOURCES, backbone.source)
    return source


def _missing(backbone: Chosen) -> bool:
    source: Source = source_of(backbone)
    return any(
        package.missing for package in source.requires_with(backbone.model, source.Options())
    )
