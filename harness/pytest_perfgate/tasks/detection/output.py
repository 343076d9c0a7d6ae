"""Options of a detector's output: `[suite.output]`."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.tasks.output_options import OutputOptions, TileMatching


class OperatingPoint(OptionsModel):
    """What an application takes for a detection, and for a match."""

    score: float = Field(ge=0, le=1, description="lowest score of a detection")
    iou: float = Field(0.5, gt=0, le=1, description="lowest IoU of a detection with its object")


class DetectionsOutput(OutputOptions):
    """What outputs of boxes and of masks have in common."""

    decode: str = Field("boxes_scores", description="name of the decoder of the network's outputs")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the decoder")
    score_threshold: float = Field(0.05, ge=0, le=1, description="lowest score of a detection")
    iou_threshold: float = Field(
        0.6, gt=0, le=1, description="IoU with a better box from which on a box is suppressed"
    )
    class_agnostic: bool = Field(
        False, description="whether a better box of another class suppresses a box, too"
    )
    max_detections: int = Field(
        100, ge=1, description="largest number of detections per image, best first"
    )
    operating_point: OperatingPoint | None = Field(
        None,
        description="`{ score = 0.25, iou = 0.5 }`: where precision, recall and F1 are measured. "
        "Default: nowhere",
    )

    @field_validator("operating_point")
    @classmethod
    def _above_the_floor(
        cls, value: OperatingPoint | None, info: ValidationInfo
    ) -> OperatingPoint | None:
        floor = info.data.get("score_threshold", 0.0)
        if value is not None and value.score < floor:
            raise ValueError(f"its score {value.score:g} is below score_threshold = {floor:g}")
        return value


class Output(DetectionsOutput, TileMatching):
    """How the network's outputs become boxes: `[suite.output]`."""
