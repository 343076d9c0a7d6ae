"""Reads `recipes.toml`: every problem named with its place, and failing only what it must."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from harness import registry
from harness.artifact import ONNX, TORCH
from harness.errors import PerfgateError, RecipeError, suggestion
from harness.metric import PARITY, PERFORMANCE, Better, Metric
from harness.recipe import (
    Budget,
    Condition,
    Limit,
    LimitKind,
    Recipe,
    RuntimeSpec,
    StepSpec,
    Suite,
    model_file,
    model_package,
)
from harness.record import SessionRecord
from harness.registry import Requirement
from harness.runtimes import Runtime
from harness.steps import Step
from harness.tasks import Task
from harness.units import Unit, parse

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_UNION_TAGS = {"str", "int", "float", "dict[str,any]"}
SPLITS = ("train", "calibration", "validation")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


Quantity = StrictStr | StrictInt | StrictFloat
Model = TypeVar("Model", bound=BaseModel)


class WhenTable(_Strict):
    """What a machine must have for a budget to apply."""

    cpu: str = Field("", description="a CPU feature, such as avx512_vnni")
    gpu: str = Field("", description="a pattern of the GPU's name, such as *A10*")
    cores: int = Field(0, ge=0, description="at least this many cores")
    memory: str = Field("", description='at least this much memory, such as "16 GB"')


class BudgetTable(_Strict):
    """The limits on one metric."""

    max: Quantity | None = Field(None, description="absolute upper limit, with its unit")
    min: Quantity | None = Field(None, description="absolute lower limit, with its unit")
    drop: Quantity | None = Field(
        None, description="how much lower a score may be than the reference's"
    )
    speedup: Quantity | None = Field(
        None, description="at least this many times the reference's speed"
    )
    growth: Quantity | None = Field(
        None, description='at most this much more than the reference, such as "10%"; negative: less'
    )
    regression: Quantity | None = Field(
        None, description='how much worse than the stored baseline or --perf-base, such as "5%"'
    )
    when: WhenTable | None = Field(None, description="machines that the budget applies to")


class RecipeTable(_Strict):
    """One `[[recipe]]`."""

    name: str = Field(description="letters, digits, '.', '_', '-'")
    parent: str = Field("", alias="from", description="the recipe that this one continues")
    steps: list[dict[str, Any]] = Field(
        default_factory=list, description="what it adds; the first key names the step"
    )
    runtime: str | dict[str, Any] | None = Field(
        None, description="what runs it; inherited when left out"
    )
    budgets: dict[str, BudgetTable] = Field(default_factory=dict, description="by metric")


class SuiteTable(_Strict):
    """The `[suite]` table."""

    name: str = Field("", description="default: the folder's name")
    task: str = Field(description="the kind of vision work")
    model: str = Field(description='"package.module:function", or a file ending in .onnx')
    data: dict[str, str | dict[str, Any]] = Field(description="train, calibration, validation")
    trainer: str = Field("", description='"package.module:function" that training steps call')
    batch: int = Field(8, ge=1, description="images in a batch for throughput")
    threads: int = Field(1, ge=1, description="threads that a recipe may use")
    input: dict[str, Any] = Field(default_factory=dict, description="the task's pre-processing")
    output: dict[str, Any] = Field(default_factory=dict, description="the task's post-processing")


@dataclass(frozen=True)
class SuiteFile:
    """What was read. `suite` is None when the whole file is of no use; `problems` are those of
    single recipes, by name.
    """

    file: Path
    suite: Suite | None
    suite_problems: tuple[PerfgateError, ...] = ()
    problems: Mapping[str, tuple[PerfgateError, ...]] = field(default_factory=dict)


def read(file: Path, root: Path) -> SuiteFile:
    """The suite that a file describes; problems are returned, not raised."""
    place = _relative(file, root)
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        return SuiteFile(
            file, None, (RecipeError(f"it cannot be read: {error.strerror}", where=place),)
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problem = RecipeError(
            f"it is not TOML: {error}",
            where=place,
            next_step="mend the line that is named; perfgate schema helps editors to check it",
        )
        return SuiteFile(file, None, (problem,))
    return _Reader(file, root, place, data).read()


def task_of(name: str) -> Task:
    """The task of that name.

    Raises:
        RecipeError: there is none.
    """
    task: Task = registry.find(registry.TASKS, name)
    return task


def metrics_of(task: str) -> Mapping[str, Metric]:
    """Every metric that a suite of this task may have budgets on, the task's own first."""
    return {**task_of(task).metrics, **PERFORMANCE}


