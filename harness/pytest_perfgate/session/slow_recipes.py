"""Profiles the recipes whose budgets on time are broken, and says in the verdicts what was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_perfgate.measure.bench import Bench
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.recipe import LimitKind, Suite
from pytest_perfgate.records.verdict import Status, Verdict
from pytest_perfgate.session.arms import at_base
from pytest_perfgate.verdicts import slowdown


class Slowness:
    """The profiles of one suite's run.

    `which` is "failed", "all" or "none"; `base` is the name of the code that `--perf-base` names,
    "" for none.
    """

    def __init__(
        self, bench: Bench, suite: Suite, metrics: Mapping[str, Metric], which: str, base: str
    ) -> None:
        self._bench = bench
        self._suite = suite
        self._metrics = metrics
        self._which = which
        self._base = base
        self.profiled = False

    def explained(self, verdicts: Sequence[Verdict], names: Sequence[str]) -> list[Verdict]:
        """The same verdicts; those on a broken budget on time say where it went, from profiles that
        are taken now. `names` are the recipes that were measured.
        """
        slow = [verdict for verdict in verdicts if self._is_slow(verdict)]
        profiled = {"failed": [verdict.recipe for verdict in slow], "all": list(names)}.get(
            self._which, []
        )
        labels = dict.fromkeys(profiled)
        for name in profiled:
            labels |= dict.fromkeys(filter(None, (at_base(name), self._reference(name))))
        self.profiled = bool(labels)
        if not labels:
            return list(verdicts)
        self._bench.profile(labels)
        return [
            verdict.model_copy(update={"slower": self._why(verdict)})
            if verdict in slow
            else verdict
            for verdict in verdicts
        ]

    def _is_slow(self, verdict: Verdict) -> bool:
        metric = self._metrics.get(verdict.metric)
        return verdict.status is Status.FAIL and metric is not None and slowdown.is_of_time(metric)

    def _reference(self, name: str) -> str:
        recipe = self._suite.recipes[name]
        return "" if recipe.is_reference else recipe.reference

    def _why(self, verdict: Verdict) -> tuple[str, ...]:
        """A recipe beside what its budget holds it to: the base's code, or else its reference."""
        ours = self._bench.record(verdict.recipe)
        kinds = {limit.kind for limit in verdict.limits if limit.status is Status.FAIL}
        base = at_base(verdict.recipe)
        if LimitKind.REGRESSION.value in kinds and self._bench.alive([base]):
            other, name = self._bench.record(base), f"the code of {self._base}"
            return slowdown.beside(ours, other, name).lines()
        reference = self._reference(verdict.recipe)
        if reference and self._bench.alive([reference]):
            other = self._bench.record(reference)
            return slowdown.beside(ours, other, f"the reference {reference}").lines()
        return slowdown.alone(ours)
