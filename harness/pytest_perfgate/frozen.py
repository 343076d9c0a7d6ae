"""The base of all plain data that is stored: frozen, unknown fields are rejected."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator

from pytest_perfgate.plain_text import encodable, received

Message = Annotated[str, AfterValidator(received)]
"""A text of a worker or a library, of any length where it comes from."""


class Frozen(BaseModel):
    """Immutable; an unknown key is an error, and so is a number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _encodable(cls, value: Any) -> Any:
        """Text that cannot be written as UTF-8 enters no record: it would lose the whole file."""
        if isinstance(value, str):
            return encodable(value)
        if isinstance(value, dict):
            return {_text(key): _text(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], str):
            return tuple(map(_text, value))
        return value


def _text(value: Any) -> Any:
    return encodable(value) if isinstance(value, str) else value