def metrics_of_session(session: SessionRecord) -> Mapping[str, Metric]:
    """Every metric of the tasks of a session's suites."""
    found: dict[str, Metric] = {}
    for suite in session.suites:
        if suite.task:
            found |= metrics_of(suite.task)
    return found or PERFORMANCE


def missing_packages(suite: Suite, recipe: Recipe) -> tuple[Requirement, ...]:
    """What must be installed before this recipe can be built and measured here."""
    needed: list[Requirement] = list(registry.find(registry.RUNTIMES, recipe.runtime.name).requires)
    for spec in recipe.chain:
        needed += registry.find(registry.STEPS, spec.name).requires
    needed += task_of(suite.task).requires
    if any(budget.metric == PARITY for budget in recipe.budgets):
        needed.append(registry.from_extra("hypothesis", "parity"))
    package = model_package(suite.model)
    if package:
        needed.append(Requirement(package, f"python -m pip install {package}"))
    if not suite.model.endswith(".onnx"):
        needed += registry.find(registry.RUNTIMES, "torch").requires
    return tuple(dict.fromkeys(each for each in needed if each.missing))


class _Reader:
    def __init__(self, file: Path, root: Path, place: str, data: dict[str, Any]) -> None:
        self._file = file
        self._root = root
        self._place = place
        self._data = data
        self._problems: dict[str, list[PerfgateError]] = {}

    def read(self) -> SuiteFile:
        try:
            table, metrics = self._suite_table()
        except PerfgateError as error:
            return SuiteFile(self._file, None, (error,))
        tables = self._recipe_tables()
        recipes: dict[str, Recipe] = {}
        for name in sorted(tables, key=lambda name: _depth(name, tables)):
            if name not in self._problems:
                recipe = self._guarded(name, tables, table, metrics)
                if recipe is not None:
                    recipes[name] = recipe
        suite = Suite(
            name=table.name or self._file.parent.name,
            file=self._file,
            root=self._root,
            task=table.task,
            model=table.model,
            data=table.data,
            trainer=table.trainer,
            input=table.input,
            output=table.output,
            batch=table.batch,
            threads=table.threads,
            recipes={name: recipes[name] for name in tables if name in recipes},
        )
        if not tables and not self._problems:
            problem = self._error("there is no recipe", "recipe", next_step="add a [[recipe]]")
            return SuiteFile(self._file, None, (problem,))
        frozen = {name: tuple(errors) for name, errors in self._problems.items()}
        return SuiteFile(self._file, suite, (), frozen)

    # -- the suite -------------------------------------------------------------------------

    def _suite_table(self) -> tuple[SuiteTable, Mapping[str, Metric]]:
        unknown = sorted(self._data.keys() - {"suite", "recipe"})
        if unknown:
            raise self._error(
                f"{unknown[0]!r} is not a key of the file", unknown[0], valid="suite, recipe"
            )
        if not isinstance(self._data.get("suite"), dict):
            raise self._error(
                "there is no [suite] table", "suite", next_step="perfgate init shows one"
            )
        table = self._validate(SuiteTable, self._data["suite"], "suite")
        name = table.name or self._file.parent.name
        if not NAME.fullmatch(name):
            raise self._error(
                f"{name!r} cannot be a suite's name", "suite.name", valid=NAME.pattern
            )
        task = self._find(registry.TASKS, table.task, "suite.task")
        self._check_model(table.model)
        for split, source in table.data.items():
            if split not in SPLITS:
                raise self._error(
                    f"{split!r} is not a split",
                    f"suite.data.{split}",
                    valid=suggestion(split, SPLITS),
                )
            if isinstance(source, str):
                self._check_import(source, f"suite.data.{split}")
        if "validation" not in table.data:
            raise self._error("there is no validation data", "suite.data.validation")
        if table.trainer:
            self._check_import(table.trainer, "suite.trainer")
        self._validate(task.Input, table.input, "suite.input")
        self._validate(task.Output, table.output, "suite.output")
        decoder = table.output.get("decode", "boxes_scores")
        if "decode" in task.Output.model_fields:
            found = self._find(registry.DECODERS, decoder, "suite.output.decode")
            self._validate(found.Options, table.output.get("options", {}), "suite.output.options")
        return table, {**task.metrics, **PERFORMANCE}

    def _check_model(self, model: str) -> None:
        if not model.endswith(".onnx"):
            self._check_import(model, "suite.model")
            return
        package = model_package(model)
        if package and not re.fullmatch(r"[A-Za-z_]\w*", package):
            raise self._error(
                f"{package!r} is not a package", "suite.model", valid='"package:path/in/it.onnx"'
            )
        file = model_file(model, self._file.parent)
        if file is None:
            return  # the package is not installed: its tests skip and say so
        fence = self._root.resolve()
        if package:
            fence = file.parents[len(Path(model.partition(":")[2]).parts) - 1]
            if ".." in Path(model).parts or fence.name != package:
                raise self._error(f"the path {model!r} leaves its package", "suite.model")
        if not file.is_relative_to(fence):
            raise self._error(f"the path {model!r} leaves the project", "suite.model")
        if not file.is_file():
            raise self._error(
                f"the file {model!r} is not there", "suite.model", next_step=f"put it at {file}"
            )

    def _check_import(self, path: str, key: str) -> None:
        if not IMPORT_PATH.fullmatch(path):
            raise self._error(
                f"{path!r} is not an import path", key, valid='"package.module:function"'
            )

    # -- the recipes -----------------------------------------------------------------------

    def _recipe_tables(self) -> dict[str, RecipeTable]:
        listed = self._data.get("recipe", [])
        if not isinstance(listed, list):
            listed = [listed]
        tables: dict[str, RecipeTable] = {}
        for index, raw in enumerate(listed):
            given = raw.get("name") if isinstance(raw, dict) else None
            name = str(given) if given is not None else f"recipe[{index}]"
            try:
                table = self._validate(RecipeTable, raw, f"recipe {name!r}")
                if not NAME.fullmatch(table.name):
                    raise self._error(
                        f"{table.name!r} cannot be a recipe's name",
                        f"recipe {name!r}: name",
                        valid="letters, digits, '.', '_', '-'; a letter or digit first; at most 64",
                    )
                if name in tables or name in self._problems:
                    raise self._error(
                        f"there are two recipes named {name!r}", f"recipe {name!r}: name"
                    )
                tables[name] = table
            except PerfgateError as error:
                self._problems.setdefault(name, []).append(error)
        return tables

    def _guarded(
        self,
        name: str,
        tables: Mapping[str, RecipeTable],
        suite: SuiteTable,
        metrics: Mapping[str, Metric],
    ) -> Recipe | None:
        try:
            return self._recipe(name, tables, suite, metrics)
        except PerfgateError as error:
            self._problems.setdefault(name, []).append(error)
            return None

    def _recipe(
        self,
        name: str,
        tables: Mapping[str, RecipeTable],
        suite: SuiteTable,
        metrics: Mapping[str, Metric],
    ) -> Recipe:
        line = self._line(name, tables)
        where = f"recipe {name!r}"
        chain: list[StepSpec] = []
        runtime: RuntimeSpec | None = None
        kind = ONNX if suite.model.endswith(".onnx") else TORCH
        for link in line:  # the root first
            for index, raw in enumerate(tables[link].steps):
                spec, kind = self._step(raw, f"recipe {link!r}: steps[{index}]", kind, suite)
                chain.append(spec)
            asked = tables[link].runtime
            if asked is not None:
                runtime = self._runtime(asked, f"recipe {link!r}: runtime")
        if runtime is None:
            raise self._error(
                "there is no runtime",
                f"{where}: runtime",
                valid=", ".join(registry.names(registry.RUNTIMES)),
            )
        accepts = registry.find(registry.RUNTIMES, runtime.name).accepts
        if kind not in accepts:
            raise self._error(
                f"the runtime {runtime.name!r} takes {' or '.join(sorted(accepts))}, and the chain "
                f"ends on {kind}",
                f"{where}: runtime",
                next_step='add { export = "onnx" } to the steps' if kind == TORCH else "",
            )
        root = line[0]
        budgets = tuple(
            self._budget(metric, limits, f"{where}: budgets.{metric}", metrics, name == root)
            for metric, limits in tables[name].budgets.items()
        )
        return Recipe(
            name=name,
            parent=tables[name].parent,
            reference=root,
            chain=tuple(chain),
            own_steps=len(tables[name].steps),
            runtime=runtime,
            budgets=budgets,
        )

    def _line(self, name: str, tables: Mapping[str, RecipeTable]) -> list[str]:
        """The recipe's ancestors and itself, the root first."""
        line = [name]
        while parent := tables[line[0]].parent:
            where = f"recipe {name!r}: from"
            if parent in line:
                cycle = " -> ".join([parent, *line[: line.index(parent) + 1]])
                raise self._error(f"`from` goes in a circle: {cycle}", where)
            if parent in self._problems:
                raise self._error(
                    f"it is derived from {parent!r}, which has errors",
                    where,
                    next_step=f"mend {parent!r} first",
                )
            if parent not in tables:
                raise self._error(
                    f"there is no recipe {parent!r}", where, valid=suggestion(parent, tables)
                )
            line.insert(0, parent)
        return line

    def _step(
        self, raw: dict[str, Any], where: str, kind: str, suite: SuiteTable
    ) -> tuple[StepSpec, str]:
        if not raw:
            raise self._error("the step is empty", where, valid='{ export = "onnx" }')
        name, *others = raw
        step: Step = self._find(registry.STEPS, name, where)
        if step.argument in others:
            raise self._error(
                f"{step.argument!r} is what {name!r} itself is set to, and stands there twice",
                f"{where}.{step.argument}",
                next_step=f"leave {step.argument!r} out",
            )
        asked = {step.argument: raw[name], **{key: raw[key] for key in others}}
        options = self._validate(step.Options, asked, where)
        if kind not in step.accepts:
            raise self._error(
                f"the step {name!r} takes {' or '.join(sorted(step.accepts))}, and what comes "
                f"before it gives {kind}",
                where,
                next_step='add { export = "onnx" } before it'
                if kind == TORCH
                else "put it earlier",
            )
        for split in sorted(step.splits):
            if split not in suite.data:
                raise self._error(
                    f"the step {name!r} needs {split} data",
                    where,
                    next_step=f"add {split} to [suite] data",
                )
        if step.trains and not suite.trainer:
            raise self._error(
                f"the step {name!r} needs a trainer",
                where,
                next_step='add trainer = "package.module:function" to [suite]',
            )
        return StepSpec(name, options.model_dump(mode="json")), step.produces

    def _runtime(self, asked: str | dict[str, Any], where: str) -> RuntimeSpec:
        table = {"name": asked} if isinstance(asked, str) else dict(asked)
        name = table.pop("name", None)
        if not isinstance(name, str):
            raise self._error("the runtime has no name", where, valid='{ name = "onnxruntime" }')
        runtime: Runtime = self._find(registry.RUNTIMES, name, where)
        options = self._validate(runtime.Options, table, where)
        return RuntimeSpec(name, options.model_dump(mode="json"))

    # -- budgets ---------------------------------------------------------------------------

    def _budget(
        self,
        name: str,
        table: BudgetTable,
        where: str,
        metrics: Mapping[str, Metric],
        is_reference: bool,
    ) -> Budget:
        metric = metrics.get(name)
        if metric is None:
            raise self._error(
                f"there is no metric {name!r} in this task", where, valid=suggestion(name, metrics)
            )
        if metric.beside and is_reference:
            raise self._error(
                f"{name} compares with the reference, and this recipe is the reference",
                where,
                valid=", ".join(each for each in metrics if not metrics[each].beside),
            )
        limits = []
        for kind in LimitKind:
            written = getattr(table, kind.value)
            if written is not None:
                limits.append(
                    self._limit(kind, written, metric, f"{where}.{kind.value}", is_reference)
                )
        if not limits:
            raise self._error(
                "the budget has no limit", where, valid=", ".join(kind.value for kind in LimitKind)
            )
        return Budget(name, tuple(limits), self._when(table.when, f"{where}.when"))

    def _limit(
        self, kind: LimitKind, written: Quantity, metric: Metric, where: str, is_reference: bool
    ) -> Limit:
        allowed = allowed_limits(metric)
        if kind not in allowed:
            raise self._error(
                f"{kind.value} does not fit {metric.name} ({metric.better.value} is better)",
                where,
                valid=", ".join(each.value for each in allowed),
            )
        if is_reference and kind in {LimitKind.DROP, LimitKind.SPEEDUP, LimitKind.GROWTH}:
            raise self._error(
                f"{kind.value} compares with the reference, and this recipe is the reference",
                where,
                valid="max, min, regression",
            )
        unit = metric.unit
        relative = kind is LimitKind.GROWTH or (kind is LimitKind.REGRESSION and metric.relative)
        if kind is LimitKind.SPEEDUP or relative:
            unit = Unit.RATIO
        percent = isinstance(written, str) and written.rstrip().endswith("%")
        if relative and not percent:
            raise self._error(f"{written!r} is not a percentage", where, valid='"5%"')
        if kind is LimitKind.SPEEDUP and percent:
            raise self._error(
                f"{written!r} is a percentage, and a factor is asked for", where, valid="1.5"
            )
        try:
            value = parse(written, unit)
        except PerfgateError as error:
            raise self._error(error.problem, where, valid=error.valid) from None
        floor = -1.0 if kind is LimitKind.GROWTH else 0.0
        if value < floor or (value <= floor and kind in {LimitKind.SPEEDUP, LimitKind.GROWTH}):
            raise self._error(f"{written!r} is too small for {kind.value}", where)
        return Limit(kind, value, str(written))

    def _when(self, table: WhenTable | None, where: str) -> Condition | None:
        if table is None:
            return None
        try:
            memory = parse(table.memory, Unit.BYTES) if table.memory else 0.0
        except PerfgateError as error:
            raise self._error(error.problem, f"{where}.memory", valid=error.valid) from None
        return Condition(cpu=table.cpu, gpu=table.gpu, cores=table.cores, memory=memory)

    # -- saying what is wrong --------------------------------------------------------------

    def _error(
        self, problem: str, key: str, *, valid: str = "", next_step: str = ""
    ) -> RecipeError:
        return RecipeError(problem, where=f"{self._place}: {key}", valid=valid, next_step=next_step)

    def _find(self, group: str, name: str, key: str) -> Any:
        try:
            return registry.find(group, name)
        except RecipeError as error:
            raise error.at(f"{self._place}: {key}") from None

    def _validate(self, model: type[Model], data: Any, key: str) -> Model:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            raise self._translated(error, model, key) from None

    def _translated(self, error: ValidationError, model: type[BaseModel], key: str) -> RecipeError:
        """Pydantic's first finding in this project's words."""
        first = error.errors()[0]
        # pydantic names the member of a union that did not fit; a file has no such key.
        keys = tuple(part for part in first["loc"] if part not in _UNION_TAGS)
        path = "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in keys
        ).lstrip(".")
        place = (
            f"{key}: {path}"
            if path and not key.startswith("suite")
            else f"{key}.{path}".rstrip(".")
        )
        last = str(first["loc"][-1]) if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            known = _keys_at(model, first["loc"][:-1])
            return self._error(f"{last!r} is not a key", place, valid=suggestion(last, known))
        if first["type"] == "missing":
            return self._error(f"{last!r} is missing", place)
        expected = first.get("ctx", {}).get("expected", "")
        problem = f"{first['input']!r}: {first['msg'][:1].lower()}{first['msg'][1:]}"
        return self._error(problem, place, valid=str(expected))


