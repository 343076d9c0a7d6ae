"""Names of the network's classes in a suite file: a text file, or the model's own metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.locations.url import is_location
from pytest_perfgate.records.recipe import ModelSpec
from pytest_perfgate.sources import Fence, inside
from pytest_perfgate.sources.finished_file import file_of, package_of
from pytest_perfgate.sources.naming import source_of
from pytest_perfgate.sources.onnx import Onnx
from pytest_perfgate.sources.onnx_header import read_header
from pytest_perfgate.sources.onnx_metadata import class_names
from pytest_perfgate.suite.tables import Place

METADATA = "metadata"
_UNREAD = ("classes", METADATA)
_LARGEST = 4 * 2**20  # bytes of a file of names


def with_class_names(
    place: Place, written: Mapping[str, Any], model: ModelSpec, fence: Fence
) -> dict[str, Any]:
    """`[suite.output]` with the names themselves where `classes` is a file or "metadata". The
    latter stays for a model in a store, until it is fetched.

    Raises:
        RecipeError: there are no names.
    """
    output = dict(written)
    if isinstance(output.get("classes"), str):
        output["classes"] = _names(place, output["classes"], "suite.output.classes", model, fence)
    options = output.get("options")
    if isinstance(options, dict) and isinstance(options.get("classes"), str):
        key = "suite.output.options.classes"
        output["options"] = {
            **options,
            "classes": _names(place, options["classes"], key, model, fence),
        }
    return output


def without_unread(output: Mapping[str, Any]) -> dict[str, Any]:
    """`[suite.output]` without `classes` whose names are in a model that is not fetched yet."""
    known = {key: value for key, value in output.items() if (key, value) != _UNREAD}
    if isinstance(options := known.get("options"), dict):
        known["options"] = {key: value for key, value in options.items() if (key, value) != _UNREAD}
    return known


def _names(place: Place, source: str, key: str, model: ModelSpec, fence: Fence) -> list[str] | str:
    if source == METADATA and is_location(model.name) and model.name not in fence.fetched:
        return source
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
    source, name = source_of(model.name)
    if not isinstance(source, Onnx):
        return []
    file = file_of(name, fence) if package_of(name) else inside(name, fence)
    return [] if file is None else [*class_names(read_header(file).metadata)]


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
