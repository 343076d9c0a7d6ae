"""What steps give and runtimes take, and the base of the options of both."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

TORCH = "torch"
ONNX = "onnx"
OPENVINO = "openvino"
AOTI = "aoti"
NCNN = "ncnn"
TFLITE = "tflite"
EXPORTED = "exported"
TORCHSCRIPT = "torchscript"
TENSORRT = "tensorrt"

IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
"""What a suite names its code by: "package.module:function"."""

CPU_FEATURES = "cpu_features"
"""In a package of compiled code: the features of the CPU that it was compiled on."""


LARGEST = 1_000_000_000
LARGEST_BY_NAME = {
    "threads": 4_096,
    "devices": 4_096,
    "processes": 4_096,
    **dict.fromkeys(("batch_size", "batch", "min_batch", "opt_batch", "max_batch"), 65_536),
}
"""The largest number that an option may have, of whichever extension, by its name or else at all:
more is a slip of the pen, which would be noticed after hours or by the end of the memory."""


class OptionsModel(BaseModel):
    """Base of every options model: frozen, an unknown option is an error, and so is a number that
    is not finite or is beyond reason (`LARGEST`).

    Attributes:
        without_effect: options that change how an artifact is made, and nothing of it: they are no
            part of its key.
    """

    without_effect: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _within_reason(cls, value: Any, info: ValidationInfo) -> Any:
        largest = LARGEST_BY_NAME.get(info.field_name or "", LARGEST)
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(number, (int, float)) and number > largest for number in numbers):
            raise PydanticCustomError(
                "too_large", "it is too large", {"expected": f"at most {largest:,}"}
            )
        return value

    @property
    def changed(self) -> frozenset[str]:
        """Options that are not as they are without being asked. Options travel between processes
        whole, so which of them were written is known at reading only.
        """
        return frozenset(
            name
            for name, info in type(self).model_fields.items()
            if not info.is_required() and getattr(self, name) != info.get_default()
        )


class NoOptions(OptionsModel):
    """None."""


def import_path(value: str) -> str:
    """`value`, for a field of options that names code of the suite.

    Raises:
        PydanticCustomError: it is not an import path.
    """
    if not IMPORT_PATH.fullmatch(value):
        raise PydanticCustomError(
            "import_path", "it is not an import path", {"expected": '"package.module:function"'}
        )
    return value


def data_source(value: str) -> str:
    """`value`, for a field of options that names data to learn from: a split or an import path.

    Raises:
        PydanticCustomError: it is neither, or it is the data that recipes are judged on.
    """
    if value not in {"train", "calibration"} and not IMPORT_PATH.fullmatch(value):
        raise PydanticCustomError(
            "data_source",
            "not a split or a function of training data",
            {"expected": 'train, calibration, "package.module:function"'},
        )
    return value


@dataclass(frozen=True)
class Artifact:
    """What a step takes and gives.

    Attributes:
        kind: "torch" (a live module), or files: "onnx", "aoti" (a package of compiled code, .pt2),
            "ncnn" (.param, weights beside it in .bin), "openvino" (.xml, weights beside it
            in .bin), "tflite", "exported" (a program of torch.export, .pt2), "torchscript" (an
            archive of torch.jit), "tensorrt" (an engine, beside it in .json what built it, unless
            it was not built here).
        module: the torch module in eval mode, for kind "torch".
        path: the file, for the other kinds; what belongs to it lies beside it.
    """

    kind: str
    module: Any = None
    path: Path | None = None


def dtype_of(module: Any) -> Any:
    """The type of a torch module's floating-point parameters (the first one's), which its inputs
    must have too; None for a module that has none.
    """
    return next(
        (parameter.dtype for parameter in module.parameters() if parameter.is_floating_point()),
        None,
    )
