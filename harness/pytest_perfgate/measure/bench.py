"""Measures the arms of one suite, from the pytest process: one launch after the other."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_perfgate.building import cache_access
from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.cores import measuring_places, usable_cores
from pytest_perfgate.machine.cpu_quota import busy_cores
from pytest_perfgate.machine.held_folders import held_folder
from pytest_perfgate.measure.arm_notes import ArmNotes
from pytest_perfgate.measure.launch_length import launch_seconds
from pytest_perfgate.measure.preparation import Jobs, Preparation, Progress
from pytest_perfgate.measure.prepared_arm import Arm, PreparedArm
from pytest_perfgate.measure.worker_pool import Ended, Job, Pool
from pytest_perfgate.measure.workplace import ThisHost, Workplace
from pytest_perfgate.measure.yardstick_arms import Yardsticks
from pytest_perfgate.records.image_losses import Thumbnail
from pytest_perfgate.records.input_messages import FilesRead, InputsRead
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.near_duplicates import NearDuplicates
from pytest_perfgate.records.profile import Profile
from pytest_perfgate.records.recipe_record import Failure, RecipeRecord
from pytest_perfgate.records.recipe_spec import spec_of
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.runtimes import on_device, uuids_of
from pytest_perfgate.suite.preloads import preloads_of
from pytest_perfgate.worker.protocol import (
    YARDSTICK,
    ArmFailed,
    ArmMeasured,
    ArmSpec,
    Failed,
    LaunchConditions,
    LaunchJob,
    LaunchPlan,
    Message,
    Profiled,
    ProfileJob,
    RecipeWork,
    WorkProgress,
)
from pytest_perfgate.workloads.placement import at_endpoint, cores_of

_SHARE_AHEAD = 0.5  # of the free memory, at most, may go into arms that are loaded ahead


class Bench(contextlib.ExitStack):
    """The work on one suite: first `prepare`, then one `launch` after the other.

    Use as a context manager: on the way out, every process that it started is gone.

    Args:
        workplace: where arms are built and evaluated; None for this host.

    Raises:
        PerfgateError: every user of this machine can write to the cache.
    """

    def __init__(
        self,
        arms: Sequence[Arm],
        settings: Settings,
        progress: Progress,
        workplace: Workplace | None = None,
    ) -> None:
        super().__init__()
        self._arms = {arm.label: arm for arm in arms}
        self._settings = settings
        self._progress = progress
        self._separate = any(arm.python != sys.executable for arm in arms)
        self._access = cache_access.refuse_others(settings.cache)
        self._logs = self.enter_context(held_folder(settings.cache / "logs"))
        self._jobs = Jobs(arms, settings, self._logs)
        self._preparation = Preparation(
            arms, self._jobs, settings, progress, workplace or ThisHost()
        )
        self._launches: dict[str, list[Launch]] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self._resident: dict[str, int | None] = {}
        self._profiles: dict[str, Profile] = {}
        self._unmeasured: dict[str, dict[str, str]] = {}
        self._arm_notes = ArmNotes()
        self.yardsticks = Yardsticks()
        self.conditions: list[Conditions] = []
        self._count, self._start = 0, 0.0
        self._pool = Pool(1, self._logs)

    def __enter__(self) -> Bench:
        self.enter_context(self._pool)
        return self

    @property
    def labels(self) -> list[str]:
        """Every arm, in the order it was given."""
        return list(self._arms)

    def prepare(self) -> None:
        """Builds and evaluates the arms, as many at a time as there are cores for."""
        self._preparation.run()

    def add(self, arms: Sequence[Arm]) -> None:
        """More arms of the same suite, prepared at once; those of before stay as they are."""
        self._arms |= {arm.label: arm for arm in arms}
        self._preparation.run(arms)

    @property
    def failures(self) -> dict[str, Failure]:
        """Arms that could not be built, evaluated or measured."""
        return dict(self._preparation.failures)

    def files(self, label: str) -> dict[str, str]:
        """The project's files that a prepared arm was made of, with their digests."""
        prepared = self._prepared(label)
        return {} if prepared is None else dict(prepared.answer.files)

    def inputs(self, label: str) -> InputsRead | None:
        """What was read for an arm, from its build to its last turn; None: not all is known."""
        is_timed = label in self._launches
        turns = self._arm_notes.read(label) if is_timed else frozenset()
        return self._preparation.inputs(label, turns)

    @property
    def thumbnails(self) -> dict[int, Thumbnail]:
        """Index to the validation images that recipes do worse than their references."""
        return dict(self._preparation.thumbnails)

    @property
    def near_duplicates(self) -> tuple[NearDuplicates, ...]:
        """The near-duplicates of images that scores are of, in the splits that steps read."""
        known = self._preparation.near_duplicates
        return tuple(known[pair] for pair in sorted(known))

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of how the arms were prepared and measured."""
        return (
            *filter(None, [self._access]),
            *self._preparation.notes,
            *self._arm_notes.lines(self._names),
            *self.yardsticks.notes,
        )

    def _names(self, labels: Iterable[str]) -> str:
        """The recipes of some arms."""
        recipes = {self._arms[label].recipe.name for label in labels if label in self._arms}
        return ", ".join(sorted(recipes)) or YARDSTICK

    def alive(self, labels: Iterable[str]) -> list[str]:
        """Those of the arms that can still be measured."""
        return [
            label
            for label in labels
            if label in self._arms
            and self._arms[label].source in self._preparation.prepared
            and not {label, self._arms[label].source} & self._preparation.failures.keys()
        ]

    def seconds_per_inference(self, label: str) -> float:
        """What one image took while accuracy was evaluated, as a first guess; 0: not known."""
        prepared = self._prepared(label)
        if prepared is None:
            return 0.0
        return prepared.accuracy.seconds / max(1, prepared.accuracy.images)

    def _prepared(self, label: str) -> PreparedArm | None:
        arm = self._arms.get(label)  # a recipe that is skipped here has none
        return None if arm is None else self._preparation.prepared.get(arm.source)

    def launch(
        self,
        blocks: Sequence[Sequence[str]],
        note: str,
        *,
        batches: Sequence[str],
        energies: Sequence[str] = (),
        peaks: Sequence[str] | None = None,
        paired: Sequence[str] = (),
        last: bool,
    ) -> None:
        """One launch of these blocks of arms and the yardstick.

        Args:
            blocks: labels of arms that are compared with each other, and therefore take turns at
                every inference; those that failed are left out.
            note: what progress says before its own words.
            batches: the arms whose throughput is measured too.
            energies: the arms whose energy is counted too, where they run on a device.
            peaks: the arms whose peak memory the next launch to be started measures; None: all.
            paired: the arms whose requests are compared one by one.
            last: whether no launch will follow; else the next one loads its arms on other cores.
        """
        alive = [tuple(self.alive(block)) for block in blocks]
        measured = list(dict.fromkeys(block for block in alive if block))
        live = list(dict.fromkeys(label for block in measured for label in block))
        if not live:
            return
        self._start = self._start or time.monotonic()
        # A server's memory is read where its turns are timed.
        apart = [label for label in live if not at_endpoint(self._arms[label].recipe)]
        wanted = tuple(label for label in apart if peaks is None or label in peaks)
        self._pool.hold(self._launch_job(live, wanted, ahead=False))
        plan = LaunchPlan(
            # Each yardstick takes its turns alone: it is compared with nothing of its launch.
            blocks=(*((spec.label,) for spec in self._yardsticks(live)), *measured),
            rounds=self._settings.rounds,
            batches=tuple(label for label in live if label in batches),
            energies=tuple(label for label in live if label in energies),
            turns=self._arms[live[0]].suite.turns,
            paired=tuple(label for label in live if label in paired),
            seconds=launch_seconds(len(measured)),
            longest=self.yardsticks.longest,
            paced=self.yardsticks.paced,
            yardstick_every=self.yardsticks.every,
            started=round(time.monotonic() - self._start, 3),
        )
        self._count += 1
        events = self._pool.release(plan)
        if not last and self._has_room_ahead():
            self._pool.hold(self._launch_job(live, wanted, ahead=self._may_load_ahead(live)))
        for _, event in events:
            self._hear(event, live, note)

    def _may_load_ahead(self, labels: Sequence[str]) -> bool:
        """Not on a device: loading would take it from the arms that are measured on it now."""
        return self._fits_twice(labels) and not any(
            on_device(self._facts_of(label)) for label in labels
        )

    def _fits_twice(self, labels: Sequence[str]) -> bool:
        """Whether there is memory for these arms while they are still loaded in this launch."""
        known = [self._resident.get(label) or 0 for label in labels]
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return all(known) and sum(known) < _SHARE_AHEAD * free

    def _launch_job(self, live: Sequence[str], peaks: tuple[str, ...], *, ahead: bool) -> Job:
        arm = self._arms[live[0]]
        work = LaunchJob(
            index=self._count,
            cores=self._turn_of_cores(),
            preload=preloads_of((self._arms[one].suite, self._arms[one].recipe) for one in live),
            separate=self._separate,
            arms=(*self._yardsticks(live), *map(self._arm, live)),
            ahead=ahead,
            silence=self._settings.timeout,
            logs=self._logs,
            peaks=peaks,
        )
        # The launch itself stops an arm that is silent for so long: it must be heard saying so.
        return self._jobs.job(f"launch {self._count}", work, arm, patience=1.5)

    def profile(self, labels: Iterable[str]) -> None:
        """Profiles these arms, one after the other, each in a process of its own."""
        jobs = []
        for label in self.alive(labels):
            if label in self._profiles:
                continue
            arm, prepared = self._arms[label], self._ready(label)
            work = ProfileJob(
                suite=arm.suite,
                recipe=arm.recipe.name,
                artifact=prepared.answer.artifact,
                images=self._jobs.images(arm),
                cores=measuring_places(usable_cores(), arm.suite.threads)[0],
            )
            jobs.append(self._jobs.job(label, work, arm))
        try:
            self._run_profiles(jobs)
        except OSError as error:  # a full disk: what was measured stands without a profile
            for job in jobs:
                self._profiles.setdefault(job.name, Profile(problem=str(error)))

    def _run_profiles(self, jobs: Sequence[Job]) -> None:
        with Pool(1, self._logs / "profile") as pool:
            for job, event in pool.run(jobs):
                self._progress(f"profiling {job.name}")
                if isinstance(event, Profiled):
                    self._profiles[job.name] = event.profile
                elif isinstance(event, Failed):
                    self._profiles[job.name] = Profile(problem=event.problem)
                elif isinstance(event, Ended):
                    problem = event.problem or "the worker exited without an answer"
                    self._profiles.setdefault(job.name, Profile(problem=problem))

    def _ready(self, label: str) -> PreparedArm:
        """What was prepared for an arm that is alive."""
        return self._preparation.prepared[self._arms[label].source]

    def _arm(self, label: str) -> ArmSpec:
        arm, answer = self._arms[label], self._ready(label).answer
        work = RecipeWork(
            suite=arm.suite,
            recipe=arm.recipe.name,
            artifact=answer.artifact,
            root=arm.suite.root,
            images=self._jobs.images(arm),
            silence=self._settings.timeout,
            outputs=answer.outputs,
        )
        return ArmSpec(label, arm.python, cores_of(arm.recipe, arm.suite.threads), work)

    def _yardsticks(self, labels: Iterable[str]) -> list[ArmSpec]:
        gpus = [uuid for label in labels for uuid in uuids_of(self._facts_of(label))]
        return self.yardsticks.arms(self._jobs.threads, gpus)

    def _facts_of(self, label: str) -> Mapping[str, Any]:
        """What an arm's runtime says of itself: in the last launch, or when it was evaluated."""
        prepared = self._prepared(label)
        facts: Mapping[str, Any] = prepared.answer.facts if prepared else {}
        return self._facts.get(label, facts)

    def record(self, label: str) -> RecipeRecord:
        """All that was measured of an arm so far."""
        arm = self._arms[label]
        recipe, prepared = arm.recipe, self._prepared(label)
        common: dict[str, Any] = {
            "name": recipe.name,
            "reference": recipe.reference,
            "parent": recipe.parent,
            "spec": spec_of(recipe),
            "failure": self._preparation.failures.get(label)
            or self._preparation.failures.get(arm.source),
            "launches": tuple(self._launches.get(label, ())),
            "profile": self._profiles.get(label),
            "unmeasured": self._unmeasured.get(label, {}),
        }
        if prepared is not None:
            answer = prepared.answer
            common |= {
                "lineage": answer.lineage,
                "artifact": answer.info,
                "accuracy": prepared.accuracy,
                "unmeasured": {**common["unmeasured"], **prepared.accuracy.unscored()}
                | answer.counts.unmeasured,
                "counts": answer.counts,
                "parity": prepared.parity,
                "growth": prepared.growth,
                "soak": prepared.soak,
                "folds": prepared.answer.folds,
                "load_time_cold": answer.load_time_cold,
                "worse": prepared.worse,
                "runtime_facts": self._facts.get(label, answer.facts),
            }
        return RecipeRecord(**common)

    def _hear(self, event: Message | Ended, live: list[str], note: str) -> None:
        if isinstance(event, Ended):
            if event.problem:  # the parent itself ended: what it had not sent is lost
                for name in live:
                    ours = self._launches.get(name)
                    if not ours or ours[-1].index < self._count - 1:
                        self._preparation.failures.ended(name, "measure", event, False)
        elif isinstance(event, ArmMeasured):
            self._arm_notes.hear(event)
            if not self.yardsticks.hears(event):
                self._launches.setdefault(event.label, []).append(event.launch)
                self._facts[event.label] = event.facts
                self._resident[event.label] = event.resident
                self._unmeasured[event.label] = event.unmeasured
        elif isinstance(event, FilesRead):
            self._arm_notes.hear_read(event)
        elif isinstance(event, LaunchConditions):
            self.conditions.append(event.conditions)
        elif isinstance(event, ArmFailed):
            if not self.yardsticks.hears(event):
                self._preparation.failures.fail(event.label, "measure", event.failure)
        elif isinstance(event, WorkProgress):
            total = f" {event.done}/{event.total}" if event.total else ""
            self._progress(f"{note}  {event.note}{total}")
        else:
            for name in live:
                self._preparation.failures.fail(name, "measure", event)

    def _places(self) -> list[tuple[int, ...]]:
        """The sets of cores that launches go round; none where this system pins nothing."""
        if not hasattr(os, "sched_setaffinity"):
            return []
        return measuring_places(usable_cores(), self._jobs.cores)

    def _turn_of_cores(self) -> tuple[int, ...]:
        """The cores of the next launch: launches go round all places, and its arms share."""
        places = self._places()
        return places[self._count % len(places)] if places else ()

    def _has_room_ahead(self) -> bool:
        """Whether the next launch has cores of its own to load on, within the quota."""
        return len(self._places()) > 1 and busy_cores() > self._jobs.cores
