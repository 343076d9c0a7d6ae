"""Models of transformers, by the type in their configuration, or by their name on a hub."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import BuildError, RecipeError
from pytest_perfgate.sources import (
    SEED,
    Backbone,
    Fence,
    Resolve,
    SourceContext,
    SourceModel,
    inside,
)
from pytest_perfgate.sources.feature_maps import pyramid_of
from pytest_perfgate.sources.package_models import (
    PackageOptions,
    PackageSource,
    fetching,
    fill_from_file,
    imported,
)

_HEADS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "classification": ("AutoModelForImageClassification", ("logits",)),
    "detection": ("AutoModelForObjectDetection", ("logits", "pred_boxes")),
    "segmentation": ("AutoModelForSemanticSegmentation", ("logits",)),
}
"""The class that builds a model with this head, and which of its outputs the model then gives."""
_CONFIG = "config.json"


class Transformers(PackageSource):
    """The source `transformers`."""

    name = package = "transformers"
    names = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
    reserved = frozenset({"model_type", "num_labels", "trust_remote_code", "torchscript"})
    requires = (
        registry.from_extra("torch", "torch"),
        registry.from_extra("transformers", "transformers"),
    )
    example = "mobilenet_v2"
    preload = (
        "transformers.modeling_utils",
        "transformers.models.auto.modeling_auto",
    )

    class Options(PackageOptions):
        """As of every package; `arguments` are those of the model's configuration."""

        head: Literal["classification", "detection", "segmentation"] = Field(
            "classification", description="task of the model's head, which decides its outputs"
        )
        revision: str = Field(
            "", description="pretrained: revision on the hub; default: the newest"
        )

    @override
    def check(self, model: str, options: Any, fence: Fence) -> None:
        """Check name, arguments and files; only pretrained weights may ask a hub."""
        super().check(model, options, fence)
        if "/" in model and not options.pretrained:
            raise RecipeError(
                f"{model!r} names a model on a hub, which serves pretrained weights only",
                valid='pretrained = true; or a type of model, such as "resnet"',
            )
        if options.revision and not options.pretrained:
            raise RecipeError("only pretrained weights have a revision", valid="pretrained = true")
        if options.pretrained and "/" not in model:
            raise RecipeError(
                f"{model!r} is a type of model, which has no pretrained weights",
                valid='the name of a model on the hub, such as "microsoft/resnet-18"',
            )
        if options.weights and inside(options.weights, fence).is_dir() and options.arguments:
            raise RecipeError(
                f"{options.weights!r} has the model's configuration, so arguments are not used",
                next_step="leave out the arguments",
            )

    def build(self, model: str, options: Any, context: SourceContext) -> SourceModel:
        """The model with the weights that the options name."""
        more = {} if options.num_classes is None else {"num_labels": options.num_classes}
        kind, outputs = _HEADS[options.head]
        effect: dict[str, Any] = {"weights": options.origin}
        if options.pretrained:
            arguments = {**options.arguments, **more}
            inner, left = _fetched(kind, model, arguments, options.revision, other_head=bool(more))
            effect["random_tensors"] = left
            module = _tensors_only(inner, outputs)
        else:
            path = inside(options.weights, context.fence) if options.weights else None
            config = self._config(model, {**options.arguments, **more}, path)
            module = _tensors_only(_from_config(config, kind), outputs)
            fill_from_file(module.model, options, context)
        return SourceModel(Artifact(TORCH, module=module), effect, structure=_kept(module.model))

    @override
    def restore(self, model: str, options: Any, structure: Any, resolve: Resolve) -> Any:
        """The model of the same configuration, with random weights."""
        kind, outputs = _HEADS[options.head]
        known = dict(structure) or {"model_type": model}
        config = self._config(known.pop("model_type"), known, None)
        return _tensors_only(_from_config(config, kind), outputs)

    def backbone(self, model: str, arguments: Mapping[str, Any], *, pretrained: bool) -> Backbone:
        """The model without a head, and of what it gives the last map."""
        if pretrained:
            inner, _ = _fetched("AutoModel", model, arguments, "", other_head=False)
        else:
            inner = _from_config(self._config(model, arguments, None), "AutoModel")
        kept = _kept(inner)
        return Backbone(_tensors_only(inner, ("last_hidden_state",)), kept.pop("model_type"), kept)

    @override
    def pyramid(self, model: str, arguments: Mapping[str, Any], *, pretrained: bool) -> Backbone:
        """The model without a head, and of what it gives all maps."""
        single = self.backbone(model, arguments, pretrained=pretrained)
        module = pyramid_of(single.module.model, _hidden_states, f"transformers' {model}")
        return Backbone(module, single.model, single.arguments)

    def _config(self, model: str, arguments: Mapping[str, Any], path: Path | None) -> Any:
        """A configuration from a folder, or of a type of model."""
        transformers = imported("transformers")
        known = list(transformers.CONFIG_MAPPING.keys())
        if model not in known:
            raise self.unknown(model, known)
        if path is None or not path.is_dir():
            return transformers.AutoConfig.for_model(model, **arguments)
        file = path / _CONFIG
        if not file.is_file():
            raise BuildError("there is no configuration in the folder", where=str(file))
        written = json.loads(file.read_text(encoding="utf-8"))
        if written.get("model_type") != model:
            raise BuildError(
                f"the configuration is of the type {written.get('model_type')!r}",
                where=str(file),
                valid=model,
            )
        return transformers.AutoConfig.for_model(**{**written, **arguments})


def _fetched(
    kind: str, model: str, arguments: Mapping[str, Any], revision: str, *, other_head: bool
) -> tuple[Any, int]:
    """A model with a hub's weights, and how many of its tensors are not among them: those of a
    head that knows other classes.

    Raises:
        BuildError: the weights cannot be had, or are of another model.
    """
    transformers = imported("transformers")
    imported("torch").manual_seed(SEED)
    with fetching(model):
        loaded, report = getattr(transformers, kind).from_pretrained(
            model,
            revision=revision or "main",
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=other_head,
            **arguments,
        )
    left = [*map(str, report["missing_keys"]), *map(str, report["mismatched_keys"])]
    if left and not other_head:
        raise BuildError(
            f"{len(left)} tensors are not among the weights of {model} ({', '.join(left[:3])})",
            next_step="name weights of a model with this head, or train one: set num_classes",
        )
    return loaded.eval(), len(left)


def _kept(model: Any) -> dict[str, Any]:
    """A model's configuration as plain data."""
    config: dict[str, Any] = json.loads(model.config.to_json_string(use_diff=False))
    return config


def _from_config(config: Any, kind: str) -> Any:
    transformers = imported("transformers")
    imported("torch").manual_seed(SEED)
    try:
        return getattr(transformers, kind).from_config(config).eval()
    except (ValueError, TypeError, ImportError) as error:
        raise BuildError(
            f"transformers.{kind} does not build {config.model_type!r}: {error}"
        ) from error


def _hidden_states(model: Any, images: Any) -> tuple[Any, ...]:
    """The features between a model's layers."""
    fields = model(pixel_values=images, output_hidden_states=True, return_dict=True)
    return tuple(fields["hidden_states"] or ())


def _tensors_only(model: Any, outputs: tuple[str, ...]) -> Any:
    """A module that gives tensors, not a table of them."""
    import torch

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: torch.Tensor) -> Any:
            fields = self.model(pixel_values=images, return_dict=True)
            given = tuple(fields[name] for name in outputs)
            return given[0] if len(given) == 1 else given

    return Plain().eval()
