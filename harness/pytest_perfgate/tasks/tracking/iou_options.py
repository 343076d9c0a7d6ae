"""Options of the tracker that is built in, which reading a suite needs without numpy."""

from __future__ import annotations

from pydantic import Field

from pytest_perfgate.artifact import OptionsModel


class IouOptions(OptionsModel):
    """Options of the tracker `iou`."""

    high_score: float = Field(
        0.5, ge=0, le=1, description="lowest score of a detection that is matched first"
    )
    new_score: float = Field(0.6, ge=0, le=1, description="lowest score that begins a track")
    low_score: float = Field(
        0.1, ge=0, le=1, description="lowest score that continues a track of the frame before"
    )
    min_iou: float = Field(
        0.2, gt=0, le=1, description="lowest overlap of a detection with its track"
    )
    max_missed: int = Field(
        15, ge=0, le=10_000, description="frames without a detection after which a track ends"
    )
    min_hits: int = Field(
        1, ge=1, le=1_000, description="detections of a track before it is given out"
    )
