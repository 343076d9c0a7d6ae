"""What the options of `[suite.output]` of every task have in common."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from pytest_perfgate.artifact import OptionsModel, import_path
from pytest_perfgate.tasks.pixels.replaced_keys import refuse_replaced


class OutputOptions(OptionsModel):
    """Base of a task's `Output`: the project's own function in place of all other keys."""

    postprocess: str = Field(
        "",
        description='"package.module:function" in place of the other keys: from the network\'s '
        "outputs and what pre-processing said of each image to a prediction per image",
    )

    @field_validator("postprocess")
    @classmethod
    def _is_import_path(cls, value: str) -> str:
        return import_path(value) if value else ""

    @model_validator(mode="after")
    def _alone(self) -> Self:
        """Check that nothing is declared beside the function.

        Raises:
            RecipeError: names the key.
        """
        if self.postprocess:
            refuse_replaced(self, "postprocess", self._replaced(), "suite.output")
        return self

    def _replaced(self) -> list[str]:
        """The keys that the function takes the place of. Default: all others."""
        return [name for name in type(self).model_fields if name != "postprocess"]


class TileMatching(OptionsModel):
    """Which boxes of several tiles are of one object."""

    tile_match_metric: Literal["ios", "iou"] = Field(
        "ios",
        description="overlap of two boxes from `tiles`: `ios`, intersection over the smaller box, "
        "also drops the part of an object that a tile's edge cut off; `iou` does not",
    )
    tile_match_threshold: float = Field(
        0.5,
        gt=0,
        le=1,
        description="overlap with a better box of another tile from which on a box is suppressed",
    )
