"""Keyword arguments of a trainer's own (`trainer_options`), held to its signature."""

from __future__ import annotations

import inspect
import json
import math
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from pytest_perfgate.errors import RecipeError, suggestion

OPTION = "trainer_options"

CONTRACT_ARGUMENTS = ("steps", "learning_rate", "batch_size", "seed", "course")
"""Keyword arguments that every trainer gets."""

_PLAIN = "numbers, text, true, false, and lists and tables of these"


@dataclass(frozen=True)
class Argument:
    """One argument of a trainer's own.

    Attributes:
        type: what a value must be; `Any` where the signature does not say.
        words: the annotation as it is written, "" for none.
        required: whether it has no default.
    """

    type: Any = Any
    words: str = ""
    required: bool = False


@dataclass(frozen=True)
class TrainerSignature:
    """What a trainer takes besides the module, the data and `CONTRACT_ARGUMENTS`.

    Attributes:
        trainer: its import path, for messages.
        arguments: its own arguments, by name.
        others: what it takes under any other name (`**options`); None: nothing.
    """

    trainer: str
    arguments: Mapping[str, Argument]
    others: Argument | None = None

    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The values of `options` in the types of the signature.

        Raises:
            RecipeError: the trainer does not take an argument, or not this value, or lacks one;
                its place is the option's.
        """
        values = {}
        for name, value in options.items():
            argument = self.arguments.get(name, self.others)
            if argument is None:
                raise RecipeError(
                    f"the trainer {self.trainer} takes no argument {name!r}",
                    where=f"{OPTION}.{name}",
                    valid=suggestion(name, self.arguments) if self.arguments else "none",
                )
            values[name] = self._typed(name, value, argument)
        for name, argument in self.arguments.items():
            if argument.required and name not in options:
                raise RecipeError(
                    f"the trainer {self.trainer} needs a value for {name!r}",
                    where=OPTION,
                    valid=argument.words or "any value",
                    next_step=f"{OPTION} = {{ {name} = … }}",
                )
        return values

    def _typed(self, name: str, value: Any, argument: Argument) -> Any:
        where = f"{OPTION}.{name}"
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(argument.type)
        except PydanticSchemaGenerationError:
            raise RecipeError(
                f"the trainer {self.trainer} takes a {argument.words} for {name!r}, which a suite "
                "file cannot give",
                where=where,
                valid=f"an argument that takes {_PLAIN}",
            ) from None
        try:
            # As JSON a whole number is a float too, and an array a tuple; "3" is no number.
            return adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise RecipeError(
                f"{value!r} is no {argument.words}: {first['msg']}",
                where=where,
                valid=argument.words,
            ) from None


def signature_of(trainer: Callable[..., Any]) -> TrainerSignature:
    """The signature of a trainer that has been imported.

    Raises:
        RecipeError: an annotation of its own arguments names nothing.
    """
    name = f"{trainer.__module__}:{getattr(trainer, '__qualname__', '')}".rstrip(":")
    names = getattr(inspect.unwrap(trainer), "__globals__", {})
    arguments, others = {}, None
    for parameter in _own(inspect.signature(trainer)):
        annotation = parameter.annotation
        if annotation is parameter.empty:
            argument = Argument(required=parameter.default is parameter.empty)
        else:
            argument = Argument(
                _evaluated(annotation, names, f"{name}: {parameter.name}"),
                annotation if isinstance(annotation, str) else inspect.formatannotation(annotation),
                parameter.default is parameter.empty,
            )
        if parameter.kind is parameter.VAR_KEYWORD:
            others = argument
        else:
            arguments[parameter.name] = argument
    return TrainerSignature(name, arguments, others)


def _own(signature: inspect.Signature) -> Iterator[inspect.Parameter]:
    """Parameters that a suite may set: not the module and the data, nor those of the contract."""
    positional = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )
    places = 0
    for parameter in signature.parameters.values():
        if parameter.kind in positional and places < 2:
            places += 1
        elif parameter.name not in CONTRACT_ARGUMENTS and parameter.kind not in {
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.POSITIONAL_ONLY,
        }:
            yield parameter


def _evaluated(annotation: Any, names: Mapping[str, Any], where: str) -> Any:
    """The type that an annotation names, whether it is written as text or not."""
    holder = SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, dict(names))["it"]
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise RecipeError(
            f"the annotation {annotation} cannot be evaluated: {error}",
            where=where,
            next_step="import what it names where the module runs, not under TYPE_CHECKING alone",
        ) from error


def plain(options: dict[str, Any]) -> dict[str, Any]:
    """`options`, for a field of options that holds arguments of a trainer.

    Raises:
        PydanticCustomError: a name is none of an argument, is one that every trainer gets already,
            or a value is not plain.
    """
    for name, value in options.items():
        if not name.isidentifier():
            raise PydanticCustomError(
                "argument_name",
                "{name} is no name of an argument",
                {"name": repr(name), "expected": "a name as in Python"},
            )
        if name in CONTRACT_ARGUMENTS:
            raise PydanticCustomError(
                "argument_given",
                "{name} is given to every trainer already",
                {"name": name, "expected": "an argument of the trainer's own"},
            )
        if not _is_plain(value):
            raise PydanticCustomError(
                "argument_value", "{name} is not plain", {"name": name, "expected": _PLAIN}
            )
    return options


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return isinstance(value, (bool, int, str)) or (
        isinstance(value, float) and math.isfinite(value)
    )
