"""The base of all plain data that is stored: frozen, unknown fields are rejected."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator

from pytest_perfgate.plain_text import encodable, received, without_secrets

Message = Annotated[str, AfterValidator(received)]
"""A text of a worker or a library, of any length where it comes from."""


class Frozen(BaseModel):
    """Immutable; an unknown key is an error, and so is a number that is not finite."""

    # A program imports more kinds of records than it reads: validators are built at first use.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @field_validator("*", mode="before")
    @classmethod
    def _encodable(cls, value: Any) -> Any:
        """No text that cannot be written as UTF-8, which would lose the whole file, and no user or
        query of a URL enters a record: what is made of it is read by more people than may use them.
        """
        if isinstance(value, (list, tuple)) and value and not isinstance(value[0], str):
            return value  # numbers, or records of their own
        return _clean(value)


def _clean(value: Any) -> Any:
    """Plain data whose texts can be kept."""
    if isinstance(value, str):
        return without_secrets(encodable(value))
    if isinstance(value, dict):
        return {_clean(key): _clean(inner) for key, inner in value.items()}
    if (
        isinstance(value, (list, tuple))
        and value
        and isinstance(value[0], (str, dict, list, tuple))
    ):
        return type(value)(map(_clean, value))
    return value
