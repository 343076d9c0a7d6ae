"""Whether a program of torch.export can be loaded without running other code than torch's.

torch.export.load unpickles objects, evaluates texts as Python, and looks functions up by name
(torch 2.13: torch/_export/serde/serialize.py, torch/export/pt2_archive/_package.py). What an
ordinary program has is allowed here, and everything else is refused.
"""

from __future__ import annotations

import ast
import io
import json
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from pytest_perfgate.errors import RecipeError
from pytest_perfgate.files import ZIP_ERRORS
from pytest_perfgate.inputs import Tensor
from pytest_perfgate.sources.torch_archive import Archive

_WORD = re.compile(r"[\w.:+-]*")
"""Names of values, weights and types."""

_TARGET = re.compile(
    r"torch\.ops\.(aten|prims|quantized|quantized_decomposed|torchao|torchvision|mkldnn|onednn)"
    r"\.\w+(\.\w+)?"
    r"|torch\.ops\.higher_order\.(cond|wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|torch\.sym_(int|float|not|max|min|ite|sqrt|sum)"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|xor"
    r"|getitem|lshift|rshift)"
    r"|math\.(ceil|floor|trunc|sqrt)"
)
_FILE_OPERATORS = re.compile(r"torch\.ops\.aten\.(from_file|save|load)\b.*")
_SYMBOLIC = frozenset(
    {"Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "Max", "Min", "Mod", "Abs"}
    | {"FloorDiv", "ModularIndexing", "Where", "PythonMod", "CleanDiv", "CeilToInt", "FloorToInt"}
    | {"CeilDiv", "LShift", "RShift", "PowByNatural", "FloatPow", "FloatTrueDiv", "IntTrueDiv"}
    | {"TruncToFloat", "TruncToInt", "RoundToInt", "RoundDecimal", "ToFloat", "Identity"}
    | {"Equality", "Unequality", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not"}
    | {"StrictLessThan", "LessThan", "StrictGreaterThan", "GreaterThan"}
)
"""Functions of expressions on sizes."""

_CONTAINERS = {None, "builtins.tuple", "builtins.list", "builtins.dict"}
_CONTAINERS |= {"collections.OrderedDict"}
_PICKLED = re.compile(
    r"torch\._utils (_rebuild_tensor_v2|_rebuild_parameter)|torch \w+Storage|"
    r"collections OrderedDict|torch (float|int|uint|bfloat|bool)\w*"
)
_OPCODES = frozenset({"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"})
_GRAPH = "models/model.json"
_UNREAD = frozenset({"metadata", "as_string", "as_strings"})
"""Texts that are kept as they are: where a line came from, and arguments of operators."""


@dataclass(frozen=True)
class Program:
    """What a program says of itself: the number of its operators, the torch that wrote it, and the
    tensors that it is called with.
    """

    operators: int
    torch: str
    inputs: tuple[Tensor, ...]


_TYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
    13: "bfloat16",
}
"""torch/_export/serde/schema.py, ScalarType."""


def check_program(archive: Archive) -> Program:
    """A program that only torch's own code runs for.

    Raises:
        RecipeError: names what else would run.
    """
    if any(name.startswith("data/aotinductor/") for name in archive.names):
        raise RecipeError(
            "the file holds machine code of AOTInductor",
            valid="a file of torch.export.save",
            next_step='name the model that it was compiled from: { aotinductor = "pt2" }',
        )
    models = [name for name in archive.names if name.startswith("models/")]
    if models != [_GRAPH]:
        raise RecipeError(
            "the file has no program 'model', or is of a torch before 2.8",
            next_step="save it again with torch.export.save of a newer torch",
        )
    _check_payloads(archive)
    graph = _json(archive, _GRAPH)
    operators = 0
    for key, text in _texts(graph):
        if key == "target" and not (_TARGET.fullmatch(text) and not _FILE_OPERATORS.match(text)):
            _refuse(f"calls {text!r}")
        elif key == "expr_str":
            _check_expression(text)
        elif key in {"in_spec", "out_spec"}:
            _check_structure(text)
        elif key == "guards_code":
            _refuse(f"has guards in Python: {text!r}")
        elif key not in {"target", "expr_str"} and not _WORD.fullmatch(text):
            _refuse(f"has the name {text!r}")
        operators += key == "target"
    try:
        return Program(operators, str(graph.get("torch_version", "")), tuple(_inputs(graph)))
    except (KeyError, TypeError, AttributeError) as error:
        raise RecipeError(f"{_GRAPH!r} in the archive is damaged: {error!r}") from error


def _inputs(graph: dict[str, Any]) -> Iterator[Tensor]:
    """The tensors that a program is called with, in order."""
    module = graph["graph_module"]
    for spec in module["signature"]["input_specs"]:
        tensor = spec.get("user_input", {}).get("arg", {}).get("as_tensor")
        if tensor is not None:
            value = module["graph"]["tensor_values"][tensor["name"]]
            sizes = tuple(size.get("as_int", "?") for size in value["sizes"])
            yield Tensor(tensor["name"], _TYPES.get(value["dtype"], "?"), sizes)


def _refuse(what: str) -> NoReturn:
    raise RecipeError(
        f"the program {what[:200]}, which is not read: a model's file must run no code of its own",
        next_step='name a function that loads it: model = "package.module:function", or export '
        "the model to ONNX",
    )


def _json(archive: Archive, name: str) -> dict[str, Any]:
    try:
        value = json.loads(archive.read(name))
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{name!r} in the archive is damaged: {error}") from error
    if not isinstance(value, dict):
        raise RecipeError(f"{name!r} in the archive is no table")
    return value


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """All texts of a graph with the key that they stand at, and the keys themselves."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield "", name
            if name not in _UNREAD:
                yield from _texts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key)
    elif isinstance(value, str):
        yield key, value


def _check_payloads(archive: Archive) -> None:
    """Weights and constants must be plain bytes; the example's tensors are pickled in any file."""
    for name in archive.names:
        folder = name.rpartition("/")[0]
        if name.endswith(".pt") and folder in {"data/weights", "data/constants"}:
            _refuse(f"has pickled weights in {name!r}")
        if name.startswith("data/sample_inputs/"):
            _check_pickle(name, archive.read(name))
    for name in ("data/weights/model_weights_config", "data/constants/model_constants_config"):
        for key, payload in _json(archive, f"{name}.json").get("config", {}).items():
            plain = str(payload.get("path_name", "")).startswith(("weight_", "tensor_"))
            if payload.get("use_pickle") is not False or not plain:
                _refuse(f"has the pickled object {key!r}")


def _check_pickle(name: str, content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as inner:
            members = [member for member in inner.namelist() if member.endswith(".pkl")]
            if [member.rpartition("/")[2] for member in members] != ["data.pkl"]:
                _refuse(f"has something else than tensors in {name!r}")
            for opcode, argument, _ in pickletools.genops(inner.read(members[0])):
                allowed = opcode.name != "GLOBAL" or _PICKLED.fullmatch(str(argument))
                if opcode.name in _OPCODES or not allowed:
                    _refuse(f"pickles {argument or opcode.name!r} in {name!r}")
    except (*ZIP_ERRORS, ValueError, pickle.UnpicklingError, OSError) as error:
        raise RecipeError(f"{name!r} in the archive is damaged: {error}") from error


def _check_expression(text: str) -> None:
    """Names, numbers and functions of `_SYMBOLIC`: sympy evaluates the text as Python."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        _refuse(f"has the expression {text!r}")
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in _SYMBOLIC:
                continue
            case ast.Constant(value=str(word)) if not re.fullmatch(r"\w+", word):
                _refuse(f"has the expression {text!r}")
            case (
                ast.Expression()
                | ast.Name()
                | ast.Load()
                | ast.Constant()
                | ast.keyword()
                | ast.BinOp()
                | ast.UnaryOp()
                | ast.operator()
                | ast.unaryop()
                | ast.Compare()
                | ast.cmpop()
                | ast.Tuple()
            ):
                continue
            case _:
                _refuse(f"has the expression {text!r}")


def _check_structure(text: str) -> None:
    """How inputs and outputs are nested: in Python's own containers."""
    try:
        waiting = [json.loads(text)[1]]
        while waiting:
            spec = waiting.pop()
            if spec["type"] not in _CONTAINERS:
                _refuse(f"takes or returns {spec['type']!r}")
            waiting += spec["children_spec"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise RecipeError(f"the structure {text[:200]!r} is damaged: {error}") from error
