"""Options of `[suite.input]` of the arrays that a network takes: type, layout, further inputs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from pytest_perfgate.artifact import OptionsModel

Layout = Literal["NCHW", "NHWC"]
ImageType = Literal["float32", "float16", "uint8", "int8"]
OtherType = Literal["float32", "float16", "int64", "int32", "int8", "uint8", "bool"]


class Codes(OptionsModel):
    """How int8 stands for numbers: real value = scale * (code - zero_point), as in ONNX'
    DequantizeLinear.
    """

    scale: float = Field(gt=0, description="value of one code")
    zero_point: int = Field(0, ge=-128, le=127, description="the code of 0.0")


class OtherInput(OptionsModel):
    """An input beside the images."""

    rule: Literal["original_size", "network_size", "resized_size", "scale"] | None = Field(
        None, description="the rule that computes it from an image's size; or `value`"
    )
    order: Literal["hw", "wh"] = Field(
        "hw", description='with `rule`: "hw", height first; "wh", width first'
    )
    value: Any = Field(None, description="a constant: a number, or nested lists of them")
    per_image: bool = Field(
        False,
        description="with `value`: one for each image, behind a first dimension N; default: one "
        "for the whole batch",
    )
    dtype: OtherType | None = Field(
        None,
        description="type; default: the file's, else int64 for sizes and whole numbers, float32 "
        "for other numbers",
    )

    @model_validator(mode="after")
    def _fits(self) -> OtherInput:
        """A rule or a value, and only the options of it."""
        if (self.rule is None) == (self.value is None):
            raise ValueError("it needs a rule or a value, and not both")
        if self.value is None and self.per_image:
            raise ValueError("per_image is an option of a value: a rule gives one for each image")
        if self.rule is None and self.order != "hw":
            raise ValueError("order is an option of a rule")
        if self.value is not None:
            self.constant()
        return self

    @property
    def numpy_type(self) -> str:
        """The type, by numpy's name."""
        if self.dtype is not None:
            return self.dtype
        if self.value is None:
            return "float32" if self.rule == "scale" else "int64"
        kind = _array(self.value).dtype.kind
        return {"b": "bool", "i": "int64"}.get(kind, "float32")

    def constant(self) -> Any:
        """The value as an array.

        Raises:
            ValueError: rows of it have different lengths, or the type does not hold it.
        """
        plain = _array(self.value)
        array = plain.astype(self.numpy_type)
        if array.dtype.kind != "f" and (array.astype(plain.dtype) != plain).any():
            raise ValueError(f"the value {self.value} is not of the type {self.numpy_type}")
        return array


def _array(value: Any) -> Any:
    """A number or nested lists of them as an array.

    Raises:
        ValueError: it holds something else, or rows of it have different lengths.
    """
    import numpy as np

    array = np.array(value)  # of rows of different lengths: ValueError
    if array.dtype.kind not in "bif" or not np.isfinite(array).all():
        raise ValueError(f"the value {value!r} holds something else than numbers")
    return array