def _depth(name: str, tables: Mapping[str, RecipeTable]) -> int:
    """How many ancestors a recipe has, so that parents can be read first; a circle ends it."""
    seen: set[str] = set()
    while name in tables and name not in seen:
        seen.add(name)
        name = tables[name].parent
    return len(seen)


def allowed_limits(metric: Metric) -> tuple[LimitKind, ...]:
    """The limits that make sense for a metric."""
    lower = metric.better is Better.LOWER
    allowed = [LimitKind.MAX if lower else LimitKind.MIN]
    if metric.name == PARITY:  # its inputs are looked for with the limit in mind
        return tuple(allowed)
    if metric.beside:  # it is a comparison with the reference itself
        return (*allowed, LimitKind.REGRESSION)
    if not metric.relative:
        allowed.append(LimitKind.DROP)
    if metric.unit in {Unit.SECONDS, Unit.IMAGES_PER_SECOND}:
        allowed.append(LimitKind.SPEEDUP)
    if metric.relative and lower:
        allowed.append(LimitKind.GROWTH)
    return (*allowed, LimitKind.REGRESSION)


def _keys_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys that `model` knows at a place inside it."""
    if not path:
        return [info.alias or name for name, info in model.model_fields.items()]
    if model is RecipeTable and path[0] == "budgets":
        return list((WhenTable if path[-1] == "when" else BudgetTable).model_fields)
    return []


def _relative(file: Path, root: Path) -> str:
    try:
        return file.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return str(file)
