"""Names of the network's classes in a suite file: a text file, or the model's own metadata."""

from __future__ import annotations

from typing import Any

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.records.recipe import ModelSpec
from pytest_perfgate.sources import Fence, inside
from pytest_perfgate.sources.onnx_header import read_header
from pytest_perfgate.sources.onnx_metadata import class_names
from pytest_perfgate.suite.tables import Place, SuiteTable

METADATA = "metadata"
_LARGEST = 4 * 2**20  # bytes of a file of names


def with_class_names(place: Place, table: SuiteTable, model: ModelSpec, fence: Fence) -> SuiteTable:
    """The table with the names themselves where `classes` is a file or "metadata".

    Raises:
        RecipeError: there are no names.
    """
    output = dict(table.output)
    if isinstance(output.get("classes"), str):
        output["classes"] = _names(place, output["classes"], "suite.output.classes", model, fence)
    options = output.get("options")
    if isinstance(options, dict) and isinstance(options.get("classes"), str):
        key = "suite.output.options.classes"
        output["options"] = {
            **options,
            "classes": _names(place, options["classes"], key, model, fence),
        }
    return table if output == table.output else table.model_copy(update={"output": output})


def _names(place: Place, source: str, key: str, model: ModelSpec, fence: Fence) -> list[str]:
    try:
        names = _of_model(model, fence) if source == METADATA else _of_file(source, fence)
    except (PerfgateError, OSError, UnicodeError) as error:
        problem = error.problem if isinstance(error, PerfgateError) else str(error)
        raise place.error(
            f"the names of the classes cannot be read: {problem}",
            key,
            valid=f'a text file with a name in each line, "{METADATA}" for those in an ONNX file, '
            "or the network's indices in the order of the data's classes",
        ) from None
    if len(names) < 1:
        holder = f"{model.name!r}" if source == METADATA else f"{source!r}"
        raise place.error(
            f"{holder} holds no names of classes",
            key,
            valid="a text file with a name in each line, or, of an ONNX file that holds names, "
            f'"{METADATA}"',
            next_step='write the names, in the network\'s order, to a file: classes = "names.txt"',
        )
    return names


def _of_model(model: ModelSpec, fence: Fence) -> list[str]:
    if not model.name.endswith(".onnx") or ":" in model.name:
        return []
    return [*class_names(read_header(inside(model.name, fence)).metadata)]


def _of_file(source: str, fence: Fence) -> list[str]:
    file = inside(source, fence)
    with file.open("rb") as stream:
        raw = stream.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise OSError(f"{source!r} is larger than {_LARGEST:,} bytes")
    lines: list[Any] = raw.decode("utf-8-sig").splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    return [line.strip() for line in lines]
