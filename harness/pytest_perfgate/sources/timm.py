"""Models of timm (PyTorch Image Models), by the names of `timm.list_models()`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import BuildError
from pytest_perfgate.sources import (
    SEED,
    Backbone,
    Fence,
    Resolve,
    Source,
    SourceContext,
    SourceModel,
    inside,
)
from pytest_perfgate.sources.package_models import (
    PackageOptions,
    check,
    fetching,
    files_of,
    imported,
    unknown,
)
from pytest_perfgate.sources.weights import fill, read

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]*")
_TAKEN = frozenset(
    {"model_name", "pretrained", "pretrained_cfg", "checkpoint_path", "num_classes"}
    | {"features_only", "out_indices", "cache_dir"}
)


class Timm(Source):
    """The source `timm`."""

    name = "timm"
    requires = (
        registry.from_extra("torch", "torch"),
        registry.from_extra("torchvision", "timm"),
        registry.from_extra("timm", "timm"),
    )
    gives = TORCH
    example = "mobilenetv3_small_100"
    preload = ("timm",)

    class Options(PackageOptions):
        """As of every package; `arguments` are those of `timm.create_model`."""

    def check(self, model: str, options: Any, fence: Fence) -> None:
        """Its name, its arguments and its files."""
        check(model, _NAME, options, _TAKEN, fence)

    @override
    def files(self, model: str, options: Any, fence: Fence) -> tuple[Path, ...]:
        """Those of its weights."""
        return files_of(options, fence)

    def build(self, model: str, options: Any, context: SourceContext) -> SourceModel:
        """The model with the weights that were asked for."""
        module = _created(model, options.arguments, options.pretrained, options.num_classes)
        if options.weights:
            fill(module, read(inside(options.weights, context.fence)), options.weights)
        return SourceModel(
            Artifact(TORCH, module=module), {"weights": options.origin}, structure={}
        )

    @override
    def restore(self, model: str, options: Any, structure: Any, resolve: Resolve) -> Any:
        """The model with random weights."""
        return _created(model, options.arguments, False, options.num_classes)

    def backbone(self, model: str, arguments: Mapping[str, Any], *, pretrained: bool) -> Backbone:
        """The deepest of the maps of features that timm takes from a model."""
        module = _created(
            model, {**arguments, "features_only": True, "out_indices": (-1,)}, pretrained, None
        )
        return Backbone(_last(module), model, arguments)


def _created(
    model: str, arguments: Mapping[str, Any], pretrained: bool, classes: int | None
) -> Any:
    torch = imported("torch")
    timm = imported("timm")
    if not timm.is_model(model):
        raise unknown("timm", model, timm.list_models())
    keywords = dict(arguments) if classes is None else {**arguments, "num_classes": classes}
    torch.manual_seed(SEED)
    if pretrained:
        with fetching(f"timm's {model}"):
            return timm.create_model(model, pretrained=True, **keywords).eval()
    try:
        return timm.create_model(model, pretrained=False, **keywords).eval()
    except (TypeError, ValueError, RuntimeError, AttributeError, AssertionError) as error:
        raise BuildError(
            f"timm.create_model does not build {model!r}: {error}",
            valid=f"what the function timm.models.{model} takes",
        ) from error


def _last(module: Any) -> Any:
    """A module that gives the one map of features in the list that timm gives."""
    import torch

    class Features(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = module

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features: torch.Tensor = self.features(images)[-1]
            return features

    return Features().eval()
