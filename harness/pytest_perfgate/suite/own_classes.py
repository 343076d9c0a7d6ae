"""Decoders, trackers and tasks of the project's own: "module:Class" in a suite file."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import IMPORT_PATH
from pytest_perfgate.records.code_tree import CodeTree
from pytest_perfgate.suite.tables import Place, SuiteTable


def with_import_paths(
    place: Place, table: SuiteTable, file: Path, root: Path, tree: CodeTree | None
) -> SuiteTable:
    """The table with the names of the project's own classes as they are imported from its root: a
    module beside the suite file is named by its own name alone. Afterwards they can be imported
    here, from the working tree alone: this process takes no code from another version (`tree`).

    Raises:
        RecipeError: a name is no import path, or a folder's name cannot be imported.
    """
    changes: dict[str, Any] = {}
    if registry.is_own(table.task):
        changes["task"] = _from_root(place, table.task, "suite.task", file, root)
    for key in ("decode", "tracker"):
        name = table.output.get(key)
        if isinstance(name, str) and registry.is_own(name):
            whole = _from_root(place, name, f"suite.output.{key}", file, root)
            changes["output"] = {**changes.get("output", table.output), key: whole}
    if not changes:
        return table
    if tree is None:
        registry.search_in(root)
    return table.model_copy(update=changes)


def _from_root(place: Place, name: str, key: str, file: Path, root: Path) -> str:
    if not IMPORT_PATH.fullmatch(name):
        raise place.error(
            f"{name!r} is no class", key, valid='"module:Class", with the module beside this file'
        )
    module, _, kind = name.partition(":")
    first = module.partition(".")[0]
    beside = [file.parent / f"{first}.py", file.parent / first]
    if not any(path.exists() for path in beside) or not file.is_relative_to(root):
        return name
    parts = PurePath(file.parent.relative_to(root)).parts
    for part in parts:
        if not part.isidentifier():
            raise place.error(
                f"{beside[0].name} is in the folder {part!r}, whose name cannot be imported",
                key,
                next_step=f"rename the folder, or move {beside[0].name} into the project's root",
            )
    return ".".join([*parts, module]) + f":{kind}"
