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

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_TAKEN = frozenset({"model_type", "num_labels", "trust_remote_code", "torchscript"})
_HEADS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "classification": ("AutoModelForImageClassification", ("logits",)),
    "detection": ("AutoModelForObjectDetection", ("logits", "pred_boxes")),
}
"""The class that builds a model with this head, and which of its outputs the model then gives."""
_CONFIG = "config.json"


class Transformers(Source):
    """The source `transformers`."""

    name = "transformers"
    requires = (
        registry.from_extra("torch", "torch"),
        registry.from_extra("transformers", "transformers"),
    )
    gives = TORCH
    example = "mobilenet_v2"
    preload = (
        "transformers.modeling_utils",
        "transformers.models.auto.modeling_auto",
    )

    class Options(PackageOptions):
        """As of every package; `arguments` are those of the model's configuration."""

        head: Literal["classification", "detection"] = Field(
            "classification", description="what the model is for, and so what it gives"
        )
        revision: str = Field("", description="pretrained: the hub's revision; default: its newest")

    def check(self, model: str, options: Any, fence: Fence) -> None:
        """Its name, its arguments and its files; a hub is asked only when that is asked for."""
        check(model, _NAME, options, _TAKEN, fence)
        if "/" in model and not options.pretrained:
            raise RecipeError(
                f"{model!r} is a name on a hub, which is asked only for pretrained weights",
                valid='pretrained = true; or a type of model, such as "resnet"',
            )
        if options.revision and not options.pretrained:
            raise RecipeError("a revision is one of pretrained weights", valid="pretrained = true")
        if options.pretrained and "/" not in model:
            raise RecipeError(
                f"{model!r} is a type of model: which weights are meant?",
                valid='a name on the hub, such as "microsoft/resnet-18"',
            )
        if options.weights and inside(options.weights, fence).is_dir() and options.arguments:
            raise RecipeError(
                f"the configuration is in {options.weights!r}", next_step="leave out the arguments"
            )

    @override
    def files(self, model: str, options: Any, fence: Fence) -> tuple[Path, ...]:
        """Those of its weights and its configuration."""
        return files_of(options, fence)

    def build(self, model: str, options: Any, context: SourceContext) -> SourceModel:
        """The model with the weights that were asked for."""
        more = {} if options.num_classes is None else {"num_labels": options.num_classes}
        kind, outputs = _HEADS[options.head]
        effect: dict[str, Any] = {"weights": options.origin}
        if options.pretrained:
            arguments = {**options.arguments, **more}
            inner, left = _fetched(kind, model, arguments, options.revision, other_head=bool(more))
            effect["random_tensors"] = left
            module = _plain(inner, outputs)
        else:
            path = inside(options.weights, context.fence) if options.weights else None
            config = _config(model, {**options.arguments, **more}, path)
            module = _plain(_from_config(config, kind), outputs)
            if path:
                fill(module.model, read(path), options.weights)
        return SourceModel(Artifact(TORCH, module=module), effect, structure=_kept(module.model))

    @override
    def restore(self, model: str, options: Any, structure: Any, resolve: Resolve) -> Any:
        """The model of the same configuration, with random weights."""
        kind, outputs = _HEADS[options.head]
        known = dict(structure) or {"model_type": model}
        config = _config(known.pop("model_type"), known, None)
        return _plain(_from_config(config, kind), outputs)

    def backbone(self, model: str, arguments: Mapping[str, Any], *, pretrained: bool) -> Backbone:
        """The model without a head, and of what it gives the last map."""
        if pretrained:
            inner, _ = _fetched("AutoModel", model, arguments, "", other_head=False)
        else:
            inner = _from_config(_config(model, arguments, None), "AutoModel")
        kept = _kept(inner)
        return Backbone(_plain(inner, ("last_hidden_state",)), kept.pop("model_type"), kept)


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


def _config(model: str, arguments: Mapping[str, Any], path: Path | None) -> Any:
    """A configuration from a folder, or of a type of model."""
    transformers = imported("transformers")
    known = list(transformers.CONFIG_MAPPING.keys())
    if model not in known:
        raise unknown("transformers", model, known)
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


def _from_config(config: Any, kind: str) -> Any:
    transformers = imported("transformers")
    imported("torch").manual_seed(SEED)
    try:
        return getattr(transformers, kind).from_config(config).eval()
    except (ValueError, TypeError, ImportError) as error:
        raise BuildError(
            f"transformers.{kind} does not build {config.model_type!r}: {error}"
        ) from error


def _plain(model: Any, outputs: tuple[str, ...]) -> Any:
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
