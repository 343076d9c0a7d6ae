"""Two stored sessions compared: what moved, in which direction, and what else is different.

The earlier session is taken as a baseline of the later one, by the same rule as a stored baseline:
times of either through the yardstick of its own launches, the reference recipe's change beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pytest_perfgate.baselines.baseline import Baseline
from pytest_perfgate.baselines.update import baseline_of
from pytest_perfgate.machine.fingerprint import Machine, differences
from pytest_perfgate.metric import Better, Metric, Rule
from pytest_perfgate.records.alike import unlike
from pytest_perfgate.records.launch_values import launch_values, level
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.records.yardsticks import measured_lengths
from pytest_perfgate.report.comparison import Differences, Direction, Fact, Moved, Row
from pytest_perfgate.suite.metrics import metrics_of_session
from pytest_perfgate.units import show_plain
from pytest_perfgate.verdicts import baseline_bounds
from pytest_perfgate.verdicts.evidence import Compared, Evidence, Risk

CHANCE = 0.05
"""That any direction of an unchanged pair of sessions is wrong; shared out over all metrics."""

_PER_LAUNCH = {"throughput", "peak_memory"}  # what the suite's batch is part of


def sessions(before: SessionRecord, after: SessionRecord) -> Differences:
    """What differs between two sessions, the worst first.

    Measurements of two machines are never compared; their values stand beside each other.
    """
    metrics = {**metrics_of_session(before), **metrics_of_session(after)}
    refused = _machines(before.machine, after.machine)
    pairs = [
        pair
        for suite in after.suites
        for other in before.suites
        if other.title == suite.title
        for pair in _pairs(before, other, suite, metrics)
    ]
    reasons = [refused or pair.obstacle for pair in pairs]
    risk = Risk(*[CHANCE / 2 / max(1, reasons.count(""))] * 2)
    now = datetime.fromisoformat(after.started)
    rows = [pair.row(reason, risk, now) for pair, reason in zip(pairs, reasons, strict=True)]
    return Differences(
        before=before,
        after=after,
        refused=refused,
        chance=CHANCE,
        rows=tuple(sorted(rows, key=lambda row: row.direction.rank)),
        facts=tuple(_facts(before, after)),
    )


@dataclass(frozen=True)
class _Pair:
    """One metric of one recipe that at least one of the two sessions measured."""

    suite: SuiteRecord
    old_suite: SuiteRecord
    metric: Metric
    old: RecipeRecord
    new: RecipeRecord
    baseline: Baseline
    reference: RecipeRecord | None
    reference_baseline: Baseline | None

    @property
    def obstacle(self) -> str:
        """Why it cannot be compared, "" when it can."""
        metric = self.metric
        for word, record in (("before", self.old), ("after", self.new)):
            if level(record, metric) is None:
                return f"not measured {word}"
        if metric.alone:
            return "this metric is never compared"
        if metric.rule is Rule.IMAGES:
            ours, theirs = (
                one.accuracy.on(metric.of_set) if one.accuracy else None
                for one in (self.new, self.old)
            )
            if ours and theirs and ours.data_digest != theirs.data_digest:
                return "the validation images are not the same"
            return ""
        if problem := unlike(metric, self.new, self.old):
            return problem
        if metric.rule is Rule.EXACT:
            return ""
        if metric.name in _PER_LAUNCH and self.suite.batch != self.old_suite.batch:
            return f"batches of {self.old_suite.batch} before and of {self.suite.batch} after"
        for word, record in (("before", self.old), ("after", self.new)):
            if len(launch_values(record, metric)) < 2:
                return f"fewer than two launches {word}"
        return ""

    def row(self, reason: str, risk: Risk, now: datetime) -> Row:
        """The row of this metric; `reason`: why it is not compared."""
        compared = None if reason else self._compared(risk, now)
        moved = None if compared is None else _moved(compared)
        return Row(
            suite=self.suite.title,
            recipe=self.new.name,
            metric=self.metric,
            before=level(self.old, self.metric),
            after=level(self.new, self.metric),
            direction=_direction(self.metric, moved),
            moved=moved,
            reason="" if moved else reason or "the difference has no interval",
            verdicts=(
                _verdict(self.old_suite, self.new.name, self.metric.name),
                _verdict(self.suite, self.new.name, self.metric.name),
            ),
        )

    def _compared(self, risk: Risk, now: datetime) -> Compared | None:
        if self.metric.name not in self.baseline.metrics:
            return None
        evidence = Evidence(
            record=self.new,
            reference=self.reference,
            baseline=self.baseline,
            reference_baseline=self.reference_baseline,
            yardstick=self.suite.yardstick,
            device_yardsticks=self.suite.device_yardsticks,
        )
        return baseline_bounds.against_baseline(self.metric, evidence, risk, now)


def _pairs(
    before: SessionRecord,
    old: SuiteRecord,
    new: SuiteRecord,
    metrics: Mapping[str, Metric],
) -> list[_Pair]:
    """Every metric that either suite measured of a recipe that both have."""
    theirs = {recipe.name: recipe.without(old.discarded) for recipe in old.recipes}
    ours = {recipe.name: recipe.without(new.discarded) for recipe in new.recipes}
    both = [name for name in ours if name in theirs]
    # The later session can only take out what it measured too.
    lengths = measured_lengths(new.yardstick)
    stored = {name: baseline_of(before, old, theirs[name], metrics, lengths) for name in both}
    return [
        _Pair(
            suite=new,
            old_suite=old,
            metric=metric,
            old=theirs[name],
            new=ours[name],
            baseline=stored[name],
            reference=ours.get(ours[name].reference) if _has_other(ours[name]) else None,
            reference_baseline=stored.get(ours[name].reference) if _has_other(ours[name]) else None,
        )
        for name in both
        for metric in metrics.values()
        if level(ours[name], metric) is not None or level(theirs[name], metric) is not None
    ]


def _has_other(record: RecipeRecord) -> bool:
    return bool(record.reference) and record.reference != record.name


def _moved(compared: Compared) -> Moved:
    return Moved(
        estimate=compared.estimate,
        low=compared.fail_low,
        high=compared.fail_high,
        relative=compared.scale == "ratio",
        method=compared.method,
        notes=tuple(note for note in (compared.note, *compared.notes) if note),
    )


def _direction(metric: Metric, moved: Moved | None) -> Direction:
    if moved is None:
        return Direction.REFUSED
    still = 1.0 if moved.relative else 0.0
    if moved.low <= still <= moved.high:
        return Direction.NO_DIFFERENCE
    more = moved.low > still
    return Direction.WORSE if more == (metric.better is Better.LOWER) else Direction.BETTER


def _verdict(suite: SuiteRecord, recipe: str, metric: str) -> Status | None:
    for verdict in suite.verdicts:
        if (verdict.recipe, verdict.metric) == (recipe, metric):
            return verdict.status
    return None


def _machines(before: Machine, after: Machine) -> str:
    """What keeps two machines apart, "" when they are of one fingerprint."""
    if before == after:
        return ""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    parts = [
        f"{key} {show_plain(old[key])} -> {show_plain(new[key])}"
        for key in old
        if old[key] != new[key]
    ]
    return f"they were taken on different machines ({'; '.join(parts)})"


def _facts(before: SessionRecord, after: SessionRecord) -> list[Fact]:
    """What else differs, the likeliest causes of a difference first."""
    facts = []
    if after.started < before.started:
        facts.append(Fact("order", "the second session was taken before the first"))
    if (before.commit, before.dirty) != (after.commit, after.dirty):
        facts.append(Fact("commit", f"{_commit(before)} -> {_commit(after)}"))
    elif after.dirty:
        facts.append(Fact("commit", f"{_commit(after)}, and the changes may not be the same"))
    facts += [
        Fact("toolchain", line) for line in differences(before.environment, after.environment)
    ]
    facts += [
        Fact("settings", f"{key} {show_plain(old)} -> {show_plain(new)}")
        for key, old, new in _changed(before.settings, after.settings)
    ]
    for word, session in (("before", before), ("after", after)):
        if not session.complete:
            facts.append(Fact("session", f"the session {word} was interrupted and is incomplete"))
    if before.id == after.id and before == after:
        facts.append(Fact("session", "both files hold the same session"))
    old_suites = {suite.title: suite for suite in before.suites}
    new_suites = {suite.title: suite for suite in after.suites}
    for name in dict.fromkeys((*new_suites, *old_suites)):
        if name not in old_suites:
            facts.append(Fact(name, "this suite is in the later session only"))
        elif name not in new_suites:
            facts.append(Fact(name, "this suite is in the earlier session only"))
        else:
            facts += _suite_facts(old_suites[name], new_suites[name])
    return facts


def _suite_facts(old: SuiteRecord, new: SuiteRecord) -> list[Fact]:
    facts = [
        Fact(new.name, f"{key} {show_plain(before)} -> {show_plain(after)}")
        for key in ("task", "model", "data", "batch")
        if (before := getattr(old, key)) != (after := getattr(new, key))
    ]
    theirs = {record.name: record for record in old.recipes}
    ours = {record.name: record for record in new.recipes}
    for name in dict.fromkeys((*ours, *theirs)):
        place = f"{new.name} {name}"
        if name not in theirs:
            facts.append(Fact(place, "this recipe is in the later session only"))
        elif name not in ours:
            facts.append(Fact(place, "this recipe is in the earlier session only"))
        else:
            facts += [Fact(place, line) for line in _recipe_facts(theirs[name], ours[name])]
    return facts


def _recipe_facts(old: RecipeRecord, new: RecipeRecord) -> list[str]:
    lines = []
    for word, record in (("before", old), ("after", new)):
        if record.failure is not None:
            lines.append(f"not measured {word}: {record.failure.problem}")
    for key, before, after in _changed(_flat(old.spec), _flat(new.spec)):
        lines.append(f"{key} {show_plain(before)} -> {show_plain(after)}")
    if old.failure or new.failure:
        return lines
    for key, before, after in _changed(old.runtime_facts, new.runtime_facts):
        lines.append(f"runtime: {key} {show_plain(before)} -> {show_plain(after)}")
    for before, after in zip(old.lineage, new.lineage, strict=False):
        if before.step == after.step:
            for key, one, two in _changed(before.effect, after.effect):
                lines.append(f"step {after.step}: {key} {show_plain(one)} -> {show_plain(two)}")
    if old.artifact and new.artifact and old.artifact.digest != new.artifact.digest:
        lines.append(f"artifact {old.artifact.digest[:12]} -> {new.artifact.digest[:12]}")
    ours, theirs = new.accuracy, old.accuracy
    if ours and theirs and ours.predictions_digest != theirs.predictions_digest:
        lines.append("its predictions differ")
    return lines


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Keys whose values differ, with both; a key that one of them lacks has None there."""
    return [
        (key, old.get(key), new.get(key))
        for key in dict.fromkeys((*new, *old))
        if old.get(key) != new.get(key)
    ]


def _flat(data: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Tables inside tables as one, keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{place}{key}.")
        else:
            flat[f"{place}{key}"] = value
    return flat


def _commit(session: SessionRecord) -> str:
    name = session.commit[:10] or "none"
    return f"{name} with local changes" if session.dirty else name
