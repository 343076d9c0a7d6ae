"""`--perf-affected`: which recipes a change can touch, and which a stored session has measured.

A recipe is unaffected when all that it and its reference rest on is, by content, what it was in a
session of the base commit, on this machine. What is not known counts as changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from pytest_perfgate import registry
from pytest_perfgate.machine.fingerprint import Machine
from pytest_perfgate.measure.base_checkout import Commit
from pytest_perfgate.metric import Metric
from pytest_perfgate.records.earlier import EarlierSuite, Lookup
from pytest_perfgate.records.inputs import (
    Unaffected,
    key_of,
    recipe_differences,
    suite_differences,
)
from pytest_perfgate.records.recipe import Recipe, Suite
from pytest_perfgate.records.verdict import Earlier, Status, Verdict
from pytest_perfgate.session.inputs_now import InputsNow
from pytest_perfgate.verdicts.conditions import why_not

_DECIDED = {Status.PASS, Status.FAIL}
_SHOWN = 3  # differences that are named


@dataclass(frozen=True)
class Affected:
    """What `--perf-affected` leaves of a suite.

    Attributes:
        wanted: recipes that are measured, with their metrics.
        unaffected, verdicts: recipes that are not, and the verdicts on their budgets.
        reasons: recipe to why it is measured.
    """

    wanted: dict[str, list[str]]
    unaffected: tuple[Unaffected, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """Why recipes are measured, a line for those of one reason."""
        names: dict[str, list[str]] = {}
        for name, reason in self.reasons.items():
            names.setdefault(reason, []).append(name)
        return tuple(f"affected: {', '.join(own)}: {reason}" for reason, own in names.items())


DataNow = Callable[[Iterable[str]], Mapping[str, str] | None]
"""Digests of the data of splits, computed now; None: they could not be."""


class Selection:
    """Compares the recipes of one suite with what stored sessions of the base say of them."""

    def __init__(
        self, suite: Suite, now: InputsNow, base: Commit, find: Lookup, data_now: DataNow
    ) -> None:
        self._suite = suite
        self._now = now
        self._base = base
        self._find = find
        self._data_now = data_now
        self._at_base = [one for one in find(base.commit) if self._is_of_base(one)]
        self._suite_now = now.of_suite()
        self._data: dict[frozenset[str], Mapping[str, str] | None] = {}

    def _is_of_base(self, earlier: EarlierSuite) -> bool:
        return earlier.name == self._suite.title and earlier.commit == self._base.commit

    def of(
        self, wanted: Mapping[str, Sequence[str]], metrics: Mapping[str, Metric], machine: Machine
    ) -> Affected:
        """The recipes of `wanted`, apart; a name that the suite does not know stays."""
        result = Affected({})
        unaffected, verdicts = [], []
        for name, names in wanted.items():
            recipe = self._suite.recipes.get(name)
            if recipe is None:
                result.wanted[name] = list(names)
                continue
            judged = [metric for metric in names if not _skipped(recipe, metric, machine)]
            origin, reason = self._origin(recipe, judged)
            if origin is None:
                result.wanted[name] = list(names)
                result.reasons[name] = reason
                continue
            unaffected.append(_unaffected(name, origin))
            verdicts += [
                self._verdict(recipe, metric, origin, metrics, machine)
                for metric in dict.fromkeys(names)
            ]
        return Affected(result.wanted, tuple(unaffected), tuple(verdicts), result.reasons)

    def _origin(self, recipe: Recipe, judged: Sequence[str]) -> tuple[EarlierSuite | None, str]:
        """The session that measured a recipe with the same inputs; None, and why, for none."""
        for one in (recipe, self._suite.recipes[recipe.reference]):
            if one.search is not None:
                return None, "its ranges are filled in by a search"
            if registry.find(registry.RUNTIMES, one.runtime.name).endpoint:
                return None, "what a server answers today is not known"
        reason = f"no stored session of {self._base.name} measured it"
        for earlier in self._at_base:
            origin = self._measured(recipe.name, earlier)
            if origin is None:
                continue
            reason = next(self._differences(recipe, origin), "") or _undecided(
                recipe.name, judged, origin
            )
            if not reason:
                return origin, ""
        return None, reason

    def _measured(self, name: str, earlier: EarlierSuite) -> EarlierSuite | None:
        """Where a recipe was measured with the inputs that it had at the base."""
        unaffected = earlier.unaffected.get(name)
        if unaffected is None:
            return earlier if name in earlier.recipes else None
        # Perhaps it was measured there all the same, beside recipes that are compared with it; what
        # judged it is asked.
        for origin in self._find(unaffected.session):
            inputs = origin.recipes.get(name)
            is_named = origin.session == unaffected.session and origin.name == earlier.name
            if not is_named or inputs is None or origin.inputs is None:
                continue
            if key_of(origin.inputs, inputs) == unaffected.key:
                return origin
        return None

    def _differences(self, recipe: Recipe, origin: EarlierSuite) -> Iterator[str]:
        """What is not as it was, in one line; nothing where all is."""
        if origin.inputs is None:
            yield "what it rested on is not known"
            return
        lines = suite_differences(origin.inputs, self._suite_now)
        if first := list(islice(lines, _SHOWN)):
            yield f"{', '.join(first)} changed"
        if origin.references.get(recipe.name) != recipe.reference:
            yield "it was compared with another reference"
        for name in dict.fromkeys((recipe.name, recipe.reference)):
            then, one = origin.recipes.get(name), self._suite.recipes[name]
            if then is None:
                yield f"what {name} rested on is not known"
                continue
            changed = recipe_differences(then, self._now.again(one, then, None))
            if first := list(islice(changed, _SHOWN)):
                yield f"{', '.join(first)} changed"
            # Last, and only where all else is equal: data are read whole.
            data = self._data_of(then.data)
            if data is None:
                yield "the data could not be read"
            elif first := [key for key in then.data if data.get(key) != then.data[key]]:
                yield f"the data {', '.join(first)} changed"

    def _data_of(self, keys: Iterable[str]) -> Mapping[str, str] | None:
        splits = frozenset(key for key in keys if not key.startswith("slices."))
        if splits not in self._data:
            self._data[splits] = self._data_now(splits)
        return self._data[splits]

    def _verdict(
        self,
        recipe: Recipe,
        metric: str,
        origin: EarlierSuite,
        metrics: Mapping[str, Metric],
        machine: Machine,
    ) -> Verdict:
        known = metrics.get(metric)
        unit = known.unit.value if known else ""
        if reason := _skipped(recipe, metric, machine):
            return Verdict(
                recipe=recipe.name,
                metric=metric,
                status=Status.SKIPPED,
                unit=unit,
                reason=f"does not apply on this machine: {reason}",
            )
        status = origin.statuses[recipe.name, metric]
        place = _unaffected(recipe.name, origin)
        return Verdict(
            recipe=recipe.name,
            metric=metric,
            status=Status.UNAFFECTED,
            unit=unit,
            reason=f"not measured: what it rests on is as it was at {self._base.name}; "
            f"{status.value} in {place.origin}",
            next_step=""
            if status is Status.PASS
            else f"without --perf-affected: pytest --perf -k {recipe.name}",
            earlier=Earlier(
                session=origin.session,
                started=origin.started,
                commit=origin.commit,
                status=status,
            ),
        )


def _unaffected(name: str, origin: EarlierSuite) -> Unaffected:
    return Unaffected(
        recipe=name,
        reference=origin.references[name],
        session=origin.session,
        started=origin.started,
        commit=origin.commit,
        key="" if origin.inputs is None else key_of(origin.inputs, origin.recipes[name]),
    )


def _skipped(recipe: Recipe, metric: str, machine: Machine) -> str:
    """Why a budget does not apply on this machine, "" where it does."""
    conditions = (budget.when for budget in recipe.budgets if budget.metric == metric)
    return next((reason for when in conditions if (reason := why_not(when, machine))), "")


def _undecided(name: str, judged: Sequence[str], origin: EarlierSuite) -> str:
    """Why a session has not decided all budgets of a recipe; "" where it has."""
    for metric in judged:
        status = origin.statuses.get((name, metric))
        if status not in _DECIDED:
            word = "not judged" if status is None else status.value
            return f"{metric} was {word} in session {origin.session}"
    return ""
