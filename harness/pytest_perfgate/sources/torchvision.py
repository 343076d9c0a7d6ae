"""Models of torchvision that take a batch of images and give classes."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import BuildError
from pytest_perfgate.sources import SEED, Backbone, Resolve, SourceContext, SourceModel
from pytest_perfgate.sources.feature_maps import in_order, pyramid_of
from pytest_perfgate.sources.package_models import (
    PackageOptions,
    PackageSource,
    fetching,
    fill_from_file,
    imported,
    with_classes,
)
from pytest_perfgate.sources.weights import fill_all_but

_HEADS = ("classifier", "fc", "heads", "head")
_AFTER = frozenset({*_HEADS, "avgpool"})
_PROBE = 64  # pixels: enough for every stage of a network


class Torchvision(PackageSource):
    """The source `torchvision`."""

    name = package = "torchvision"
    names = re.compile(r"[a-z0-9][a-z0-9_]*")
    reserved = frozenset({"name", "weights", "num_classes", "progress"})
    requires = (
        registry.from_extra("torch", "torch"),
        registry.from_extra("torchvision", "torchvision"),
    )
    example = "mobilenet_v3_small"
    preload = ("torchvision",)

    class Options(PackageOptions):
        """As of every package; `arguments` are those of the model's own function."""

    def build(self, model: str, options: Any, context: SourceContext) -> SourceModel:
        """The model with the weights that the options name."""
        module = self.restore(model, options, None, context.resolve)
        effect: dict[str, Any] = {"weights": options.origin}
        if options.pretrained:
            effect["random_tensors"] = _fetch(module, model)
        fill_from_file(module, options, context)
        return SourceModel(Artifact(TORCH, module=module), effect, structure={})

    @override
    def restore(self, model: str, options: Any, structure: Any, resolve: Resolve) -> Any:
        """The model with random weights."""
        return self._created(model, with_classes(options.arguments, options.num_classes))

    def backbone(self, model: str, arguments: Mapping[str, Any], *, pretrained: bool) -> Backbone:
        """What torchvision calls a model's features, or all that comes before its head."""
        import torch

        module = self._created(model, arguments)
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
                module = self._created(model, arguments)
            features = getattr(module, "features", None) or _before_head(module)
            if not any(module._non_persistent_buffers_set for module in features.modules()):
                return features.to_empty(device="cpu").eval()
        except (NotImplementedError, RuntimeError):
            pass  # its builder looks at numbers
        return self.backbone(model, arguments, pretrained=False).module

    @override
    def pyramid(self, model: str, arguments: Mapping[str, Any], *, pretrained: bool) -> Backbone:
        """What the layers of a model's features give, one after the other."""
        layers = self.backbone(model, arguments, pretrained=pretrained).module
        return Backbone(pyramid_of(layers, in_order, f"torchvision's {model}"), model, arguments)

    def _created(self, model: str, arguments: Mapping[str, Any]) -> Any:
        torch = imported("torch")
        models = imported("torchvision").models
        known = models.list_models(module=models)
        if model not in known:
            raise self.unknown(model, known)
        torch.manual_seed(SEED)
        try:
            return models.get_model(model, weights=None, **arguments).eval()
        except (TypeError, ValueError) as error:
            raise BuildError(
                f"torchvision does not build {model!r}: {error}",
                valid=f"the arguments of torchvision.models.{model}",
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
    problem = "its head is not a pooling and one linear layer"
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
        f"torchvision's {model} has no part that gives a feature map: {problem}",
        valid="mobilenet, efficientnet, shufflenet, resnet, vgg, densenet, convnext, regnet, …",
    )
