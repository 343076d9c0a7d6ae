"""Reads the `[suite]` table: the task, the model, the data, and options of input and output."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import IMPORT_PATH
from pytest_perfgate.errors import RecipeError, suggestion
from pytest_perfgate.locations.url import is_location
from pytest_perfgate.machine.fingerprint import FEATURES
from pytest_perfgate.records.code_tree import CodeTree
from pytest_perfgate.records.recipe import ModelSpec, sets_of, split_of
from pytest_perfgate.sources import MOUNT, Fence
from pytest_perfgate.sources.naming import source_of
from pytest_perfgate.state import Feedback
from pytest_perfgate.suite.chain import read_model
from pytest_perfgate.suite.class_names import with_class_names, without_unread
from pytest_perfgate.suite.own_classes import with_import_paths
from pytest_perfgate.suite.requirements import GPU
from pytest_perfgate.suite.scopes import SETS, with_sets
from pytest_perfgate.suite.state import check_state, read_state
from pytest_perfgate.suite.tables import NAME, Place, SuiteTable
from pytest_perfgate.tasks.pixels.tiles import check_tiles

SPLITS = ("train", "calibration", "validation")


def read_suite_table(
    place: Place, data: Mapping[str, Any], file: Path, root: Path, tree: CodeTree | None
) -> tuple[SuiteTable, ModelSpec, tuple[Feedback, ...]]:
    """The suite's table, checked, its model and its state; `data` is the whole file, `tree` the
    version of the code that `root` is of, None for the working tree.

    Raises:
        RecipeError: the first key that is wrong.
    """
    unknown = sorted(data.keys() - {"suite", "recipe"})
    if unknown:
        raise place.error(
            f"{unknown[0]!r} is not a key of the file", unknown[0], valid="suite, recipe"
        )
    if not isinstance(data.get("suite"), dict):
        raise place.error(
            "there is no [suite] table", "suite", next_step="pytest-perfgate init writes an example"
        )
    table = place.validate(SuiteTable, data["suite"], "suite")
    name = table.name or file.parent.name
    if not NAME.fullmatch(name):
        raise place.error(f"{name!r} cannot be a suite's name", "suite.name", valid=NAME.pattern)
    table = with_import_paths(place, table, file, root, tree)
    place.find(registry.TASKS, table.task, "suite.task")
    _check_mounts(place, table)
    fence = Fence(file.parent, root, table.allow_outside, table.mounts, tree)
    model = read_model(place, table.model, fence)
    output = with_class_names(place, table.output, model, fence)
    table = table.model_copy(update={"output": output})
    check_state(place, table)
    state = read_state(place, table.state, model, fence)
    table = with_sets(place, table)
    _check_data(place, table, fence)
    if table.trainer:
        _check_import(place, table.trainer, "suite.trainer")
    task = place.find(registry.TASKS, table.task, "suite.task")
    place.validate(task.Input, table.input, "suite.input")
    check_output(place, table.task, without_unread(table.output), table.input)
    _check_required(place, table, name)
    if is_location(model.name):  # its file is known once it is fetched
        return table, model, state
    states = [loop.input for loop in state]
    keys = fitted_input(place, table.task, table.input, model, fence, states)
    return table.model_copy(update={"input": keys}), model, state


def fitted_input(
    place: Place,
    task_name: str,
    written: Mapping[str, Any],
    model: ModelSpec,
    fence: Fence,
    states: Collection[str] = (),
) -> dict[str, Any]:
    """The keys of `[suite.input]` with those that the model's file says; `states` are the inputs
    that `[suite.state]` names.

    Raises:
        RecipeError: the file says something else than the table.
    """
    source, name = source_of(model.name)
    taken = source.inputs(name, source.Options.model_validate(dict(model.options)), fence)
    if taken is None:
        return dict(written)
    task = place.find(registry.TASKS, task_name, "suite.task")
    options = place.validate(task.Input, dict(written), "suite.input")
    free = [tensor for tensor in taken if tensor.name not in states]
    try:
        keys = task.fit_input(options, free)
    except RecipeError as error:
        raise error.at(place.file) from None
    fitted = {**written, **keys}
    place.validate(task.Input, fitted, "suite.input")
    return fitted


def _check_mounts(place: Place, table: SuiteTable) -> None:
    for name, folder in table.mounts.items():
        if not NAME.fullmatch(name):
            raise place.error(
                f"{name!r} cannot be a mount's name", "suite.mounts", valid=NAME.pattern
            )
        if not Path(folder).is_absolute():
            raise place.error(
                f"the folder {folder!r} is relative",
                f"suite.mounts.{name}",
                valid="an absolute path, the same for every version of the code",
            )


def _check_data(place: Place, table: SuiteTable, fence: Fence) -> None:
    sets = sets_of(table.data)
    for split, source in table.data.items():
        if split not in SPLITS and split not in map(split_of, sets):
            raise place.error(
                f"{split!r} is not a split",
                f"suite.data.{split}",
                valid=suggestion(split, (*SPLITS, SETS)),
            )
        if isinstance(source, str):
            _check_import(place, source, f"suite.data.{split}")
            continue
        for key, path in source.items():
            if isinstance(path, str) and path.startswith(MOUNT):
                try:
                    fence.place(path)
                except RecipeError as error:
                    raise error.at(f"{place.file}: suite.data.{split}.{key}") from None
    if "validation" not in table.data:
        raise place.error(
            "there is no validation data",
            "suite.data.validation",
            valid='validation = "package.module:function", or a table of a data set',
        )


def _check_required(place: Place, table: SuiteTable, name: str) -> None:
    """Check that every word of `require` names something that can be measured: a misspelt one would
    fail every session with another reason.
    """
    groups = (registry.RUNTIMES, registry.STEPS, registry.WORKLOADS)
    known = {GPU, name, *FEATURES, *(one for group in groups for one in registry.names(group))}
    for index, word in enumerate(table.require):
        if word not in known:
            raise place.error(
                f"{word!r} is no runtime, step, workload or CPU feature, nor {GPU!r} or this suite",
                f"suite.require[{index}]",
                valid=suggestion(word, known),
            )


def check_output(
    place: Place, task_name: str, output: Mapping[str, Any], pixels: Mapping[str, Any]
) -> None:
    """Check `[suite.output]`, and the options of its decoder, also against `pixels`, the keys of
    `[suite.input]`.

    Raises:
        RecipeError: a key is unknown, has a value that is none of it, or contradicts the input.
    """
    task = place.find(registry.TASKS, task_name, "suite.task")
    options = place.validate(task.Output, dict(output), "suite.output")
    if "decode" in task.Output.model_fields:
        name = output.get("decode", task.Output.model_fields["decode"].default)
        decoder = place.find(task.decoders, name, "suite.output.decode")
        place.validate(decoder.Options, output.get("options", {}), "suite.output.options")
    given = place.validate(task.Input, dict(pixels), "suite.input")
    try:
        check_tiles(task, given, options)
        task.check_together(given, options)
    except RecipeError as error:
        raise error.at(place.file) from None


def _check_import(place: Place, path: str, key: str) -> None:
    if not IMPORT_PATH.fullmatch(path):
        raise place.error(f"{path!r} is not an import path", key, valid='"package.module:function"')
