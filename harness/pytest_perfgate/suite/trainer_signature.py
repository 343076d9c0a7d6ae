"""The signature of a suite's trainer as its source has it: nothing is imported to read a suite.

A trainer's module imports a framework, which the process of pytest does not. What the source does
not tell (a decorated function, a type by a name of the project's own) is checked by the step that
calls the trainer.
"""

from __future__ import annotations

import ast
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_perfgate.steps.trainer_options import (
    CONTRACT_ARGUMENTS,
    Argument,
    TrainerSignature,
)

_TYPES: dict[str, Any] = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "list": list,
    "dict": dict,
    "tuple": tuple,
    "Literal": typing.Literal,
    "Optional": typing.Optional,
    "Union": typing.Union,
    "Sequence": Sequence,
    "Mapping": Mapping,
    "Any": Any,
}
"""Types by the names that they have everywhere."""


def read_signature(trainer: str, root: Path) -> TrainerSignature | None:
    """What the trainer at an import path takes; None: its source below `root` does not tell."""
    module, _, name = trainer.partition(":")
    relative = Path(*module.split("."))
    for place in (root, root / "src"):
        for file in (place / relative.with_suffix(".py"), place / relative / "__init__.py"):
            if file.is_file():
                return _of(file, name, trainer)
    return None


def _of(file: Path, name: str, trainer: str) -> TrainerSignature | None:
    try:
        statements = ast.parse(file.read_bytes()).body
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):
        return None  # whoever imports it says what is wrong
    # What is rebound below, under `if` or by an import, is another function.
    functions = [one for one in statements if isinstance(one, ast.FunctionDef) and one.name == name]
    if len(functions) != 1 or functions[0].decorator_list:
        return None
    declared = functions[0].args
    if declared.vararg or len(declared.posonlyargs) > 2:
        return None
    positional = [*declared.posonlyargs, *declared.args]
    defaults = [None] * (len(positional) - len(declared.defaults)) + list(declared.defaults)
    arguments = {
        one.arg: _argument(one.annotation, required=default is None)
        for one, default in [
            *zip(positional[2:], defaults[2:], strict=True),
            *zip(declared.kwonlyargs, declared.kw_defaults, strict=True),
        ]
        if one.arg not in CONTRACT_ARGUMENTS
    }
    others = _argument(declared.kwarg.annotation, required=False) if declared.kwarg else None
    return TrainerSignature(trainer, arguments, others)


def _argument(annotation: ast.expr | None, *, required: bool) -> Argument:
    if annotation is None:
        return Argument(required=required)
    written = annotation.value if isinstance(annotation, ast.Constant) else None
    words = written if isinstance(written, str) else ast.unparse(annotation)
    try:
        return Argument(_type(annotation), words, required)
    except (LookupError, TypeError, SyntaxError):
        return Argument(Any, words, required)  # known when the module is imported


def _type(node: ast.expr) -> Any:
    """The type that an annotation names.

    Raises:
        LookupError, TypeError: by its source alone it is not known.
        SyntaxError: it is text, and no expression.
    """
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Constant(value=str(text)):
            return _type(ast.parse(text, mode="eval").body)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _TYPES[name]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return typing.Union[_type(left), _type(right)]  # noqa: UP007 - None | None has no `|`
        case ast.Subscript(value=ast.Name(id="Literal") | ast.Attribute(attr="Literal")):
            return typing.Literal[ast.literal_eval(node.slice)]
        case ast.Subscript(value=value, slice=ast.Tuple(elts=parts)):
            return _type(value)[tuple(map(_part, parts))]
        case ast.Subscript(value=value, slice=part):
            return _type(value)[_part(part)]
    raise LookupError(ast.unparse(node))


def _part(node: ast.expr) -> Any:
    return ... if isinstance(node, ast.Constant) and node.value is ... else _type(node)
