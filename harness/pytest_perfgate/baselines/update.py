"""The end of a session: what its records would change in the stored baselines."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pytest_perfgate.baselines import changes as edits
from pytest_perfgate.baselines.baseline import Baseline, Origin, StoredMetric
from pytest_perfgate.baselines.correction import Corrects, corrected_by
from pytest_perfgate.baselines.elsewhere import check_folder
from pytest_perfgate.baselines.store import Store
from pytest_perfgate.errors import BaselineError, PerfgateError
from pytest_perfgate.machine.fingerprint import Environment, differences
from pytest_perfgate.machine.steadiness import loud
from pytest_perfgate.metric import COUNTED, NODES, Metric, Rule
from pytest_perfgate.records.alike import OF_BATCHES, batch_of_record, work_of
from pytest_perfgate.records.launch_values import launch_values, level
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.recipe_spec import spec_digest
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.yardsticks import (
    LENGTHS,
    device_values,
    nearest,
    span,
    yardstick_values,
)
from pytest_perfgate.runtimes import uuids_of
from pytest_perfgate.suite.metrics import metrics_of_record
from pytest_perfgate.units import count_of, seconds_for

FEWEST_LAUNCHES = 8
"""Fewer store no times: what is stored is compared with for long."""


_SHOWN = 4  # metrics of an earlier session


@dataclass(frozen=True)
class Edit:
    """What is to be done with the stored baselines.

    Attributes:
        baselines: their folder.
        root: the project's root.
        update: write the changes that are proposed.
        reason: why a baseline may be loosened, "" for none.
        seconds: wall time that a session had for measuring one suite.
    """

    baselines: Path
    root: Path
    update: bool
    reason: str
    seconds: float


def conclude(
    record: SessionRecord, edit: Edit, now: datetime
) -> tuple[SessionRecord, tuple[PerfgateError, ...]]:
    """Proposes the changes of the stored baselines, and writes them when that was asked for.

    Returns the record with its changes, and what stood in the way.
    """
    store = Store(edit.baselines)
    problems: list[PerfgateError] = []
    if edit.update and record.changed:
        problems.append(_of_no_commit(record.changed))
        edit = replace(edit, update=False)
    suites = []
    for suite in record.suites:
        own = record.at(suite)
        if not suite.task or own is None:
            suites.append(suite)
            continue
        metrics = metrics_of_record(suite)
        refused = edits.refusals(suite, metrics)
        disturbed = loud(suite.conditions)
        if disturbed and edit.update:
            problems.append(
                BaselineError(
                    f"no baseline of {suite.title} is written: {disturbed}",
                    next_step="pytest-perfgate doctor shows what disturbs this machine",
                )
            )
        elif edit.update:
            problems += _refused(suite, refused)
        count = len(suite.conditions) - len(suite.discarded)
        if edit.update and not disturbed and 0 < count < FEWEST_LAUNCHES:
            problems.append(_too_few(suite, count, edit.seconds))
            metrics = {
                name: metric for name, metric in metrics.items() if metric.rule is not Rule.LAUNCHES
            }
        new = {
            recipe.name: baseline_of(own, suite, recipe.without(suite.discarded), metrics)
            for recipe in suite.recipes
            if recipe.name not in refused
        }
        stored = {}
        for name in list(new):
            try:
                baseline = store.read(own.machine, suite.title, name)
                if baseline is not None:
                    check_folder(baseline, edit.root / suite.folder, edit.root)
            except PerfgateError as error:
                del new[name]  # the file stays as it is
                if edit.update:  # only verdicts that need the baseline have said so
                    problems.append(error)
                continue
            if baseline is not None:
                stored[name] = baseline
        alike = {
            recipe.name: baseline_of(
                own, suite, recipe.without(suite.discarded), metrics, like=stored[recipe.name]
            )
            for recipe in suite.recipes
            if recipe.name in new and recipe.name in stored
        }
        proposed = edits.propose(stored, new, metrics, alike)
        if edit.update and record.complete:
            try:
                proposed = edits.write(
                    proposed, new=new, stored=stored, store=store, reason=edit.reason, now=now
                )
            except PerfgateError as error:
                problems.append(error)
        suites.append(suite.model_copy(update={"changes": proposed}))
    return record.model_copy(update={"suites": tuple(suites)}), tuple(problems)


def _refused(suite: SuiteRecord, reasons: Mapping[str, str]) -> list[PerfgateError]:
    """Says of which recipes nothing is written. One that lacks a package is SKIPPED, which is no
    failure.
    """
    skipped = {one.name for one in suite.recipes if one.failure and one.failure.missing_package}
    return [
        BaselineError(
            f"no baseline of {suite.title}/{name} is written: {reason}",
            next_step="fix the recipe, or change its budget, and measure again",
        )
        for name, reason in reasons.items()
        if name not in skipped
    ]


def _of_no_commit(changed: str) -> BaselineError:
    return BaselineError(
        f"no baseline is written: {changed}",
        valid="one commit, and the same local changes, from the start of a session to its end",
        next_step="leave the working tree as it is meanwhile, and measure again: "
        "pytest --perf --perf-update",
    )


def _too_few(suite: SuiteRecord, count: int, seconds: float) -> BaselineError:
    needed = suite.phases.get("measure", 0.0) / count * FEWEST_LAUNCHES
    return BaselineError(
        f"no times of {suite.title} are written: {count_of(count, 'launch', 'launches')} of "
        f"{FEWEST_LAUNCHES} fit into --perf-seconds={seconds:g}",
        next_step=f"give it longer: --perf-seconds={seconds_for(needed)}",
    )


def baseline_of(
    session: SessionRecord,
    suite: SuiteRecord,
    record: RecipeRecord,
    metrics: Mapping[str, Metric],
    among: Collection[int] = LENGTHS,
    *,
    like: Baseline | None = None,
) -> Baseline:
    """What would be stored of a recipe, each time with the yardstick of the nearest length that is
    `among` these, or of the length that it has in the baseline `like`.
    """
    given = like.metrics if like else {}
    gpus = uuids_of(record.runtime_facts)
    device = device_values(suite.device_yardsticks, gpus)
    stored = {}
    for metric in metrics.values():
        value = level(record, metric)
        if value is None or metric.alone:  # nothing is compared with it
            continue
        launches = launch_values(record, metric) if metric.rule is Rule.LAUNCHES else {}
        if metric.name in given:
            pieces = given[metric.name].pieces
        else:
            pieces = nearest(suite.yardstick, span(record, metric), among)
        yard = yardstick_values(suite.yardstick, pieces)
        through = corrected_by(metric, record)
        of_device = through is Corrects.DEVICE and device.keys() >= launches.keys()
        # The cores' yardstick knows nothing of a GPU's drift, and corrects none of its times.
        known = (through is Corrects.CORES or of_device) and yard.keys() >= launches.keys()
        stored[metric.name] = StoredMetric(
            unit=metric.unit,
            value=value if metric.name in COUNTED else _short(value),
            launches=tuple(_short(value) for value in launches.values()),
            yardstick=tuple(_short(yard[index]) for index in launches) if known else (),
            pieces=pieces,
            device_yardstick=tuple(_short(device[index]) for index in launches)
            if of_device
            else (),
            batch=batch_of_record(record, metric.name)
            if metric.name in OF_BATCHES and launches
            else None,
            clocks=tuple(map(_short, _clocks(record, launches))),
            kinds=record.counts.kinds if metric.name == NODES and record.counts else {},
            source=record.counts.source if metric.name == NODES and record.counts else "",
            work=work_of(record) if metric.rule is Rule.LAUNCHES else "",
        )
    return Baseline(
        suite=suite.title,
        recipe=record.name,
        folder=suite.folder,
        reference=record.reference if record.reference != record.name else "",
        recorded=session.started,
        commit=session.commit,
        dirty=session.dirty,
        machine=session.machine,
        environment=session.environment,
        spec=spec_digest(record),
        metrics=stored,
        accuracy=record.accuracy and record.accuracy.to_keep(),
        **baseline_digests(record),
    )


def _clocks(record: RecipeRecord, launches: Collection[int]) -> list[float]:
    """The SM clock of each of these launches; none when one of them is not known."""
    clocks = {launch.index: launch.sm_clock for launch in record.launches}
    known = [clock for index in launches if (clock := clocks.get(index))]
    return known if len(known) == len(launches) else []


def suspects_of(baseline: Baseline, record: RecipeRecord, now: Environment) -> tuple[str, ...]:
    """What differs between a recipe now and where its baseline was measured, in words. A difference
    to an earlier session names the metrics that are of it.
    """
    lines = [
        *differences(baseline.environment, now),
        *_other_chain(baseline.latest, record),
        *_other_data(baseline, record),
    ]
    for origin in baseline.origins:
        more = len(origin.metrics) - _SHOWN
        names = ", ".join(origin.metrics[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        for line in (*differences(origin.environment, now), *_other_chain(origin, record)):
            if line not in lines:
                lines.append(f"{line} ({names} of {record.name}, of {origin.recorded[:10]})")
    return tuple(lines)


def _other_chain(origin: Origin, record: RecipeRecord) -> list[str]:
    """What a recipe is made of now, and was not when metrics were stored, by the digests of both;
    nothing where one of the two is not known.
    """
    now = baseline_digests(record)
    then = {"model": origin.model, "artifact": origin.artifact}
    lines = []
    if then["model"] and now["model"] and then["model"] != now["model"]:
        lines.append(
            f"the model has other weights than the baseline's: {now['model'][:12]} in place of "
            f"{then['model'][:12]}"
        )
    elif then["artifact"] and now["artifact"] and then["artifact"] != now["artifact"]:
        lines.append(
            f"the steps of {record.name} made another artifact of the same model than the "
            f"baseline's: {now['artifact'][:12]} in place of {then['artifact'][:12]}"
        )
    if origin.spec != spec_digest(record):
        lines.append(
            f"the recipe {record.name} has other steps, another runtime or other work than its "
            "baseline"
        )
    return lines


def _other_data(baseline: Baseline, record: RecipeRecord) -> list[str]:
    then, now = baseline.accuracy, record.accuracy
    if not then or not now or then.data_digest == now.data_digest:
        return []
    return [
        "validation images or annotations are others than the baseline's: "
        f"{now.data_digest[:12]} in place of {then.data_digest[:12]}"
    ]


def baseline_digests(record: RecipeRecord) -> dict[str, str]:
    """Digests of the model and of the artifact of a recipe; "" where it was not built."""
    return {
        "model": record.lineage[0].digest if record.lineage else "",
        "artifact": record.artifact.digest if record.artifact else "",
    }


def _short(value: float) -> float:
    return float(f"{value:.7g}")
