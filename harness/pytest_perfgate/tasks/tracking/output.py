"""Options of a tracker behind a detector: `[suite.output]`."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from pytest_perfgate.artifact import import_path
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.tasks.detection.output import Output as DetectionOutput
from pytest_perfgate.tasks.tracking.iou_options import IouOptions

IOU = "iou"


class Output(DetectionOutput):
    """How the network's outputs become boxes, and boxes tracks."""

    tracker: str = Field(
        IOU,
        description='"iou", the tracker that is built in, or "module:Class" of the project, an '
        "object of which is made for each sequence",
    )
    tracker_options: dict[str, Any] = Field(
        default_factory=dict, description="keywords of the tracker's class"
    )

    @field_validator("tracker")
    @classmethod
    def _is_tracker(cls, value: str) -> str:
        return value if value == IOU else import_path(value)

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        """Check the keywords of the tracker that is built in.

        Raises:
            RecipeError: names the key.
        """
        if self.tracker != IOU:
            return self
        try:
            IouOptions.model_validate(self.tracker_options)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise RecipeError(
                f"{first['input']!r}: {first['msg'][:1].lower()}{first['msg'][1:]}",
                where=f"suite.output.tracker_options.{key}",
                valid=", ".join(IouOptions.model_fields),
            ) from None
        return self

    def _replaced(self) -> list[str]:
        """The project's own function gives detections; the tracker stays."""
        return [name for name in super()._replaced() if not name.startswith("tracker")]
