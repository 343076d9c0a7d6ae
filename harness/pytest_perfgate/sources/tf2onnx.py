"""tf2onnx: a model of TensorFlow or Keras as an ONNX graph, by a converter in an environment of its
own: "tf2onnx:folder" is a SavedModel, "tf2onnx:file.keras" a file of Keras.
"""

from __future__ import annotations

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

_KERAS = (".keras", ".h5", ".hdf5")
_PACKAGES = "tensorflow tf2onnx"


class Tf2Onnx(Source):
    """The source of models of TensorFlow, which does not install beside what else is used here."""

    name = "tf2onnx"
    gives = ONNX
    example = "saved_model"
    requires = (registry.from_extra("onnx", "onnx"),)

    class Options(OptionsModel):
        """Its options."""

        python: str = Field(
            ".tf2onnx/bin/python",
            min_length=1,
            description="the interpreter of an environment that has tensorflow and tf2onnx",
        )
        opset: int = Field(17, ge=13, le=21, description="version of ONNX's operators")

    @override
    def requires_with(self, model: str, options: Any) -> tuple[Requirement, ...]:
        """The interpreter, too."""
        return (*self.requires, interpreter(options.python, _PACKAGES))

    @override
    def check(self, model: str, options: Any, fence: Fence) -> None:
        """It must be a folder with a SavedModel, or a file of Keras."""
        place = inside(model, fence)
        if not (place / "saved_model.pb").is_file() and not model.endswith(_KERAS):
            raise RecipeError(
                f"{model!r} is no model of TensorFlow",
                valid=f"a folder with saved_model.pb, or a file ({' '.join(_KERAS)})",
            )

    @override
    def files(self, model: str, options: Any, fence: Fence) -> tuple[Path, ...]:
        """The file, or all of the folder."""
        place = fence.place(model)
        if place.is_file():
            return (place,)
        graph = place / "saved_model.pb"
        others = {file for file in place.rglob("*") if file.is_file()} - {graph}
        return (graph, *sorted(others))

    def build(self, model: str, options: Any, context: SourceContext) -> SourceModel:
        """The ONNX graph, in the context's folder.

        Raises:
            BuildError: the converter refuses the model; with its last words.
        """
        target = context.folder / "model.onnx"
        kind = "--keras" if model.endswith(_KERAS) else "--saved-model"
        arguments = ["-m", "tf2onnx.convert", kind, str(context.fence.place(model))]
        arguments += ["--output", str(target), "--opset", str(options.opset)]
        file = converted("tf2onnx", options.python, arguments, target, _PACKAGES)
        return SourceModel(Artifact(ONNX, path=file), {"opset": options.opset})
