"""The tables of slices and of a shift in `recipes.toml`, as pydantic models."""

from __future__ import annotations

from itertools import pairwise

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, field_validator
from pydantic_core import PydanticCustomError


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SliceTable(_Table):
    """One `[suite.slices]` entry: the attribute by which images of a set are told apart."""

    by: str = Field(
        min_length=1,
        description="attribute of images: brightness, contrast, width, height, size, objects, "
        "object_size; a field of a COCO file's images or annotations; a column of `file`",
    )
    on: str = Field("validation", description="the set that is sliced")
    edges: list[StrictInt | StrictFloat] = Field(
        default_factory=list,
        description="where slices of numbers begin, such as [32, 96]; default: quarters of equally "
        "many images",
    )
    file: str = Field("", description="a CSV file with a header, a row for each image")
    least: int = Field(30, ge=2, description="images below which a slice is too small to judge")

    @field_validator("edges")
    @classmethod
    def _rising(cls, value: list[int | float]) -> list[int | float]:
        if any(one >= two for one, two in pairwise(value)):
            raise PydanticCustomError("edges", "they do not rise", {"expected": "rising numbers"})
        return value


class ShiftTable(_Table):
    """`[suite.shift]`: the two sets that a recipe which learns from data is judged on."""

    source: str = Field("validation", description="the set whose score may be lost")
    target: str = Field(description="the set that recipes adapt to")
