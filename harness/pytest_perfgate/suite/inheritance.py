"""Resolves what recipes inherit along `from`: the chain, the runtime and the workload.

A recipe continues its parent's resolved prefix, so a table is read once however many continue it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_perfgate import registry
from pytest_perfgate.errors import PerfgateError, suggestion
from pytest_perfgate.metric import Metric, Scope
from pytest_perfgate.records.recipe import (
    OUTPUT_TOLERANCE,
    ModelSpec,
    Recipe,
    RuntimeSpec,
    Shift,
    StepSpec,
)
from pytest_perfgate.sources.naming import source_of
from pytest_perfgate.steps.trainer_options import TrainerSignature
from pytest_perfgate.suite.budgets import read_budgets
from pytest_perfgate.suite.chain import (
    WorkloadAt,
    read_runtime,
    read_step,
    read_workload,
    steps_of_workload,
    takers,
    way_to,
)
from pytest_perfgate.suite.folds import read_folds
from pytest_perfgate.suite.metrics import metrics_of_workload, task_of
from pytest_perfgate.suite.recipe_tables import RecipeTables
from pytest_perfgate.suite.shift import check_shift
from pytest_perfgate.suite.state import in_order
from pytest_perfgate.suite.tables import Place, RecipeTable, SuiteTable
from pytest_perfgate.workloads import FRAMES, IMAGES, Workload

_SHOWN = 8  # recipes of a circle


@dataclass(frozen=True)
class _Prefix:
    """A recipe without what its workload adds at the end: what others continue.

    Attributes:
        reference: the root of the line.
        steps: the names of the steps of `chain`.
        kind: what the chain gives, see `pytest_perfgate.artifact`.
        runtime: None: none has been named so far.
        runtime_at: the key at which the runtime stands.
        runtime_tolerance: None: the usual one.
    """

    reference: str
    chain: tuple[StepSpec, ...]
    steps: frozenset[str]
    kind: str
    runtime: RuntimeSpec | None
    runtime_at: str
    workload: WorkloadAt
    output_tolerance: float
    runtime_tolerance: float | None


class Inheritance:
    """The recipes of one suite, resolved parent first."""

    def __init__(
        self,
        place: Place,
        suite: SuiteTable,
        model: ModelSpec,
        metrics: Mapping[str, Metric],
        recipes: RecipeTables,
        scopes: Sequence[Scope] = (),
        shift: Shift | None = None,
        trainer: TrainerSignature | None = None,
    ) -> None:
        self._place = place
        self._suite = suite
        self._gives = source_of(model.name)[0].gives
        self._metrics = metrics
        self._recipes = recipes
        self._scopes = scopes
        self._shift = shift
        self._trainer = trainer
        self._prefixes: dict[str, _Prefix] = {}
        self._circles: dict[str, tuple[tuple[str, ...], int]] = {}

    def order(self) -> list[str]:
        """The recipes' names, every parent before those that continue it."""
        tables = self._recipes.tables
        depths: dict[str, int] = {}
        for start in tables:
            line: dict[str, int] = {}
            name = start
            while name in tables and name not in depths and name not in line:
                line[name] = len(line)
                name = tables[name].parent
            members = list(line)
            if name in line:  # a circle has no root: it comes before all that hang on it
                depths |= dict.fromkeys(members[line[name] :], 1)
                members = members[: line[name]]
            for member in reversed(members):
                depths[member] = depths.get(tables[member].parent, 0) + 1
        return sorted(tables, key=lambda name: depths[name])

    def resolve(self, name: str, table: RecipeTable | None = None) -> Recipe:
        """The recipe with all that it inherits; `table` stands in for its own, for a trial.

        Raises:
            RecipeError: a key is wrong, or what it continues does not exist or has errors.
        """
        trial = table is not None
        table = table or self._recipes.tables[name]
        prefix = self._prefix(name, table)
        recipe = self._complete(name, table, prefix)
        if not trial:
            self._prefixes[name] = prefix
        return recipe

    def _prefix(self, name: str, table: RecipeTable) -> _Prefix:
        parent = self._parent(name, table.parent) if table.parent else None
        chain = list(parent.chain) if parent else []
        steps = parent.steps if parent else frozenset()
        kind = parent.kind if parent else self._gives
        for index, raw in enumerate(table.steps):
            where = f"recipe {name!r}: steps[{index}]"
            spec, kind = read_step(self._place, raw, where, kind, self._suite, steps, self._trainer)
            chain.append(spec)
            steps |= {spec.name}
        runtime = parent.runtime if parent else None
        runtime_at = parent.runtime_at if parent else f"recipe {name!r}: runtime"
        if table.runtime is not None:
            runtime_at = self._recipes.runtime_at[name]
            runtime = read_runtime(self._place, table.runtime, runtime_at)
        reference = parent.reference if parent else name
        usual = FRAMES if in_order(self._suite.task) else IMAGES
        measured_by = parent.workload if parent else None
        workload = read_workload(self._place, table, measured_by, reference, usual)
        tolerance = table.output_tolerance
        if tolerance is None:
            tolerance = parent.output_tolerance if parent else OUTPUT_TOLERANCE
        of_runtime = table.runtime_tolerance
        if of_runtime is None and parent:
            of_runtime = parent.runtime_tolerance
        return _Prefix(
            reference,
            tuple(chain),
            steps,
            kind,
            runtime,
            runtime_at,
            workload,
            tolerance,
            of_runtime,
        )

    def _parent(self, name: str, parent: str) -> _Prefix:
        """What the parent has been resolved to."""
        if parent in self._prefixes and parent not in self._recipes.problems:
            if self._recipes.ranges.get(parent):
                raise self._place.error(
                    f"it is derived from {parent!r}, whose values are searched",
                    f"recipe {name!r}: from",
                    next_step=f"pytest-perfgate freeze {parent}, then derive from the recipe that "
                    "it writes",
                )
            return self._prefixes[parent]
        raise self._no_parent(name, parent)

    def _no_parent(self, name: str, parent: str) -> PerfgateError:
        where, tables = f"recipe {name!r}: from", self._recipes.tables
        if parent in self._recipes.problems:
            return self._place.error(
                f"it is derived from {parent!r}, which has errors",
                where,
                next_step=f"fix {parent!r} first",
            )
        if parent not in tables and parent in self._recipes.variants:
            return self._place.error(
                f"{parent!r} has several runtimes, and each of them makes a recipe",
                where,
                valid=", ".join(self._recipes.variants[parent]),
            )
        if parent not in tables:
            return self._place.error(
                f"there is no recipe {parent!r}", where, valid=suggestion(parent, tables)
            )
        return self._place.error(f"`from` goes in a circle: {self._circle_from(name)}", where)

    def _circle_from(self, name: str) -> str:
        """The circle in words, from `name` on. It is looked for once for all of its members."""
        if name not in self._circles:
            line: dict[str, None] = {}
            member = name
            while member not in line:
                line[member] = None
                member = self._recipes.tables[member].parent
            circle = tuple(line)
            self._circles |= {each: (circle, place) for place, each in enumerate(circle)}
        circle, place = self._circles[name]
        members = [circle[(place + step) % len(circle)] for step in range(min(len(circle), _SHOWN))]
        if len(circle) > _SHOWN:
            members.append(f"{len(circle) - _SHOWN} others")
        return " -> ".join((*members, name))

    def _complete(self, name: str, table: RecipeTable, prefix: _Prefix) -> Recipe:
        where = f"recipe {name!r}"
        chain, kind, steps = list(prefix.chain), prefix.kind, prefix.steps
        added = steps_of_workload(prefix.workload.spec)
        for raw in added:
            spec, kind = read_step(
                self._place,
                raw,
                prefix.workload.where,
                kind,
                self._suite,
                steps,
                self._trainer,
            )
            chain.append(spec)
            steps |= {spec.name}
        if prefix.runtime is None:
            raise self._place.error(
                "there is no runtime",
                f"{where}: runtime",
                valid=", ".join(registry.names(registry.RUNTIMES)),
            )
        accepts = registry.find(registry.RUNTIMES, prefix.runtime.name).accepts
        if kind not in accepts:
            raise self._place.error(
                f"the runtime {prefix.runtime.name!r} takes {' or '.join(sorted(accepts))}, but "
                f"the chain ends on {kind}",
                self._recipes.runtime_at.get(name, f"{where}: runtime"),
                valid=takers(kind),
                next_step=way_to(kind, accepts),
            )
        self._check_workload(name, table, prefix.workload, kind)
        budgets = read_budgets(
            self._place,
            table.budgets,
            f"{where}: budgets",
            self._metrics,
            self._scopes,
            name == prefix.reference,
        )
        if self._shift is not None:
            check_shift(self._place, where, chain, budgets, self._metrics, self._shift)
        folds = read_folds(
            self._place,
            where,
            table.folds,
            chain,
            [budget.metric for budget in budgets],
            task_of(self._suite.task),
        )
        return Recipe(
            folds=folds,
            name=name,
            parent=table.parent,
            reference=prefix.reference,
            chain=tuple(chain),
            own_steps=len(table.steps) + len(added),
            runtime=prefix.runtime,
            budgets=budgets,
            workload=prefix.workload.spec,
            output_tolerance=prefix.output_tolerance,
            runtime_tolerance=prefix.runtime_tolerance,
        )

    def _check_workload(
        self, name: str, table: RecipeTable, measured_by: WorkloadAt, kind: str
    ) -> None:
        """Check that the workload takes what the chain gives and measures what budgets are on."""
        workload: Workload = registry.find(registry.WORKLOADS, measured_by.spec.name)
        if workload.accepts is not None and kind not in workload.accepts:
            raise self._place.error(
                f"the workload {workload.name!r} takes {' or '.join(sorted(workload.accepts))}, "
                f"but the chain ends on {kind}",
                measured_by.where,
            )
        task = task_of(self._suite.task)
        if task.in_order not in workload.orders:
            raise self._wrong_order(workload, measured_by.where, ordered=task.in_order)
        measured = metrics_of_workload(workload, task)
        for metric in table.budgets:
            if metric in self._metrics and self._metrics[metric].score_name not in measured:
                raise self._place.error(
                    f"{metric} is not measured by the workload {workload.name!r}",
                    f"recipe {name!r}: budgets.{metric}",
                    valid=", ".join(known for known in self._metrics if known in measured),
                )

    def _wrong_order(self, workload: Workload, where: str, *, ordered: bool) -> PerfgateError:
        """A workload that takes images in another order than the task has them."""
        task = self._suite.task
        pair = (
            f"takes images in any order, and the task {task!r} has frames of sequences"
            if ordered
            else f"takes frames of sequences, and the images of the task {task!r} have no order"
        )
        names = registry.names(registry.WORKLOADS)
        known = ((name, registry.find(registry.WORKLOADS, name)) for name in names)
        return self._place.error(
            f"the workload {workload.name!r} {pair}",
            where,
            valid=", ".join(name for name, one in known if ordered in one.orders),
        )
