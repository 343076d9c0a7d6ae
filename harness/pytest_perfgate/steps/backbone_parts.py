"""What the step `backbone` is made of: names that several packages know, what a module of the
chain's model takes and gives, and a new one that gives the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.errors import BuildError, suggestion
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.sources import Source
from pytest_perfgate.steps.output_check import tensors

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


@dataclass(frozen=True)
class Seam:
    """What a module of the chain's model takes and gives, for one image.

    Attributes:
        takes: shape of its input.
        gives: shape of its output: (1, C, h, w), or (1, C).
    """

    takes: tuple[int, ...]
    gives: tuple[int, ...]


def named(module: Any, at: str) -> Any:
    """The part of a model that is called `at`.

    Raises:
        BuildError: there is none.
    """
    parts = dict(module.named_modules())
    if not at or at not in parts:
        top = [name for name, _ in module.named_children()]
        raise BuildError(
            f"the model has no module {at!r}",
            where="step backbone: at",
            valid=suggestion(at, top) if "." not in at else suggestion(at, parts),
        )
    return parts[at]


def seam(module: Any, at: str, example: Inputs) -> Seam:
    """How the part that is called `at` lies in the model.

    Raises:
        BuildError: it does not make one tensor of features of one batch of images.
    """
    import torch

    uses: list[tuple[Any, Any]] = []
    hook = named(module, at).register_forward_hook(
        lambda _, inputs, output: uses.append((inputs, output))
    )
    try:
        with torch.inference_mode():
            module(*tensors(example))
    finally:
        hook.remove()
    where = f"step backbone: at {at!r}"
    if len(uses) != 1:
        raise BuildError(f"the model uses it {len(uses)} times an image", where=where, valid="once")
    inputs, output = uses[0]
    if len(inputs) != 1 or not isinstance(output, torch.Tensor) or output.dim() not in {2, 4}:
        shown = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise BuildError(
            f"it takes {len(inputs)} inputs and gives {shown}",
            where=where,
            valid="one input, and one feature map (N, C, h, w) or vector (N, C)",
        )
    if inputs[0].dim() != 4 or inputs[0].shape[1] != 3:
        raise BuildError(
            f"it reads {list(inputs[0].shape)}, and a backbone reads images",
            where=where,
            valid="the module that reads the model's input",
        )
    return Seam(tuple(inputs[0].shape), tuple(output.shape))


def fit_of(features: Any, wanted: Seam) -> dict[str, int]:
    """What has to lie between new features and what reads them, as plain data: channels, and how
    often each row and column is repeated, or how many become one.

    Raises:
        BuildError: one is no multiple of the other.
    """
    import torch

    batch, channels, *sides = wanted.takes
    with torch.inference_mode():
        output = features(torch.zeros(wanted.takes))
        larger = features(torch.zeros(batch, channels, *(2 * side for side in sides)))
    if (
        not isinstance(output, torch.Tensor)
        or output.dim() != 4
        or output.shape[1] != larger.shape[1]
    ):
        shown = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise BuildError(
            f"the new backbone gives {shown}, not a feature map",
            valid="channels first, (N, C, h, w)",
        )
    fit = {"channels": int(output.shape[1]), "wanted": int(wanted.gives[1]), "repeat": 1, "pool": 1}
    if len(wanted.gives) == 2:
        return {**fit, "pool": 0}
    (high, wide), (new_high, new_wide) = wanted.gives[2:], output.shape[2:]
    if high % new_high == 0 and high // new_high * new_wide == wide:
        return {**fit, "repeat": high // new_high}
    if new_high % high == 0 and new_high // high * wide == new_wide:
        return {**fit, "pool": new_high // high}
    raise BuildError(
        f"the new backbone gives maps of {new_high} x {new_wide} where the model reads "
        f"{high} x {wide}, and neither is a multiple of the other",
        next_step="give the network images whose sides are multiples of 32",
    )


def fitted(features: Any, origin: str, fit: Mapping[str, int]) -> Any:
    """New features, and behind them what makes them fit."""
    import torch

    nn = torch.nn
    channels, wanted = fit["channels"], fit["wanted"]
    layers: list[Any] = []
    if fit["pool"] == 0:  # a vector is read
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        layers += [nn.Linear(channels, wanted)] if channels != wanted else []
    else:
        layers += [nn.AvgPool2d(fit["pool"])] if fit["pool"] > 1 else []
        layers += [nn.Conv2d(channels, wanted, 1)] if channels != wanted else []
        layers += [nn.Upsample(scale_factor=fit["repeat"])] if fit["repeat"] > 1 else []

    class Fitted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.origin = origin
            self.features = features
            self.fit = nn.Sequential(*layers)

        def forward(self, images: torch.Tensor) -> Any:
            return self.fit(self.features(images))

    return Fitted()


def there(module: Any, at: str, fresh: Any) -> str:
    """The name of the backbone that a model really has: of a fitted one, when its layers are those
    of `fresh`, a new one of that name.
    """
    replaced: Any = dict(module.named_modules()).get(at)
    features = getattr(replaced, "features", None)
    if features is None or not hasattr(replaced, "origin"):
        return "none" if replaced is None else type(replaced).__name__
    return str(replaced.origin) if _shapes(features) == _shapes(fresh) else "another network"


def _shapes(module: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}
