"""Commands that make a file that a runtime takes of one that none takes."""

from __future__ import annotations

from pathlib import PurePosixPath

BUILDER = (
    'name a function that builds the model and loads its weights: model = "package.module:function"'
)
_TF2ONNX = (
    "python -m venv .tf2onnx && .tf2onnx/bin/python -m pip install tensorflow tf2onnx && "
    ".tf2onnx/bin/python -m tf2onnx.convert {option} {name} --output {stem}.onnx"
)
_KERAS = (
    "python -m venv .keras && .keras/bin/python -m pip install tensorflow && .keras/bin/python -c "
    '\'import tensorflow as tf; m = tf.keras.models.load_model("{name}"); '
    "tf.lite.TFLiteConverter.from_keras_model(m).convert()'"
)
_MMDETECTION = (
    "python mmdeploy/tools/deploy.py "
    "mmdeploy/configs/mmdet/detection/detection_onnxruntime_dynamic.py {name} CHECKPOINT.pth "
    "IMAGE.jpg --work-dir {stem} writes {stem}/end2end.onnx, where MMDetection and MMDeploy are "
    "installed"
)


def advice_for(model: str) -> str:
    """What to do about a name that no source takes; "" for what is no file."""
    path = PurePosixPath(model)
    names = {"name": model, "stem": path.stem}
    if path.suffix in {".pth", ".ckpt", ".safetensors", ".bin"}:
        return f"{BUILDER}; or export the model to ONNX"
    if path.suffix == ".py":
        return _MMDETECTION.format(**names)
    return ""
