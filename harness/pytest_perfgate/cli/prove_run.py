"""`pytest-perfgate prove`: a recipe beside itself with one fault after the other.

It is judged as a session judges a change: the recipe as it is is the base, the recipe with a fault
the candidate.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_perfgate.cli.prove_candidates import (
    Candidate,
    Sizes,
    after_harmless,
    in_a_copy,
    with_fault,
)
from pytest_perfgate.cli.prove_judge import ProofJudge
from pytest_perfgate.cli.prove_lines import line
from pytest_perfgate.cli.prove_record import Proof
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.machine import steadiness
from pytest_perfgate.machine.cache_folders import keep_out_of_git
from pytest_perfgate.machine.fingerprint import this_machine
from pytest_perfgate.machine.held_folders import held_folder
from pytest_perfgate.machine.locks import exclusive
from pytest_perfgate.measure.bench import Bench
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.measure.prepared_arm import Arm
from pytest_perfgate.metric import MEMORY_GROWTH, PARITY, Rule
from pytest_perfgate.proving.catalogue import REFUSED, Fault
from pytest_perfgate.proving.harmless import Harmless, harmless_changes
from pytest_perfgate.records.alike import OF_BATCHES
from pytest_perfgate.records.launch_values import level
from pytest_perfgate.records.recipe import LimitKind, Recipe, Suite
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.session.arms import copy_of
from pytest_perfgate.suite.locations import with_files
from pytest_perfgate.suite.requirements import lacking
from pytest_perfgate.verdicts.limit_bounds import log_ratios

_FIRST = 3  # launches of the clean arms alone: sizes of faults are counted by them
_WITH_BATCHES = 2  # launches in which batches run that no budget is on, as in a session
_MOST = 60  # launches of one group of candidates
_MORE = 6  # launches beyond the fewest that prove a broken limit, for faults that stay unseen
_MARGIN = 0.02  # beyond the limit of a budget: the smallest slowdown that launches prove soon
_SPREADS = 3.0  # or so many standard deviations of a launch
_USUAL = 0.10  # the slowdown that a suite without a budget on time is tried with
_SHARE = 0.4  # of the free memory that the arms of a launch may take together
_ARMS = 32  # candidates in one launch, at most
_BLOCK = 6  # candidates that take turns with the same turns of the clean recipe
_TIMED = 7  # harmless changes that are timed: one of each kind, and a copy of the code
_BASE = "the recipe without the change"
_BESIDE = {LimitKind.SPEEDUP, LimitKind.GROWTH}


@dataclass(frozen=True)
class Request:
    """What is proven.

    Attributes:
        faults: those that are planted.
        harmless: how many harmless changes are made.
    """

    suite: Suite
    recipe: Recipe
    faults: Sequence[Fault]
    harmless: int


def prove(request: Request, settings: Settings, show: Progress) -> Proof:
    """Plants every fault, and measures what the recipe's budgets say of it.

    Raises:
        DeviceBusy: a session is measuring on this machine.
        PerfgateError: the recipe itself cannot be built or measured, or has no budget that is
            green.
    """
    suite, recipe = request.suite, request.recipe
    missing = lacking(suite, recipe) or lacking(suite, suite.recipes[recipe.reference])
    if missing is not None:
        raise PerfgateError(f"{recipe.name}: {missing.problem}", next_step=missing.next_step)
    keep_out_of_git(settings.cache)
    start = time.monotonic()
    with (
        exclusive(None, settings.wait, show, option="--wait SECONDS"),
        held_folder(settings.cache / "prove") as folder,
    ):
        suite = with_files(suite, settings.cache, show)
        run = _Run(replace(request, suite=suite), settings, show, folder)
        with run.bench:
            return run.proof(start)


class _Run:
    """One recipe: its clean arms, then the candidates."""

    def __init__(self, request: Request, settings: Settings, show: Progress, folder: Path) -> None:
        self._request, self._settings, self._folder = request, settings, folder
        self._suite, self._recipe = request.suite, request.recipe
        self._show = show
        self._judge = ProofJudge(self._suite, self._recipe, this_machine(), settings.alpha)
        self._launches = 0
        self._reference = self._suite.recipes[self._recipe.reference]
        self._control = copy_of(self._reference.name)
        self.bench = Bench(self._clean(), settings, show)

    def _clean(self) -> list[Arm]:
        recipes = {recipe.name: recipe for recipe in (self._reference, self._recipe)}
        arms = [
            Arm(
                recipe.name,
                self._suite,
                recipe,
                parity=self._parity() if recipe is self._recipe else None,
                growth=recipe is self._recipe and MEMORY_GROWTH in self._judge.budgets,
            )
            for recipe in recipes.values()
        ]
        return arms + [
            Arm(label, arm.suite, arm.recipe, copy_of=arm.label)
            for arm in arms
            for label in [copy_of(arm.label)]
        ]

    def _parity(self) -> float | None:
        budget = self._judge.budgets.get(PARITY)
        return None if budget is None else min(limit.value for limit in budget.limits)

    # -- in its order ----------------------------------------------------------------------

    def proof(self, start: float) -> Proof:
        """Everything, in its order.

        Raises:
            PerfgateError: the recipe cannot be measured, or none of its budgets is green.
        """
        self._show("the recipe as it is")
        self.bench.prepare()
        self._refuse_failed([self._recipe.name, self._reference.name])
        if self._needs_launches():
            self._first_launches()
        before = self._judge.red_before(self.bench)
        if self._judge.budgets.keys() <= before.keys():
            raise _nothing_green(self._recipe, before)
        sizes = self._sizes()
        candidates = [*self._with_faults(sizes), *self._after_harmless()]
        self._show("recipes with faults")
        self.bench.add([one.arm for one in candidates if one.arm is not None])
        if self._launches:
            for group in self._groups(self._timed(candidates)):
                self._group(group)
        rows = []
        for number, one in enumerate(candidates):
            self._show(f"judging {number + 1} of {len(candidates)}")
            rows.append(self._judge.row(one, before, sizes, self.bench))
        both = list(zip(rows, candidates, strict=True))
        faults = [
            self._judge.with_lines(row, one, self.bench, self._grown)
            for row, one in both
            if one.fault
        ]
        return Proof(
            suite=self._suite.name,
            recipe=self._recipe.name,
            machine=this_machine(),
            budgets={name: line(budget) for name, budget in self._judge.budgets.items()},
            before=before,
            faults=tuple(faults),
            harmless=tuple(row for row, one in both if not one.fault),
            launches=self._launches,
            seconds=round(time.monotonic() - start, 1),
        )

    def _refuse_failed(self, labels: Iterable[str]) -> None:
        for label in labels:
            failure = self.bench.failures.get(label)
            if failure is not None:
                raise PerfgateError(
                    f"{label} cannot be measured without any fault: {failure.problem}",
                    next_step=failure.next_step,
                )

    def _needs_launches(self) -> bool:
        """Whether a fault is measured in launches, or a budget that must stay green is."""
        return any(fault.timed for fault in self._request.faults) or (
            self._request.harmless > 0
            and any(self._judge.metrics[name].rule is Rule.LAUNCHES for name in self._judge.budgets)
        )

    def _first_launches(self) -> None:
        """Launches of the clean arms alone."""
        start, last = time.monotonic(), False
        while not last:
            # The last one leaves no launch loaded ahead: its arms would be the clean ones.
            late = time.monotonic() - start > self._settings.seconds / 2
            last = late or self._launches == _FIRST - 1
            self._launch([], f"without faults, launch {self._launches + 1} of {_FIRST} ", last)
        self._refuse_failed([self._recipe.name, self._reference.name])

    def _sizes(self) -> Sizes:
        record = self.bench.record(self._recipe.name)
        known = {
            name: level(record, self._judge.metrics[name]) or 0.0
            for name in ("latency_p50", "load_time_cold", "load_time", "peak_memory")
        }
        return Sizes(
            slower=self._slower(record),
            latency=known["latency_p50"],
            cold=known["load_time_cold"],
            load=known["load_time"],
            memory=known["peak_memory"],
        )

    def _slower(self, record: RecipeRecord) -> float:
        """The smallest slowdown that a budget on the latency claims to see, and a margin that
        launches prove.
        """
        metric = self._judge.metrics["latency_p50"]
        now, reference = (
            level(of, metric) for of in (record, self.bench.record(self._reference.name))
        )
        budget = self._judge.budgets.get(metric.name)
        allowed = []
        for limit in budget.limits if budget else ():
            if limit.kind is LimitKind.REGRESSION:
                allowed.append(1 + limit.value)
            elif limit.kind is LimitKind.MAX and now:
                allowed.append(limit.value / now)
            elif limit.kind is LimitKind.SPEEDUP and now and reference:
                allowed.append(reference / limit.value / now)
        least = min([one for one in allowed if one > 1], default=1 + _USUAL)
        ratios = log_ratios(metric, self.bench.record(self._judge.twin), record)
        mean = math.fsum(ratios) / max(1, len(ratios))
        spread = math.sqrt(math.fsum((one - mean) ** 2 for one in ratios) / max(1, len(ratios) - 1))
        return least * math.exp(max(_MARGIN, _SPREADS * spread)) - 1

    # -- candidates ------------------------------------------------------------------------

    def _with_faults(self, sizes: Sizes) -> list[Candidate]:
        accuracy = self.bench.record(self._recipe.name).accuracy
        matches = accuracy.matches if accuracy else None
        alone = matches is not None and len(matches.categories) < 2
        candidates = []
        for fault in self._request.faults:
            if fault.name == "classes_swapped" and alone:
                why = f"{REFUSED}the data have one class"
                candidates.append(Candidate(fault.name, None, False, fault, why))
                continue
            candidates.append(
                with_fault(
                    fault,
                    self._suite,
                    self._recipe,
                    sizes,
                    parity=self._parity(),
                    growth=MEMORY_GROWTH in self._judge.budgets,
                )
            )
        return candidates

    def _after_harmless(self) -> list[Candidate]:
        files = list(self.bench.files(self._recipe.name))
        candidates: list[Candidate] = []
        timed_kinds: set[str] = set()
        for change in harmless_changes(self._request.harmless):
            timed = change.kind not in timed_kinds and len(timed_kinds) < _TIMED
            timed_kinds |= {change.kind} if timed else set()
            candidates.append(self._harmless(change, files, timed=timed))
        return candidates

    def _harmless(self, change: Harmless, files: list[str], *, timed: bool) -> Candidate:
        if change.copies:
            return in_a_copy(change, self._suite, self._recipe, files, self._folder, timed=timed)
        return after_harmless(change, self._suite, self._recipe, timed=timed)

    def _timed(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        alive = set(self.bench.alive(self.bench.labels))
        return [one for one in candidates if one.timed and one.label in alive]

    def _groups(self, candidates: Sequence[Candidate]) -> list[Sequence[Candidate]]:
        """Candidates whose arms fit into the memory together."""
        record = self.bench.record(self._recipe.name)
        peak = level(record, self._judge.metrics["peak_memory"]) or 1.0
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        most = max(2, min(_ARMS, int(_SHARE * free / max(peak, 1.0))))
        count = math.ceil(len(candidates) / most)
        return [candidates[number::count] for number in range(count)]

    # -- launches --------------------------------------------------------------------------

    def _group(self, group: Sequence[Candidate]) -> None:
        """Launches of some candidates, until each is decided or the time is up."""
        from pytest_perfgate.stats.sequential import fewest

        needed = fewest(self._judge.risk.fail)
        live, start, seconds = list(group), time.monotonic(), self._settings.seconds
        before = len(steadiness.discards(self.bench.conditions))
        passed = pace = 0.0
        counted, last = 0, True
        for count in range(1, _MOST + 1):
            if passed > seconds and last:
                return
            # A launch that is loaded ahead has the arms of this group: the next one has others.
            last = counted + 1 >= needed or passed + 2 * pace >= seconds or count == _MOST
            note = f"{len(live)} changes, launch {count} of about {needed}, {passed:.0f} s "
            self._launch([one.label for one in live], note, last, batches=count <= _WITH_BATCHES)
            for one in live:
                self._judge.turns[one.label] = count
            passed = time.monotonic() - start
            pace = passed / count
            counted = count - len(steadiness.discards(self.bench.conditions)) + before
            if counted >= needed:
                late = counted > needed
                live = [
                    one
                    for one in live
                    # As long as faults are measured, so is what must stay green.
                    if not one.fault or self._judge.is_open(one.label, self.bench, late=late)
                ]
            live = [one for one in live if self.bench.alive([one.label])]
            if counted >= needed + _MORE or not any(one.fault for one in live):
                return

    def _launch(
        self, labels: Sequence[str], note: str, last: bool, *, batches: bool = True
    ) -> None:
        beside = any(
            limit.kind in _BESIDE
            for budget in self._judge.budgets.values()
            if self._judge.metrics[budget.metric].rule is Rule.LAUNCHES
            for limit in budget.limits
        )
        clean = [self._recipe.name]
        if beside and not self._recipe.is_reference:
            clean.append(self._reference.name)
        beside_clean = (self._judge.twin, *labels)
        blocks = [
            tuple(dict.fromkeys((*clean, *beside_clean[first : first + _BLOCK])))
            for first in range(0, len(beside_clean), _BLOCK)
        ]
        blocks.append((self._reference.name, self._control))
        batches = batches or bool(OF_BATCHES & self._judge.budgets.keys())
        self.bench.launch(
            list(dict.fromkeys(blocks)),
            note,
            batches=[label for block in blocks for label in block] if batches else [],
            last=last,
        )
        self._launches += 1

    def _grown(self, candidate: Candidate) -> Candidate:
        """The candidate with the growth of its memory, measured beside the clean recipe's."""
        if candidate.arm is None:
            return candidate
        clean = Arm(self._recipe.name, self._suite, self._recipe, growth=True)
        grown = replace(candidate.arm, label=f"{candidate.label}_grown", copy_of="", growth=True)
        self._show("the growth of the memory")
        self.bench.add([clean, grown])
        return replace(candidate, arm=grown)


def _nothing_green(recipe: Recipe, before: dict[str, str]) -> PerfgateError:
    if not before:
        return PerfgateError(
            f"{recipe.name} has no budget that applies on this machine",
            next_step="add one to [recipe.budgets]: map = { drop = 0.02 }",
        )
    name, reason = next(iter(before.items()))
    return PerfgateError(
        f"every budget of {recipe.name} is red without any fault, {name} first: {reason}",
        next_step=f"pytest --perf -k {recipe.name}",
    )
