"""mmdetection: a config of MMDetection and its checkpoint as an ONNX graph, by MMDeploy in an
environment of its own: `model = { name = "mmdetection:rtmdet.py", weights = "rtmdet.pth" }`.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact, OptionsModel
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.registry import Requirement
from pytest_perfgate.sources import Fence, Source, SourceContext, SourceModel, inside
from pytest_perfgate.sources.other_environment import converted, interpreter

_PACKAGES = "mmdeploy mmdet mmcv onnx"
_EXPORT = """
import ast, sys
import mmengine, numpy
from mmdeploy.apis import torch2onnx

asked = ast.literal_eval(sys.argv[1])
deploy = asked["deploy_config"]
picture = numpy.random.default_rng(0).integers(0, 256, (*asked["example"], 3)).astype(numpy.uint8)
torch2onnx(
    picture,
    asked["folder"],
    "model.onnx",
    mmengine.Config(deploy) if isinstance(deploy, dict) else deploy,
    asked["config"],
    asked["weights"],
    device="cpu",
)
"""


def _detection(opset: int) -> dict[str, Any]:
    """MMDeploy's config of a detector for ONNX Runtime, with its usual limits, of any batch and
    size.
    """
    any_size = {0: "batch", 2: "height", 3: "width"}
    rows = {0: "batch", 1: "num_dets"}
    return {
        "onnx_config": {
            "type": "onnx",
            "export_params": True,
            "keep_initializers_as_inputs": False,
            "opset_version": opset,
            "save_file": "model.onnx",
            "input_names": ["input"],
            "output_names": ["dets", "labels"],
            "input_shape": None,
            "dynamic_axes": {"input": any_size, "dets": rows, "labels": rows},
        },
        "codebase_config": {
            "type": "mmdet",
            "task": "ObjectDetection",
            "model_type": "end2end",
            "post_processing": {
                "score_threshold": 0.05,
                "confidence_threshold": 0.005,
                "iou_threshold": 0.5,
                "max_output_boxes_per_class": 200,
                "pre_top_k": 5000,
                "keep_top_k": 100,
                "background_label_id": -1,
            },
        },
        "backend_config": {"type": "onnxruntime"},
    }


class MmDetection(Source):
    """The source of detectors of MMDetection, which does not install beside what else is used here.
    The graph is one for the decoder `mmdeploy_nms`.
    """

    name = "mmdetection"
    gives = ONNX
    example = "rtmdet.py"
    requires = (registry.from_extra("onnx", "onnx"),)

    class Options(OptionsModel):
        """Its options."""

        weights: str = Field(min_length=1, description="the checkpoint, relative to the suite file")
        python: str = Field(
            ".mmdeploy/bin/python",
            min_length=1,
            description="the interpreter of an environment that has mmdeploy, mmdet, mmcv and onnx",
        )
        deploy_config: str = Field(
            "",
            description="a config of MMDeploy, relative to the suite file; default: a detector for "
            "ONNX Runtime of any batch, height and width",
        )
        opset: int = Field(17, ge=11, le=21, description="version of ONNX's operators")
        example: tuple[int, int] = Field(
            (640, 640), description="height and width of the picture that the graph is traced with"
        )

    @override
    def requires_with(self, model: str, options: Any) -> tuple[Requirement, ...]:
        """The interpreter, too."""
        return (*self.requires, interpreter(options.python, _PACKAGES))

    @override
    def check(self, model: str, options: Any, fence: Fence) -> None:
        """Config, its bases and the checkpoint must be there."""
        if not model.endswith(".py"):
            raise RecipeError(f"{model!r} is no config of MMDetection", valid="a file (.py)")
        self.files(model, options, fence)

    @override
    def files(self, model: str, options: Any, fence: Fence) -> tuple[Path, ...]:
        """The config, what it inherits, and the checkpoint."""
        configs = [inside(model, fence)]
        if options.deploy_config:
            configs.append(inside(options.deploy_config, fence))
        seen: list[Path] = []
        while configs:
            file = configs.pop(0)
            if file not in seen:
                seen.append(file)
                bases = [os.path.relpath(base, fence.folder) for base in _bases(file)]
                configs += [inside(base, fence) for base in bases]
        return (*seen, inside(options.weights, fence))

    def build(self, model: str, options: Any, context: SourceContext) -> SourceModel:
        """The ONNX graph, in the context's folder.

        Raises:
            BuildError: MMDeploy refuses the model; with its last words.
        """
        place, deploy = context.fence.place, options.deploy_config
        asked = {
            "config": str(place(model)),
            "weights": str(place(options.weights)),
            "deploy_config": str(place(deploy)) if deploy else _detection(options.opset),
            "folder": str(context.folder),
            "example": options.example,
        }
        target = context.folder / "model.onnx"
        arguments = ["-c", _EXPORT, repr(asked)]
        file = converted("MMDeploy", options.python, arguments, target, _PACKAGES)
        return SourceModel(Artifact(ONNX, path=file), {"opset": options.opset})


def _bases(config: Path) -> Iterator[Path]:
    """The files that a config inherits, by `_base_` or by imports in `with read_base():`; those of
    installed packages (`mmdet::…`) are left out.

    Raises:
        RecipeError: it is no Python.
    """
    try:
        tree = ast.parse(config.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise RecipeError(f"{config} is no config of MMDetection: {error}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "_base_" for target in node.targets
        ):
            texts = [one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant)]
            for text in texts:
                if isinstance(text, str) and "::" not in text:
                    yield Path(os.path.normpath(config.parent / text))
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = config.parents[node.level - 1]
            yield folder.joinpath(*(node.module or "").split(".")).with_suffix(".py")
