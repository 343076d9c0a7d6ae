"""Prepares the arms of one suite, from the pytest process: built, evaluated, compared."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.files import digest_of
from pytest_perfgate.machine.cache_folders import CACHE_VARIABLE
from pytest_perfgate.machine.cores import measuring_places, usable_cores
from pytest_perfgate.machine.cpu_quota import busy_cores
from pytest_perfgate.measure.failed_arms import FailedArms, failed_message
from pytest_perfgate.measure.prepared_arm import Arm, PreparedArm
from pytest_perfgate.measure.worker_environment import identity, worker_env
from pytest_perfgate.measure.worker_pool import Ended, Job, Pool
from pytest_perfgate.measure.workplace import Workplace
from pytest_perfgate.records.image_losses import Thumbnail
from pytest_perfgate.records.input_messages import FilesRead, InputsRead
from pytest_perfgate.records.near_duplicates import NearDuplicates
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.tasks import kept_pixels
from pytest_perfgate.worker.protocol import (
    Compared,
    CompareJob,
    GrowthJob,
    GrowthMeasured,
    LaunchJob,
    ParityJob,
    ParityMeasured,
    PredictionPair,
    Prepared,
    PrepareJob,
    SoakJob,
    SoakMeasured,
    Work,
    WorkProgress,
    WorseImages,
)
from pytest_perfgate.workloads.placement import cores_of, on_gpu

Progress = Callable[[str], None]
"""Shows what is being done now, one line."""


class Jobs:
    """What all work on one suite has in common.

    Attributes:
        threads: of an arm, at each of its places.
        cores: of a launch.
    """

    def __init__(self, arms: Sequence[Arm], settings: Settings, logs: Path) -> None:
        self._settings = settings
        self.logs = logs
        self.threads = max((arm.suite.threads for arm in arms), default=1)
        self.cores = max((cores_of(arm.recipe, arm.suite.threads) for arm in arms), default=1)

    def job(self, name: str, work: Work, arm: Arm, patience: float = 1.0) -> Job:
        """A job for a worker that runs this version of the code."""
        # A launch's parent imports nothing of the project; arms of another interpreter start it.
        python = sys.executable if isinstance(work, LaunchJob) else arm.python
        cache = self._settings.cache
        env = {**worker_env(self.threads), **identity(cache / "home")}
        env[CACHE_VARIABLE] = str(cache)
        if self.pixels.is_dir():
            env[kept_pixels.VARIABLE] = str(self.pixels)
        silence = self._settings.timeout * patience
        device = on_gpu(arm.recipe)
        return Job(name, work, arm.suite.root, env, silence, python, self.threads, device)

    @property
    def pixels(self) -> Path:
        """The folder of the images that are decoded once for all arms, while it is there."""
        return self.logs / "pixels"

    def images(self, arm: Arm) -> Path:
        """The file of the images that arms of this version of the code cycle through."""
        return self.logs / f"images-{digest_of(str(arm.suite.root))[:16]}.npz"


class Preparation:
    """Builds, evaluates and compares arms.

    Attributes:
        prepared: label to an arm that is ready.
        failures: label to why an arm is not.
        thumbnails: index to the validation images that recipes do worse.
        near_duplicates: a split and the one that it is compared with, to their near-duplicates in
            the working tree.
        notes: what people should know of how it went.
    """

    def __init__(
        self,
        arms: Sequence[Arm],
        jobs: Jobs,
        settings: Settings,
        progress: Progress,
        workplace: Workplace,
    ) -> None:
        self._arms = arms
        self._jobs = jobs
        self._settings = settings
        self._progress = progress
        self._workplace = workplace
        self._logs = jobs.logs
        self.prepared: dict[str, PreparedArm] = {}
        self.failures = FailedArms()
        self.thumbnails: dict[int, Thumbnail] = {}
        self.near_duplicates: dict[tuple[str, str], NearDuplicates] = {}
        self.notes: list[str] = []
        self._read: dict[str, set[str]] = {}  # by label, "" for all arms

    def inputs(self, label: str, turns: frozenset[str] | None) -> InputsRead | None:
        """What was read for an arm; `turns` are names of what its timed turns have read. None: not
        all is known.
        """
        prepared = self.prepared.get(label)
        if prepared is None or prepared.answer.read is None or turns is None:
            return None
        compared = self._read.get(label, set()) | self._read.get("", set())
        return InputsRead(prepared.answer.read, turns | compared, prepared.answer.data)

    def _reads(self, event: FilesRead, label: str = "") -> None:
        self._read.setdefault(label, set()).update(event.names)

    def run(self, more: Sequence[Arm] | None = None) -> None:
        """Builds and evaluates the arms, or `more` that come later, as many at a time as there are
        cores for, within the quota of a container.
        """
        arms = [arm for arm in (self._arms if more is None else more) if not arm.copy_of]
        if not arms:
            return
        with contextlib.suppress(OSError):  # images are then decoded for each arm
            self._jobs.pixels.mkdir(exist_ok=True)
        try:
            self._run(arms)
        finally:
            self._workplace.rest()
            # Launches read none of them, and no disk is to write them meanwhile.
            shutil.rmtree(self._jobs.pixels, ignore_errors=True)
            self.notes += [note for note in self._workplace.notes if note not in self.notes]

    def _run(self, arms: Sequence[Arm]) -> None:
        size = max(1, busy_cores() // max(arm.suite.threads for arm in arms))
        jobs = [self._prepare_job(arm) for arm in sorted(arms, key=lambda a: len(a.recipe.chain))]
        own = {arm.label for arm in arms if arm.label == arm.recipe.name}
        doing: dict[str, str] = {}
        done = 0
        with self._workplace.runner(size, self._logs / "prepare") as pool:
            for job, event in pool.run(jobs):
                if isinstance(event, Ended):
                    done += 1
                    doing.pop(job.name, None)
                    self.failures.ended(job.name, "build", event, job.name in self.prepared)
                elif isinstance(event, WorkProgress):
                    total = f" {event.done}/{event.total}" if event.total else ""
                    doing[job.name] = f"{job.name}: {event.note}{total}"
                elif isinstance(event, Prepared):
                    self.prepared[job.name] = PreparedArm(event, event.accuracy)
                    self.notes += [note for note in event.notes if note not in self.notes]
                    if job.name in own:
                        self.near_duplicates |= {
                            (near.split, near.against): near for near in event.near_duplicates
                        }
                else:
                    self.failures.fail(job.name, "build", event)
                now = "; ".join(doing.values())
                self._progress(f"build {done}/{len(jobs)}  {now}")

        self._compare(arms)
        self._hold_to_references([arm for arm in arms if arm.parity is not None])
        self._run_long([arm for arm in arms if arm.growth or arm.soak])

    def _compare(self, arms: Sequence[Arm]) -> None:
        """Lays each recipe's predictions beside those of the working tree's reference, at both
        versions of the code: what is compared with must be the same for both.
        """
        pairs = []
        for arm in arms:
            reference = self.prepared.get(arm.recipe.reference)
            ours = self.prepared.get(arm.label)
            if ours is None or reference is None or arm.recipe.is_reference:
                continue
            pairs += _pairs(arm.label, ours, reference)
        if not pairs:
            return
        self._progress("comparing predictions with the references'")
        # Images are those of the working tree's own data: its arms are named after recipes.
        here = next((arm for arm in arms if arm.label == arm.recipe.name), arms[0])
        own = {arm.label for arm in arms if arm.label == arm.recipe.name}
        shown = frozenset(pair.label for pair in pairs if pair.label in own)
        work = CompareJob(here.suite, tuple(pairs), shown)
        with Pool(1, self._logs / "compare") as pool:
            for _, event in pool.run([self._jobs.job("compare", work, here)]):
                left = [
                    pair.label
                    for pair in pairs
                    if pair.of_set not in self.prepared[pair.label].compared
                ]
                if isinstance(event, Compared):
                    self._add_compared(event)
                elif isinstance(event, FilesRead):
                    self._reads(event)
                elif isinstance(event, WorseImages):
                    self.prepared[event.label].worse = event.images
                    self.thumbnails |= event.thumbnails
                elif isinstance(event, Ended):
                    for label in left if event.problem else ():
                        self.failures.ended(label, "evaluate", event, False)
                    if event.problem and not left:
                        self._not_shown(event.problem)
                else:
                    for label in left:
                        self.failures.fail(label, "evaluate", event)
                    if not left:
                        self._not_shown(failed_message(event).problem)

    def _not_shown(self, problem: str) -> None:
        """Pictures are no verdict: recipes are judged without them, and people are told."""
        self.notes.append(f"the search for images that got worse failed: {problem}")

    def _add_compared(self, event: Compared) -> None:
        prepared = self.prepared[event.label]
        prepared.compared |= {event.of_set}
        accuracy = prepared.accuracy.on(event.of_set)
        if accuracy is None:
            return
        values = {name: metric.value for name, metric in event.metrics.items()}
        ratios = {name: metric.ratio for name, metric in event.metrics.items()}
        compared = accuracy.model_copy(
            update={
                "values": accuracy.values | values,
                "ratios": accuracy.ratios | ratios,
                "unmeasured": accuracy.unmeasured | event.unmeasured,
            }
        )
        prepared.accuracy = prepared.accuracy.with_set(event.of_set, compared)

    def _run_long(self, arms: Sequence[Arm]) -> None:
        """Runs recipes for long, one after the other, where a budget is on what that shows: the
        growth of their memory, or their servers.
        """
        jobs = []
        for arm in arms:
            artifact = self.artifact(arm.label)
            if artifact is None:
                continue
            if arm.growth:
                work = GrowthJob(arm.suite, arm.recipe.name, artifact)
                jobs.append(self._jobs.job(arm.label, work, arm))
            if arm.soak:
                jobs.append(self._jobs.job(arm.label, self._soak_job(arm, artifact), arm))
        with Pool(1, self._logs / "growth") as pool:
            for job, event in pool.run(jobs):
                prepared = self.prepared[job.name]
                long = prepared.soak if isinstance(job.work, SoakJob) else prepared.growth
                if isinstance(event, Ended):
                    self.failures.ended(job.name, "measure", event, long is not None)
                elif isinstance(event, WorkProgress):
                    done = f"{event.note} {event.done}/{event.total}"
                    self._progress(f"a long run of {job.name}: {done}")
                elif isinstance(event, FilesRead):
                    self._reads(event, job.name)
                elif isinstance(event, GrowthMeasured):
                    prepared.growth = event.growth
                elif isinstance(event, SoakMeasured):
                    prepared.soak = event.soak
                else:
                    self.failures.fail(job.name, "measure", event)

    def _soak_job(self, arm: Arm, artifact: ArtifactHandle) -> SoakJob:
        cores = measuring_places(usable_cores(), self._jobs.cores)[0]
        return SoakJob(arm.suite, arm.recipe.name, artifact, self._jobs.images(arm), cores)

    def _hold_to_references(self, arms: Sequence[Arm]) -> None:
        """Compares outputs with the references' where a budget on parity asks for it."""
        jobs = []
        for arm in arms:
            ours, theirs = self.artifact(arm.label), self.artifact(arm.recipe.reference)
            if ours is not None and theirs is not None and arm.parity is not None:
                work = ParityJob(arm.suite, arm.recipe.name, ours, theirs, arm.parity)
                jobs.append(self._jobs.job(arm.label, work, arm))
        size = max(1, busy_cores() // self._jobs.threads)
        with self._workplace.runner(size, self._logs / "parity") as pool:
            for job, event in pool.run(jobs):
                prepared = self.prepared[job.name]
                if isinstance(event, Ended):
                    self.failures.ended(job.name, "evaluate", event, prepared.parity is not None)
                elif isinstance(event, FilesRead):
                    self._reads(event, job.name)
                elif isinstance(event, ParityMeasured):
                    prepared.parity = event.parity
                else:
                    self.failures.fail(job.name, "evaluate", event)
                self._progress(f"comparing outputs with the reference's: {job.name}")

    def _prepare_job(self, arm: Arm) -> Job:
        cache, images = self._settings.cache, self._jobs.images(arm)
        work = PrepareJob(arm.suite, arm.recipe.name, cache, images, arm.allocations)
        return self._jobs.job(arm.label, work, arm)

    def artifact(self, label: str) -> ArtifactHandle | None:
        """The artifact of an arm, None when the arm is not ready."""
        prepared = self.prepared.get(label)
        return None if prepared is None else prepared.answer.artifact


def _pairs(label: str, ours: PreparedArm, reference: PreparedArm) -> list[PredictionPair]:
    """The predictions of both sides for the images, and for those of each set, where they are of
    the same images.
    """
    pairs = []
    for name in ("", *ours.accuracy.sets):
        here, there = ours.accuracy.on(name), reference.accuracy.on(name)
        if here and there and here.data_digest == there.data_digest:
            files = ours.predictions(name), reference.predictions(name)
            pairs.append(PredictionPair(label, *files, name))
    return pairs
