"""The links of a recipe as a suite file has them: model, steps and runtimes, and what may follow
what.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import IMPORT_PATH, OptionsModel
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.locations.url import is_location
from pytest_perfgate.records.recipe import ModelSpec, RuntimeSpec, StepSpec, WorkloadSpec
from pytest_perfgate.runtimes import Runtime
from pytest_perfgate.sources import Fence
from pytest_perfgate.sources.conversions import refuse_saved_model
from pytest_perfgate.sources.naming import source_of, valid_names
from pytest_perfgate.steps import Step
from pytest_perfgate.steps.trainer_options import OPTION, TrainerSignature
from pytest_perfgate.suite.tables import NAME, Place, RecipeTable, SuiteTable
from pytest_perfgate.workloads import Workload


def one_per_runtime(place: Place, table: RecipeTable) -> list[tuple[RecipeTable, str]]:
    """The recipes of one table, each with the key of its runtime: the table itself, or, when its
    runtime is a list, one for each, named `<recipe>-<runtime>`.

    Raises:
        RecipeError: the list has no runtime in it, or one twice.
    """
    key = f"recipe {table.name!r}: runtime"
    if not isinstance(table.runtime, list):
        return [(table, key)]
    valid = '["onnxruntime", { name = "openvino", precision = "f32" }]'
    if not table.runtime:
        raise place.error("the list of runtimes is empty", key, valid=valid)
    recipes: dict[str, tuple[RecipeTable, str]] = {}
    for index, written in enumerate(table.runtime):
        at = f"{key}[{index}]"
        runtime = written.get("name") if isinstance(written, dict) else written
        if not isinstance(runtime, str):
            raise place.error(f"{written!r} names no runtime", at, valid=valid)
        name = f"{table.name}-{runtime}"
        if name in recipes:
            raise place.error(
                f"the runtime {runtime!r} is in the list twice, and both recipes would be {name!r}",
                at,
                next_step="give one of them a [[recipe]] of its own",
            )
        if not NAME.fullmatch(name):
            raise place.error(
                f"{name!r} cannot be a recipe's name", at, valid="at most 64 characters"
            )
        recipes[name] = (table.model_copy(update={"name": name, "runtime": written}), at)
    return list(recipes.values())


def way_to(kind: str, accepts: frozenset[str]) -> str:
    """The step that makes one of `accepts` of an artifact of `kind`, as advice; "": there is
    none.
    """
    for name in registry.names(registry.STEPS):
        try:
            step: Step = registry.find(registry.STEPS, name)
        except RecipeError:
            continue  # it cannot be advised
        if kind in step.accepts and step.produces in accepts and step.produces != kind:
            value = json.dumps(step.Options.model_fields[step.argument].get_default())
            return f"add {{ {name} = {value} }} to the steps before"
    return ""


def takers(kind: str) -> str:
    """Which runtimes and steps take an artifact of `kind`, for messages."""
    parts = []
    for group, title in ((registry.RUNTIMES, "runtimes"), (registry.STEPS, "steps")):
        names = []
        for name in registry.names(group):
            try:
                if kind in registry.find(group, name).accepts:
                    names.append(name)
            except RecipeError:
                continue  # it takes nothing that is known
        if names:
            parts.append(f"{title} {', '.join(names)}")
    return f"for {kind}: {'; '.join(parts) or 'nothing that is installed'}"


def read_model(place: Place, model: Any, fence: Fence) -> ModelSpec:
    """What a suite's chains begin with, and its options.

    Raises:
        RecipeError: it has no form that is known, an option is wrong, or a file is not there.
    """
    key = "suite.model"
    table = {"name": model} if isinstance(model, str) else dict(model)
    written = table.pop("name", None)
    if not isinstance(written, str):
        raise place.error("the model has no name", key, valid=valid_names())
    try:
        refuse_saved_model(written, fence)
        source, name = source_of(written)
        options = place.validate(source.Options, table, key)
        if not is_location(written):  # else when it is fetched
            source.check(name, without_locations(options), fence)
    except RecipeError as error:
        raise (error if error.where else error.at(f"{place.file}: {key}")) from None
    return ModelSpec(written, options.model_dump(mode="json", exclude_defaults=True))


def without_locations(options: OptionsModel) -> OptionsModel:
    """Options of a model with the default in place of every file that lies in a store: it is
    checked when it is fetched.
    """
    fields = type(options).model_fields
    elsewhere = {
        key: fields[key].get_default(call_default_factory=True)
        for key, value in options
        if isinstance(value, str) and is_location(value)
    }
    return options.model_copy(update=elsewhere)


def read_step(
    place: Place,
    raw: dict[str, Any],
    where: str,
    kind: str,
    suite: SuiteTable,
    before: Collection[str] = (),
    trainer: TrainerSignature | None = None,
) -> tuple[StepSpec, str]:
    """One link of a chain and the kind of artifact it gives; `kind` is what comes before it,
    `before` the names of the steps before it, and `trainer` what the suite's trainer takes, None
    where that is not known at reading.

    Raises:
        RecipeError: there is no such step, an option is wrong, or it does not fit here.
    """
    if not raw:
        raise place.error("the step is empty", where, valid='{ export = "onnx" }')
    name, *others = raw
    step: Step = place.find(registry.STEPS, name, where)
    if step.argument in others:
        raise place.error(
            f"{step.argument!r} is given twice: `{name} = …` sets it already",
            f"{where}.{step.argument}",
            next_step=f"leave {step.argument!r} out",
        )
    written = {step.argument: raw[name], **{key: raw[key] for key in others}}
    options = place.validate(step.Options, written, where)
    if kind not in step.accepts:
        raise place.error(
            f"the step {name!r} takes {' or '.join(sorted(step.accepts))}, but the chain "
            f"before it gives {kind}",
            where,
            valid=takers(kind),
            next_step=way_to(kind, step.accepts) or "put it earlier",
        )
    for earlier, why in step.not_after.items():
        if earlier in before:
            raise place.error(
                f"the step {name!r} makes no sense after {earlier!r}: {why}",
                where,
                next_step="leave one of the two out, or change their order",
            )
    for split in sorted(step.splits_with(options)):
        if split not in suite.data and not IMPORT_PATH.fullmatch(split):
            raise place.error(
                f"the step {name!r} needs {split} data",
                where,
                next_step=f"add {split} to [suite] data",
            )
    if step.trains_with(options) and not suite.trainer:
        raise place.error(
            f"the step {name!r} needs a trainer",
            where,
            next_step='add trainer = "package.module:function" to [suite]',
        )
    if step.trains_with(options) and trainer is not None:
        try:
            trainer.check(getattr(options, OPTION, {}))
        except RecipeError as error:
            raise place.error(
                error.problem,
                f"{where}.{error.where}",
                valid=error.valid,
                next_step=error.next_step,
            ) from None
    return StepSpec(name, options.model_dump(mode="json")), step.produces


def read_runtime(place: Place, written: Any, where: str) -> RuntimeSpec:
    """A runtime with its options.

    Raises:
        RecipeError: there is no such runtime, or an option is wrong.
    """
    table = {"name": written} if isinstance(written, str) else dict(written)  # a table or a name
    name = table.pop("name", None)
    if not isinstance(name, str):
        raise place.error("the runtime has no name", where, valid='{ name = "onnxruntime" }')
    runtime: Runtime = place.find(registry.RUNTIMES, name, where)
    options = place.validate(runtime.Options, table, where)
    try:
        runtime.check(options)
    except RecipeError as error:
        raise error.at(f"{place.file}: {where}") from None
    return RuntimeSpec(name, options.model_dump(mode="json"))


@dataclass(frozen=True)
class WorkloadAt:
    """A workload and the key that it stands at; `written` are its options as the file has them."""

    spec: WorkloadSpec
    written: Mapping[str, Any]
    where: str


def read_workload(
    place: Place, table: RecipeTable, inherited: WorkloadAt | None, reference: str, usual: str
) -> WorkloadAt:
    """What a recipe is measured by. Options that it leaves out are those of its parent, whose
    workload is `inherited`; None: it is a reference, whose name is `reference`, and the workload
    `usual` where it names none.

    Raises:
        RecipeError: there is no such workload, an option is wrong, or it is not its reference's.
    """
    where = f"recipe {table.name!r}: workload"
    name = inherited.spec.name if inherited else usual
    if table.workload is None:
        if inherited:
            return inherited
        options = registry.find(registry.WORKLOADS, name).Options()
        return WorkloadAt(WorkloadSpec(name, options.model_dump(mode="json")), {}, where)
    raw = table.workload
    written = {"name": raw} if isinstance(raw, str) else dict(raw)
    own = written.pop("name", name)
    if not isinstance(own, str):
        raise place.error(f"{own!r} names no workload", where, valid='{ name = "training" }')
    if inherited and own != name:
        raise place.error(
            f"its workload is {own!r}, and that of its reference {reference!r} is {name!r}: "
            "recipes of two workloads are not compared",
            where,
            next_step="give it a reference of its own: leave out `from` and set "
            f'workload = "{own}"',
        )
    written = {**(inherited.written if inherited else {}), **written}
    workload: Workload = place.find(registry.WORKLOADS, own, where)
    options = place.validate(workload.Options, written, where)
    return WorkloadAt(WorkloadSpec(own, options.model_dump(mode="json")), written, where)


def steps_of_workload(spec: WorkloadSpec) -> list[dict[str, Any]]:
    """The steps that a workload ends a chain on, as a suite file would have them."""
    workload: Workload = registry.find(registry.WORKLOADS, spec.name)
    steps = []
    for added in workload.adds(workload.Options.model_validate(dict(spec.options))):
        options = dict(added.options)
        first = options.pop(registry.find(registry.STEPS, added.name).argument)
        steps.append({added.name: first, **options})
    return steps
