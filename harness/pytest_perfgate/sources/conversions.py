"""Commands that make a file that a runtime takes of one that none takes."""

from __future__ import annotations

from pathlib import PurePosixPath

from pytest_perfgate.errors import RecipeError
from pytest_perfgate.sources import Fence

BUILDER = (
    'name a function that builds the model and loads its weights: model = "package.module:function"'
)
_ENVIRONMENT = "python -m venv .tf2onnx && .tf2onnx/bin/python -m pip install tensorflow tf2onnx"
_TF2ONNX = f'{_ENVIRONMENT}, and name model = "tf2onnx:{{name}}"'
_FROZEN = (
    f"{_ENVIRONMENT} && .tf2onnx/bin/python -m tf2onnx.convert --graphdef {{name}} "
    "--inputs INPUT:0 --outputs OUTPUT:0 --output {stem}.onnx, and name {stem}.onnx"
)
_MMDETECTION = (
    "python -m venv .mmdeploy && .mmdeploy/bin/python -m pip install mmdeploy mmdet mmcv onnx, and "
    'name model = {{ name = "mmdetection:{name}", weights = "CHECKPOINT.pth" }}'
)
_HUBS = {"hf", "huggingface", "hub"}


def advice_for(model: str) -> str:
    """What to do about a name that no source takes; "" for one that resembles none."""
    path = PurePosixPath(model)
    prefix, colon, name = model.partition(":")
    if colon and prefix in _HUBS:
        return f"name a file of it: hf://{name.strip('/') or 'owner/name'}@REVISION/model.onnx"
    if colon:  # torch.hub:…, ultralytics:…, keras:…
        return BUILDER
    if model.endswith("/"):
        return f"name a file in it, such as {model}model.onnx"
    match path.suffix:
        case ".pth" | ".ckpt" | ".safetensors" | ".bin":
            return f"{BUILDER}; or export the model to ONNX"
        case ".keras" | ".h5" | ".hdf5":
            return _TF2ONNX.format(name=model)
        case ".pb" if path.name == "saved_model.pb":
            return _TF2ONNX.format(name=path.parent)
        case ".pb":
            return _FROZEN.format(name=model, stem=path.stem)
        case ".py":
            return _MMDETECTION.format(name=model)
        case ".mlmodel" | ".mlpackage":
            return "name the model that it was made from: Core ML runs on Apple's systems only"
    return ""


def refuse_saved_model(model: str, fence: Fence) -> None:
    """Nothing, unless a name is that of a folder with TensorFlow's SavedModel.

    Raises:
        RecipeError: with the command that converts it.
    """
    if ":" not in model and (fence.folder / model / "saved_model.pb").is_file():
        raise RecipeError(
            f"{model!r} is a SavedModel of TensorFlow, which no runtime takes",
            valid="ONNX, .tflite, or its conversion",
            next_step=_TF2ONNX.format(name=model),
        )
