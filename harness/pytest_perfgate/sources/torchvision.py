"""Models of torchvision that take a batch of images and give classes."""

from __future__ import annotations

import re
from collections import OrderedDict
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
from pytest_perfgate.sources.weights import fill, fill_all_but, read

_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_TAKEN = frozenset({"name", "weights", "num_classes", "progress"})
_HEADS = ("classifier", "fc", "heads", "head")
_AFTER = frozenset({*_HEADS, "avgpool"})
_PROBE = 64  # pixels: enough for every stage of a network


class Torchvision(Source):
    """The source `torchvision`."""

    name = "torchvision"
    requires = (
        registry.from_extra("torch", "torch"),
        registry.from_extra("torchvision", "torchvision"),
    )
    gives = TORCH
    example = "mobilenet_v3_small"
    preload = ("torchvision",)

    class Options(PackageOptions):
        """As of every package; `arguments` are those of the model's own function."""

    def check(self, model: str, options: Any, fence: Fence) -> None:
        """Its name, its arguments and its files."""
        check(model, _NAME, options, _TAKEN, fence)

    @override
    def files(self, model: str, options: Any, fence: Fence) -> tuple[Path, ...]:
        """Those of its weights."""
        return files_of(options, fence)

    def build(self, model: str, options: Any, context: SourceContext) -> SourceModel:
        """The model with the weights that were asked for."""
        module = _created(model, options.arguments, options.num_classes)
        effect: dict[str, Any] = {"weights": options.origin}
        if options.pretrained:
            effect["random_tensors"] = _fetch(module, model)
        elif options.weights:
            fill(module, read(inside(options.weights, context.fence)), options.weights)
        return SourceModel(Artifact(TORCH, module=module), effect, structure={})

    @override
    def restore(self, model: str, options: Any, structure: Any, resolve: Resolve) -> Any:
        """The model with random weights."""
        return _created(model, options.arguments, options.num_classes)

    def backbone(self, model: str, arguments: Mapping[str, Any], *, pretrained: bool) -> Backbone:
        """What torchvision calls a model's features, or all that comes before its head."""
        import torch

        module = _created(model, arguments, None)
        if pretrained:
            _fetch(module, model)
        features = getattr(module, "features", None)
        if not isinstance(features, torch.nn.Module):
            features = _before_head(module)
            _check(module, features, model)
        return Backbone(features.eval(), model, arguments)

    def restore_backbone(self, model: str, arguments: Mapping[str, Any]) -> Any:
        """The same part without the head, which may be many times as large and is in no memory."""
        import torch

        try:
            with torch.device("meta"):
                module = _created(model, arguments, None)
            features = getattr(module, "features", None) or _before_head(module)
            if not any(module._non_persistent_buffers_set for module in features.modules()):
                return features.to_empty(device="cpu").eval()
        except (NotImplementedError, RuntimeError):
            pass  # its builder looks at numbers
        return self.backbone(model, arguments, pretrained=False).module


def _created(model: str, arguments: Mapping[str, Any], classes: int | None) -> Any:
    torch = imported("torch")
    models = imported("torchvision").models
    known = models.list_models(module=models)
    if model not in known:
        raise unknown("torchvision", model, known)
    keywords = dict(arguments) if classes is None else {**arguments, "num_classes": classes}
    torch.manual_seed(SEED)
    try:
        return models.get_model(model, weights=None, **keywords).eval()
    except (TypeError, ValueError) as error:
        raise BuildError(
            f"torchvision does not build {model!r}: {error}",
            valid=f"what torchvision.models.{model} takes",
        ) from error


def _fetch(module: Any, model: str) -> int:
    """Loads its best weights; a head of other classes stays random. How many tensors did."""
    models = imported("torchvision").models
    with fetching(f"torchvision's {model}"):
        best = models.get_model_weights(model).DEFAULT
        # Without `weights_only` torch.hub would unpickle whatever it was given.
        state = best.get_state_dict(progress=False, check_hash=True, weights_only=True)
    return fill_all_but(module, state, _HEADS, f"torchvision's {best}")


def _before_head(module: Any) -> Any:
    """The layers before pooling, one after the other."""
    import torch

    layers = OrderedDict((n, layer) for n, layer in module.named_children() if n not in _AFTER)
    return torch.nn.Sequential(layers)


def _check(module: Any, features: Any, model: str) -> None:
    """Nothing, when a model's head reads the mean of just what `features` give.

    Raises:
        BuildError: it does not.
    """
    import torch

    head = getattr(module, "fc", None)
    head_inputs: list[Any] = []
    problem = "its head is not one linear layer behind a pooling"
    if isinstance(head, torch.nn.Linear):
        hook = head.register_forward_pre_hook(lambda _, inputs: head_inputs.append(inputs[0]))
        images = torch.rand(1, 3, _PROBE, _PROBE)
        try:
            with torch.inference_mode():
                module(images)
                pooled = features.eval()(images).mean((2, 3))
            if torch.allclose(pooled, head_inputs[0], rtol=1e-4, atol=1e-5):
                return
        except (RuntimeError, IndexError, TypeError, NotImplementedError) as error:
            problem = str(error)
        finally:
            hook.remove()
    raise BuildError(
        f"torchvision's {model} has no part that makes a map of features: {problem}",
        valid="mobilenet, efficientnet, shufflenet, resnet, vgg, densenet, convnext, regnet, …",
    )
