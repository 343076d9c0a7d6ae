"""`pytest-perfgate explain RECIPE`: what each link of its chain did to every metric, measured.

The chain is cut after every link, and the pieces are measured beside each other as recipes of one
session: differences between them are judged with the same care as budgets are.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten

from pytest_perfgate import registry
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.machine.fingerprint import this_environment, this_machine
from pytest_perfgate.machine.locks import exclusive
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.measure.worker_environment import allocator
from pytest_perfgate.metric import Better, Metric, headlines
from pytest_perfgate.records.launch_values import level
from pytest_perfgate.records.recipe import Budget, LimitKind, Recipe, RuntimeSpec, Suite
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.runtimes import Runtime
from pytest_perfgate.runtimes.choice import runtime_for
from pytest_perfgate.search.run import RangeOutcome, resolve_ranges
from pytest_perfgate.session.suite_judge import MEASURED
from pytest_perfgate.session.suite_run import SuiteRun
from pytest_perfgate.steps import Step
from pytest_perfgate.suite import reading
from pytest_perfgate.suite.locations import with_files
from pytest_perfgate.suite.lookup import find
from pytest_perfgate.suite.metrics import metrics_of
from pytest_perfgate.suite.requirements import missing_packages
from pytest_perfgate.units import show, show_percent, show_plain

_WIDTH = 100
_BESIDE = {LimitKind.DROP, LimitKind.SPEEDUP, LimitKind.GROWTH}
_COLUMNS = ("throughput", "peak_memory", "artifact_size")


@dataclass(frozen=True)
class Cut:
    """The chain up to and with one link.

    Attributes:
        link: the link in words: a step with its options, or a change of the runtime.
        recipe: what is measured of it.
    """

    link: str
    recipe: Recipe


def _searched(
    suite: Suite, recipe: Recipe, settings: Settings, show: Progress
) -> tuple[Suite, Recipe]:
    """The same with the values that a finished search found.

    Raises:
        RecipeError: there are none.
    """
    read = reading.read(suite.file, settings.root)
    machine = this_machine()
    names = {recipe.name}
    outcome = resolve_ranges(read, names, settings=settings, machine=machine, show=show, say=show)
    failed = outcome.failures.get(recipe.name)
    if failed is not None:
        raise RecipeError(f"{recipe.name}: {failed.problem}", next_step=failed.next_step)
    return outcome.suite, outcome.suite.recipes[recipe.name]


def cuts(suite: Suite, recipe: Recipe) -> list[Cut]:
    """The recipe's reference, and its chain cut after every link.

    A piece that the recipe's own runtime does not take is run by one that does: that of the piece
    before it, or the first that is registered for its kind of artifact.

    Raises:
        RecipeError: the recipe adds no link to its reference.
    """
    reference = suite.recipes[recipe.reference]
    pieces = [Cut(f"{reference.name}, on {reference.runtime.name}", reference)]
    runtime = reference.runtime

    def cut(length: int, runs: RuntimeSpec, link: str) -> Cut:
        piece = Recipe(
            name=f"{recipe.name}~{len(pieces)}",
            parent=pieces[-1].recipe.name,
            reference=reference.name,
            chain=recipe.chain[:length],
            own_steps=1,
            runtime=runs,
            budgets=tuple(filter(None, map(_without_regression, recipe.budgets))),
        )
        return Cut(link, piece)

    for number in range(len(reference.chain), len(recipe.chain)):
        spec = recipe.chain[number]
        step: Step = registry.find(registry.STEPS, spec.name)
        # Not every runtime takes what the step gives: then the next one starts with this link.
        before, runtime = runtime, _runtime_for(step.produces, runtime, recipe.runtime)
        moved = f", on {runtime.name}" if runtime != before else ""
        pieces.append(cut(number + 1, runtime, f"+ {spec}{moved}"))
    if runtime != recipe.runtime:
        options = ", ".join(f"{key}={value}" for key, value in recipe.runtime.options.items())
        link = f"+ the runtime {recipe.runtime.name}({options})"
        pieces.append(cut(len(recipe.chain), recipe.runtime, link))
    if len(pieces) == 1:
        nothing = f"adds neither a step nor a runtime to {reference.name!r}"
        why = "is the reference" if recipe.name == reference.name else nothing
        raise RecipeError(
            f"{recipe.name!r} {why}: there is no link to explain",
            valid=", ".join(name for name, one in suite.recipes.items() if one.parent),
            next_step=f"pytest --perf -k {recipe.name} measures it",
        )
    return pieces


def _without_regression(budget: Budget) -> Budget | None:
    limits = tuple(limit for limit in budget.limits if limit.kind is not LimitKind.REGRESSION)
    return replace(budget, limits=limits) if limits else None


def _runtime_for(kind: str, now: RuntimeSpec, last: RuntimeSpec) -> RuntimeSpec:
    for spec in (now, last):
        if kind in _accepts(spec.name):
            return spec
    runtime, options = runtime_for(kind)
    return RuntimeSpec(runtime.name, options.model_dump(mode="json"))


def _accepts(name: str) -> frozenset[str]:
    runtime: Runtime = registry.find(registry.RUNTIMES, name)
    return runtime.accepts


def measure(suite: Suite, pieces: Sequence[Cut], settings: Settings, show: Progress) -> SuiteRecord:
    """All pieces in one session, each with the budgets of the whole recipe.

    Raises:
        PerfgateError: the machine is taken, or nothing could be measured.
    """
    recipes = {piece.recipe.name: piece.recipe for piece in pieces}
    wanted = {
        name: [
            budget.metric for budget in recipe.budgets if not recipe.is_reference and budget.limits
        ]
        or [MEASURED]
        for name, recipe in recipes.items()
    }
    limits = sum(len(budget.limits) for piece in pieces[1:] for budget in piece.recipe.budgets)
    with exclusive(None, settings.wait, show):
        suite = with_files(suite, settings.cache, show)
        return SuiteRun(
            RangeOutcome(replace(suite, recipes=recipes)),
            wanted,
            settings=settings,
            machine=this_machine(),
            environment=this_environment(allocator=allocator()),
            limits=max(1, limits),
            base=None,
            show=show,
            say=show,
        ).run()


def lines(pieces: Sequence[Cut], record: SuiteRecord, metrics: Mapping[str, Metric]) -> list[str]:
    """What was found, for people: a block for each link, then what became of each budget."""
    records = {named.name: named for named in record.recipes}
    text: list[str] = []
    before: RecipeRecord | None = None
    for piece in pieces:
        measured = records[piece.recipe.name]
        text += textwrap.wrap(piece.link, _WIDTH, subsequent_indent="    ")
        if measured.failure is not None:
            text += _wrapped(f"not measured: {measured.failure.problem}")
            continue
        if before is not None and len(measured.lineage) > len(before.lineage):
            text += _wrapped(f"changed: {_effect(measured)}")
        for metric in _shown(pieces, metrics, measured):
            text.append(_value(metric, measured, before))
        before = measured
    text.append("")
    text += [
        line for metric in _budgets(pieces) for line in _wrapped(_fate(metric, pieces, record))
    ]
    return text


def _shown(
    pieces: Sequence[Cut], metrics: Mapping[str, Metric], record: RecipeRecord
) -> list[Metric]:
    main = next(iter(metrics))
    names = dict.fromkeys((main, *headlines(metrics), *_COLUMNS, *_budgets(pieces)))
    return [metrics[name] for name in names if level(record, metrics[name]) is not None]


def _budgets(pieces: Sequence[Cut]) -> list[str]:
    return [budget.metric for budget in pieces[-1].recipe.budgets]


def _effect(record: RecipeRecord) -> str:
    effect = record.lineage[-1].effect
    return ", ".join(
        f"{name} {shorten(show_plain(value), 60, placeholder='…')}"
        for name, value in effect.items()
    )


def _value(metric: Metric, measured: RecipeRecord, before: RecipeRecord | None) -> str:
    value = level(measured, metric)
    assert value is not None  # noqa: S101 - `_shown` leaves out what was not measured
    text = f"    {metric.name:<16}{show(value, metric.unit):>14}"
    earlier = level(before, metric) if before is not None else None
    if earlier is None:
        return text
    if not metric.relative:
        moved, worse = f"{value - earlier:+.4f}", value < earlier
    elif earlier:
        moved, worse = show_percent(value / earlier - 1), value < earlier
    else:
        return text
    if metric.better is Better.LOWER:
        worse = value > earlier
    return f"{text}  {moved:>10}" + ("  worse" if worse and moved not in _EQUAL else "")


_EQUAL = {"+0.0000", "-0.0000", "+0.0 %", "-0.0 %"}


def _fate(metric: str, pieces: Sequence[Cut], record: SuiteRecord) -> str:
    """Which link lost a budget of the recipe, and which made it hold."""
    verdicts = {verdict.recipe: verdict for verdict in record.verdicts if verdict.metric == metric}
    fates = [verdicts.get(piece.recipe.name) for piece in pieces[1:]]
    links = [piece.link for piece in pieces[1:]]
    last = fates[-1]
    if last is None:
        return f"{metric}: not judged"
    if last.status is not Status.FAIL:
        return f"{last.status.value:<13}{metric}: {last.reason}"
    kept = [number for number, fate in enumerate(fates) if _keeps(fate)]
    limits = ", ".join(
        f"{limit.kind} {limit.text}" for limit in last.limits if limit.status is Status.FAIL
    )
    if not kept:
        beside = all(limit.kind in {status.value for status in _BESIDE} for limit in last.limits)
        first = (
            "no link reaches"
            if beside
            and last.metric not in {"map", "mask_map", "oks_map", "accuracy", "miou", "pq"}
            else "every link breaks"
        )
        return f"{last.status.value:<13}{metric}: {first} {limits} ({last.reason})"
    number = next(n for n in range(kept[-1] + 1, len(fates)))
    return f"{last.status.value:<13}{metric}: lost by {links[number][2:]}: {last.reason}"


def _keeps(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.status is Status.PASS


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
    )


def run(
    name: str, settings: Settings, folder: Path, show: Progress, out: Callable[[str], None]
) -> int:
    """Measures the recipe's pieces and tells; 0 unless a budget is broken, or a piece was not
    measured.
    """
    suite, recipe = find(name, settings.root, folder)
    if recipe.search is not None:
        suite, recipe = _searched(suite, recipe, settings, show)
    pieces = cuts(suite, recipe)
    missing = [package for piece in pieces for package in missing_packages(suite, piece.recipe)]
    if missing:
        raise RecipeError(
            f"{name!r} cannot be measured here: {registry.lacks(missing)}",
            next_step=" && ".join(sorted({package.install for package in missing})),
        )
    record = measure(suite, pieces, settings, show)
    out(f"{suite.name}/{recipe.name}: what each link did, {len(record.yardstick)} launches")
    for line in lines(pieces, record, metrics_of(suite.task, suite.scopes)):
        out(line)
    bad = [verdict for verdict in record.verdicts if verdict.status in {Status.FAIL, Status.ERROR}]
    final = [verdict for verdict in bad if verdict.recipe == pieces[-1].recipe.name]
    broken = [failed for failed in record.recipes if failed.failure is not None]
    return 1 if final or broken else 0
