"""The links of a recipe as a suite file has them: steps and runtimes, and what may follow what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness import registry
from harness.artifact import TORCH
from harness.recipe import RuntimeSpec, StepSpec
from harness.runtimes import Runtime
from harness.steps import Step, splits_of
from harness.suitetables import Place, SuiteTable


def read_step(
    place: Place,
    raw: dict[str, Any],
    where: str,
    kind: str,
    suite: SuiteTable,
    before: Sequence[str] = (),
) -> tuple[StepSpec, str]:
    """One link of a chain and the kind of artifact it gives; `kind` is what comes before it,
    and `before` the names of all steps before it.

    Raises:
        RecipeError: there is no such step, an option is wrong, or it does not fit here.
    """
    if not raw:
        raise place.error("the step is empty", where, valid='{ export = "onnx" }')
    name, *others = raw
    step: Step = place.find(registry.STEPS, name, where)
    if step.argument in others:
        raise place.error(
            f"{step.argument!r} is what {name!r} itself is set to, and stands there twice",
            f"{where}.{step.argument}",
            next_step=f"leave {step.argument!r} out",
        )
    asked = {step.argument: raw[name], **{key: raw[key] for key in others}}
    options = place.validate(step.Options, asked, where)
    if kind not in step.accepts:
        raise place.error(
            f"the step {name!r} takes {' or '.join(sorted(step.accepts))}, and what comes "
            f"before it gives {kind}",
            where,
            next_step='add { export = "onnx" } before it' if kind == TORCH else "put it earlier",
        )
    refused: Mapping[str, str] = getattr(step, "not_after", {})
    for earlier in before:
        if earlier in refused:
            raise place.error(
                f"the step {name!r} makes no sense after {earlier!r}: {refused[earlier]}",
                where,
                next_step="leave one of the two out, or change their order",
            )
    for split in sorted(splits_of(step, options)):
        if split not in suite.data:
            raise place.error(
                f"the step {name!r} needs {split} data",
                where,
                next_step=f"add {split} to [suite] data",
            )
    if step.trains and not suite.trainer:
        raise place.error(
            f"the step {name!r} needs a trainer",
            where,
            next_step='add trainer = "package.module:function" to [suite]',
        )
    return StepSpec(name, options.model_dump(mode="json")), step.produces


def read_runtime(place: Place, asked: str | dict[str, Any], where: str) -> RuntimeSpec:
    """A runtime with its options.

    Raises:
        RecipeError: there is no such runtime, or an option is wrong.
    """
    table = {"name": asked} if isinstance(asked, str) else dict(asked)
    name = table.pop("name", None)
    if not isinstance(name, str):
        raise place.error("the runtime has no name", where, valid='{ name = "onnxruntime" }')
    runtime: Runtime = place.find(registry.RUNTIMES, name, where)
    options = place.validate(runtime.Options, table, where)
    return RuntimeSpec(name, options.model_dump(mode="json"))
