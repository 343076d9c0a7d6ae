"""Proposed edits of the stored baselines: data first, shown as a table, written at the end.

A baseline moves only when what was measured is clearly not what is stored: noise moves none.
Nothing here deletes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from pytest_perfgate.baselines.baseline import Baseline, Origin, Reason, StoredMetric
from pytest_perfgate.baselines.store import Store
from pytest_perfgate.errors import BaselineError
from pytest_perfgate.machine.steadiness import loud
from pytest_perfgate.metric import AT, PERFORMANCE, Better, Metric, Over, Rule
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.alike import unlike_work
from pytest_perfgate.records.recipe import LimitKind
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.records.verdict import Change, Status, Verdict
from pytest_perfgate.units import Unit, show, show_percent


def propose(
    stored: Mapping[str, Baseline],
    new: Mapping[str, Baseline],
    metrics: Mapping[str, Metric],
    alike: Mapping[str, Baseline] | None = None,
) -> tuple[Change, ...]:
    """What the new records would change in the stored ones, by recipe and metric; `alike` are the
    new ones with the yardsticks' lengths of the stored ones, where they have others.
    """
    changes = []
    for recipe, fresh in new.items():
        old = stored.get(recipe)
        like = (alike or {}).get(recipe, fresh)
        for name, measured in fresh.metrics.items():
            before = old.metrics.get(name) if old else None
            kind = "create" if before is None else _kind(metrics[name], before, like.metrics[name])
            if (
                not kind
                and metrics[name].rule is Rule.IMAGES
                and _of_other_images(metrics[name], old, fresh)
            ):
                kind = "tighten"  # the value is the same, what it is of is not
            if not kind and before and _of_other_work(before, measured):
                kind = "tighten"
            if kind:
                changes.append(
                    Change(
                        kind=kind,
                        recipe=recipe,
                        metric=name,
                        unit=measured.unit,
                        before=before.value if before else None,
                        after=measured.value,
                    )
                )
    return tuple(changes)


def write(
    changes: Sequence[Change],
    *,
    new: Mapping[str, Baseline],
    stored: Mapping[str, Baseline],
    store: Store,
    reason: str,
    now: datetime,
) -> tuple[Change, ...]:
    """The changes as written.

    Raises:
        BaselineError: a loosening without a reason, or a file that cannot be written; nothing
            was changed.
    """
    loosened = [change for change in changes if change.kind == "loosen"]
    if loosened and not reason.strip():
        listed = ", ".join(f"{change.recipe} {change.metric}" for change in loosened)
        raise BaselineError(
            f"{len(loosened)} baselines would become worse: {listed}",
            next_step="give a reason: pytest --perf --perf-update --perf-reason 'why'",
        )
    merged = []
    for recipe in dict.fromkeys(change.recipe for change in changes):
        own = [change for change in changes if change.recipe == recipe]
        merged.append(_merged(own, new[recipe], stored.get(recipe), reason, now))
    store.write_all(merged, read=stored)
    return tuple(
        change.model_copy(
            update={"written": True, "reason": reason if change.kind == "loosen" else ""}
        )
        for change in changes
    )


def refusals(suite: SuiteRecord, metrics: Mapping[str, Metric]) -> dict[str, str]:
    """Recipes whose baselines must not be written from this session, each with the reason."""
    reasons = {}
    disturbed = loud(suite.conditions)
    for record in suite.recipes:
        if disturbed:
            reasons[record.name] = disturbed
        if record.failure is not None:
            reasons[record.name] = record.failure.problem
    for verdict in suite.verdicts:
        metric = metrics.get(verdict.metric)
        accuracy = metric is not None and metric.rule is Rule.IMAGES
        if verdict.status is Status.ERROR:
            reasons.setdefault(verdict.recipe, verdict.reason)
        elif verdict.status is Status.FAIL and accuracy and not _is_loosening(verdict):
            reasons.setdefault(verdict.recipe, f"its accuracy is broken: {verdict.reason}")
    return reasons


def _is_loosening(verdict: Verdict) -> bool:
    """Whether a broken budget only says that a score is worse than the stored one: a reason stores
    it, as it does a time.
    """
    broken = [limit for limit in verdict.limits if limit.status is Status.FAIL]
    return bool(broken) and all(
        limit.kind == LimitKind.REGRESSION.value and limit.against.startswith("baseline ")
        for limit in broken
    )


def table(changes: Sequence[Change]) -> list[str]:
    """The changes as lines of at most 100 columns."""
    if not changes:
        return ["no baseline was changed"]
    lines = [f"{'change':8} {'recipe':24} {'metric':16} {'stored':>13} {'measured':>13} {'':>9}"]
    for change in changes:
        moved = ""
        if change.before and change.after is not None:
            moved = show_percent(change.after / change.before - 1)
        lines.append(
            f"{change.kind:8} {change.recipe[:24]:24} {change.metric[:16]:16} "
            f"{show(change.before, change.unit) if change.before is not None else '-':>13} "
            f"{show(change.after, change.unit):>13} {moved:>9}".rstrip()[:100]
        )
    return lines


def _of_other_images(metric: Metric, old: Baseline | None, new: Baseline) -> bool:
    if old is None or old.accuracy is None or new.accuracy is None:
        return False
    worst = metric.over is Over.WORST
    names = {"", *old.accuracy.sets, *new.accuracy.sets} if worst else {metric.of_set}
    digests = [
        [
            None
            if (one := accuracy.on(name)) is None
            else (one.data_digest, one.points.get(metric.score_name))
            for name in sorted(names)
        ]
        for accuracy in (old.accuracy, new.accuracy)
    ]
    return digests[0] != digests[1]


def _of_other_work(before: StoredMetric, after: StoredMetric) -> bool:
    of_other_batches = None not in {before.batch, after.batch} and before.batch != after.batch
    return of_other_batches or bool(unlike_work(after.work, before.work))


def _kind(metric: Metric, before: StoredMetric, after: StoredMetric) -> str:
    """Which kind of change it is: "tighten", "loosen", or "" when the two cannot be told apart."""
    if metric.rule is Rule.LAUNCHES:
        through = _share_a_yardstick(before, after)
        old, new = _comparable(metric, before, through), _comparable(metric, after, through)
        if len(old) < 2 or len(new) < 2:
            return ""
        moved = _moved(old, new)
        if through and before.device_yardstick and not metric.device_only:
            # It is the cores' work in part, so no drift of either may move it.
            moved *= moved == _moved(before.launches, after.launches)
            if before.yardstick and after.yardstick:
                old, new = (
                    _through(metric, one.launches, one.yardstick) for one in (before, after)
                )
                moved *= moved == _moved(old, new)
    else:
        moved = (after.value > before.value) - (after.value < before.value)
    if not moved:
        return ""
    improved = (moved < 0) == (metric.better is Better.LOWER)
    return "tighten" if improved else "loosen"


def _moved(old: Sequence[float], new: Sequence[float]) -> int:
    """1 or -1 where every new value is above or below every old one, else 0."""
    return (min(new) > max(old)) - (max(new) < min(old))


def _share_a_yardstick(before: StoredMetric, after: StoredMetric) -> bool:
    """Whether both were measured beside the GPU's yardstick, or the cores' of the same length."""
    of_gpu = [bool(metric.device_yardstick) for metric in (before, after)]
    if of_gpu[0] is not of_gpu[1] or before.pieces != after.pieces:
        return False
    return all(len(_yardstick(metric)) == len(metric.launches) for metric in (before, after))


def _yardstick(stored: StoredMetric) -> tuple[float, ...]:
    """The times of the yardstick that corrects a metric."""
    return stored.device_yardstick or stored.yardstick


def _comparable(metric: Metric, stored: StoredMetric, through: bool) -> Sequence[float]:
    """The launches' values, `through` the yardstick without the machine's drift."""
    return _through(metric, stored.launches, _yardstick(stored)) if through else stored.launches


def _through(
    metric: Metric, values: Sequence[float], yardstick: Sequence[float]
) -> Sequence[float]:
    """Times over those of a yardstick, rates times them; anything else as it is."""
    pairs = zip(values, yardstick, strict=True)
    if metric.unit is Unit.SECONDS:
        return [value / yard for value, yard in pairs]
    if metric.unit is Unit.IMAGES_PER_SECOND:
        return [value * yard for value, yard in pairs]
    return values


def _merged(
    changes: Sequence[Change], new: Baseline, old: Baseline | None, reason: str, now: datetime
) -> Baseline:
    """A recipe's baseline after some changes; what they do not name stays as it is stored, with the
    origin that it has.
    """
    if old is None:
        return new
    moved = {change.metric for change in changes}
    metrics = {**old.metrics, **{name: new.metrics[name] for name in moved}}
    accuracy = _merged_accuracy(moved, new.accuracy, old.accuracy)
    renewed = moved | _confirmed(accuracy, new, old)
    loosened = tuple(
        Reason(
            metric=change.metric,
            date=now.isoformat(timespec="seconds"),
            reason=reason,
            before=change.before or 0.0,
            after=change.after or 0.0,
        )
        for change in changes
        if change.kind == "loosen"
    )
    return new.model_copy(
        update={
            "metrics": metrics,
            "reasons": old.reasons + loosened,
            "accuracy": accuracy,
            "origins": _origins(old, kept=metrics.keys() - renewed),
        }
    )


def _origins(old: Baseline, kept: Collection[str]) -> tuple[Origin, ...]:
    """The origins of the metrics that are kept."""
    origins = []
    for origin in (*old.origins, old.latest):
        names = tuple(sorted(name for name in origin.metrics if name in kept))
        if names:
            origins.append(origin.model_copy(update={"metrics": names}))
    return tuple(origins)


def _confirmed(merged: Accuracy | None, new: Baseline, old: Baseline) -> set[str]:
    """Metrics that the new session measured to the same number: of scores only those whose stored
    evaluation, by whose images they are compared, is the new one.
    """
    exact = {
        name
        for name, metric in new.metrics.items()
        if not metric.launches and metric == old.metrics.get(name)
    }
    return {name for name in exact if name in PERFORMANCE or _is_new(name, merged, new.accuracy)}


def _is_new(score: str, merged: Accuracy | None, new: Accuracy | None) -> bool:
    """Whether the stored evaluation of a score has the new one's images and predictions; of a score
    over several sets, each of them.
    """
    if merged is None or new is None:
        return merged is new
    _, _, of_set = score.partition(AT)
    names = {of_set} if not of_set or of_set in new.sets else {"", *merged.sets, *new.sets}
    digests = [
        [one and (one.data_digest, one.predictions_digest) for one in map(of.on, sorted(names))]
        for of in (merged, new)
    ]
    return digests[0] == digests[1]


def _merged_accuracy(
    moved: Collection[str], new: Accuracy | None, old: Accuracy | None
) -> Accuracy | None:
    """The stored evaluations, with the new one of each set that a score has moved on; sets that the
    suite has no more are left out.
    """
    if new is None or old is None:
        return new or old
    merged = new if set(moved) & new.values.keys() else old
    sets = {}
    for name, accuracy in new.sets.items():
        of_set = {f"{score}{AT}{name}" for score in accuracy.values}
        kept = old.on(name)
        sets[name] = accuracy if kept is None or of_set & set(moved) else kept
    return merged.model_copy(update={"sets": sets})
