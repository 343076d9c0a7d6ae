"""Options of a detector's output: `[suite.output]`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pytest_perfgate.tasks.output_options import OutputOptions


class Output(OutputOptions):
    """How the network's outputs become boxes: `[suite.output]`."""

    decode: str = Field("boxes_scores", description="name of the decoder of the network's outputs")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the decoder")
    score_threshold: float = Field(0.05, ge=0, le=1, description="lowest score of a detection")
    iou_threshold: float = Field(
        0.6, gt=0, le=1, description="IoU with a better box from which on a box is suppressed"
    )
    max_detections: int = Field(
        100, ge=1, description="largest number of detections per image, best first"
    )
