"""Models of timm (PyTorch Image Models), by the names of `timm.list_models()`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import BuildError
from pytest_perfgate.sources import SEED, Backbone, Resolve, SourceContext, SourceModel
from pytest_perfgate.sources.feature_maps import pyramid_of
from pytest_perfgate.sources.package_models import (
    PackageOptions,
    PackageSource,
    fetching,
    fill_from_file,
    imported,
    with_classes,
)


class Timm(PackageSource):
    """The source `timm`."""

    name = package = "timm"
    names = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]*")
    reserved = frozenset(
        {"model_name", "pretrained", "pretrained_cfg", "checkpoint_path", "num_classes"}
        | {"features_only", "out_indices", "cache_dir"}
    )
    requires = (
        registry.from_extra("torch", "torch"),
        registry.from_extra("torchvision", "timm"),
        registry.from_extra("timm", "timm"),
    )
    example = "mobilenetv3_small_100"
    preload = ("timm",)

    class Options(PackageOptions):
        """As of every package; `arguments` are those of `timm.create_model`."""

    def build(self, model: str, options: Any, context: SourceContext) -> SourceModel:
        """The model with the weights that the options name."""
        arguments = with_classes(options.arguments, options.num_classes)
        module = self._created(model, arguments, pretrained=options.pretrained)
        fill_from_file(module, options, context)
        return SourceModel(
            Artifact(TORCH, module=module), {"weights": options.origin}, structure={}
        )

    @override
    def restore(self, model: str, options: Any, structure: Any, resolve: Resolve) -> Any:
        """The model with random weights."""
        arguments = with_classes(options.arguments, options.num_classes)
        return self._created(model, arguments, pretrained=False)

    def backbone(self, model: str, arguments: Mapping[str, Any], *, pretrained: bool) -> Backbone:
        """The deepest of the maps of features that timm takes from a model."""
        deepest = {**arguments, "features_only": True, "out_indices": (-1,)}
        module = self._created(model, deepest, pretrained=pretrained)
        return Backbone(_last(module), model, arguments)

    @override
    def pyramid(self, model: str, arguments: Mapping[str, Any], *, pretrained: bool) -> Backbone:
        """The maps of features that timm takes from a model."""
        module = self._created(model, {**arguments, "features_only": True}, pretrained=pretrained)
        return Backbone(
            pyramid_of(module, lambda network, images: network(images), f"timm's {model}"),
            model,
            arguments,
        )

    def _created(self, model: str, arguments: Mapping[str, Any], *, pretrained: bool) -> Any:
        torch = imported("torch")
        timm = imported("timm")
        if not timm.is_model(model):
            raise self.unknown(model, timm.list_models())
        torch.manual_seed(SEED)
        if pretrained:
            with fetching(f"timm's {model}"):
                return timm.create_model(model, pretrained=True, **arguments).eval()
        try:
            return timm.create_model(model, pretrained=False, **arguments).eval()
        except (TypeError, ValueError, RuntimeError, AttributeError, AssertionError) as error:
            raise BuildError(
                f"timm.create_model does not build {model!r}: {error}",
                valid=f"the arguments of the function timm.models.{model}",
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
