"""Options of every step that trains."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pytest_perfgate import units
from pytest_perfgate.artifact import OptionsModel, data_source
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.steps.trainer_options import plain
from pytest_perfgate.units import Unit


class TrainingOptions(OptionsModel):
    """Options of every step that trains.

    Attributes:
        later: options that came after the first artifacts were trained.
    """

    later: ClassVar[frozenset[str]] = frozenset(
        {"device", "trainer_options", "processes", "checkpoint_every"}
    )
    without_effect: ClassVar[frozenset[str]] = frozenset({"checkpoint_every"})

    steps: int = Field(ge=1, description="optimizer steps")
    learning_rate: float = Field(1e-3, gt=0, description="highest learning rate")
    batch_size: int = Field(8, ge=1, description="images per step")
    data: str = Field(
        "train",
        description="training images: a split, or an import path of other data",
    )

    device: Literal["cpu", "cuda"] = Field(
        "cpu", description="device of the training; without a GPU, `cuda` skips the recipe"
    )
    trainer_options: dict[str, Any] = Field(
        {}, description="further keyword arguments of the trainer, in the types of its signature"
    )
    processes: int = Field(
        1,
        ge=1,
        description="processes that train together (data parallel), each on an equal share of "
        "every batch, with `threads` cores or a GPU for itself; with fewer there, the recipe is "
        "skipped",
    )
    checkpoint_every: str = Field(
        "30 s", description="time between two checkpoints, at the least, with its unit"
    )

    @property
    def checkpoint_seconds(self) -> float:
        """Seconds between two checkpoints."""
        return units.parse(self.checkpoint_every, Unit.SECONDS)

    @field_validator("checkpoint_every")
    @classmethod
    def _duration(cls, value: str) -> str:
        try:
            negative = units.parse(value, Unit.SECONDS) < 0
        except PerfgateError as error:
            raise PydanticCustomError(
                "duration", "{problem}", {"problem": error.problem, "expected": error.valid}
            ) from None
        if negative:
            raise PydanticCustomError(
                "duration", "it is negative", {"expected": "'10 min', '30 s'"}
            )
        return value

    @model_validator(mode="after")
    def _even(self) -> Self:
        if self.batch_size % self.processes:
            raise ValueError(
                f"batch_size = {self.batch_size} cannot be divided evenly among "
                f"{self.processes} processes"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the defaults of options that came later: artifacts that were trained before are
        found again.
        """
        fields: dict[str, Any] = handler(self)
        declared = type(self).model_fields
        for name in self.later & fields.keys():
            if getattr(self, name) == declared[name].get_default():
                del fields[name]
        return fields

    @field_validator("data")
    @classmethod
    def _known(cls, value: str) -> str:
        return data_source(value)

    @field_validator("trainer_options")
    @classmethod
    def _plain(cls, value: dict[str, Any]) -> dict[str, Any]:
        return plain(value)
