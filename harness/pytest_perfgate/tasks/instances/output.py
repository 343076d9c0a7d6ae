"""Options of the output of a network that segments instances: `[suite.output]`."""

from __future__ import annotations

from pydantic import Field

from pytest_perfgate.tasks.detection.output import DetectionsOutput


class Output(DetectionsOutput):
    """How the network's outputs become masks: `[suite.output]`."""

    decode: str = Field("ultralytics_seg", description="name of the decoder of the outputs")
