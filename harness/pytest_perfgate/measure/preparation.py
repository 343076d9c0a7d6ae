"""Prepares the arms of one suite, from the pytest process: built, evaluated, compared."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from pytest_perfgate.files import digest_of
from pytest_perfgate.machine.cores import usable_cores
from pytest_perfgate.measure.worker_environment import worker_env
from pytest_perfgate.measure.worker_pool import Ended, Job, Pool
from pytest_perfgate.records.image_losses import Thumbnail
from pytest_perfgate.records.recipe import Recipe, Suite
from pytest_perfgate.records.recipe_record import Failure
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.workloads.placement import cores_of

Progress = Callable[[str], None]
"""Shows what is being done now, one line."""


@dataclass(frozen=True)
class Arm:
    """One thing being measured in a session: a recipe at one version of the code.

    Attributes:
        label: its name in the session, unlike any other's.
        copy_of: the label of the arm that this one is an unchanged copy of, "" for none; a copy is
            measured and not prepared.
        python: the interpreter of its version of the code.
        parity: the limit on its outputs' difference to the reference's, None: it is not measured.
        growth: whether the growth of its memory is measured.
    """

    label: str
    suite: Suite
    recipe: Recipe
    copy_of: str = ""
    python: str = sys.executable
    parity: float | None = None
    growth: bool = False

    @property
    def source(self) -> str:
        """The label under which it is prepared."""
        return self.copy_of or self.label


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

    def job(
        self, kind: str, name: str, work: dict[str, Any], arm: Arm, patience: float = 1.0
    ) -> Job:
        """A job for a worker that runs this version of the code."""
        python = sys.executable if kind == "launch" else arm.python
        env = {**worker_env(self.threads), "PERFGATE_CACHE": str(self._settings.cache)}
        silence = self._settings.timeout * patience
        return Job(kind, name, work, arm.suite.root, env, silence, python)

    def images(self, arm: Arm) -> str:
        """The file of the images that arms of this version of the code cycle through."""
        return str(self.logs / f"images-{digest_of(str(arm.suite.root))[:16]}.npz")


class Preparation:
    """Builds, evaluates and compares arms.

    Attributes:
        found: label to what the worker told of an arm that is ready.
        failures: label to why an arm is not.
        thumbnails: index to the validation images that recipes do worse.
        notes: what people should know of how it went.
    """

    def __init__(
        self, arms: Sequence[Arm], jobs: Jobs, settings: Settings, progress: Progress
    ) -> None:
        self._arms = arms
        self._jobs = jobs
        self._settings = settings
        self._progress = progress
        self._logs = jobs.logs
        self.found: dict[str, dict[str, Any]] = {}
        self.failures: dict[str, Failure] = {}
        self.thumbnails: dict[int, Thumbnail] = {}
        self.notes: list[str] = []

    def run(self, more: Sequence[Arm] | None = None) -> None:
        """Builds and evaluates the arms, or `more` that come later, as many at a time as there are
        cores for.
        """
        arms = [arm for arm in (self._arms if more is None else more) if not arm.copy_of]
        if not arms:
            return
        size = max(1, len(usable_cores()) // max(arm.suite.threads for arm in arms))
        jobs = [self._prepare_job(arm) for arm in sorted(arms, key=lambda a: len(a.recipe.chain))]
        doing: dict[str, str] = {}
        done = 0
        with Pool(size, self._logs / "prepare") as pool:
            for job, event in pool.run(jobs):
                if isinstance(event, Ended):
                    done += 1
                    doing.pop(job.name, None)
                    self.ended(job.name, "build", event, job.name in self.found)
                elif event["type"] == "progress":
                    total = f" {event['done']}/{event['total']}" if event["total"] else ""
                    doing[job.name] = f"{job.name}: {event['note']}{total}"
                elif event["type"] == "prepared":
                    self.found[job.name] = event
                else:
                    self.fail(job.name, event.get("stage", "build"), event)
                now = "; ".join(doing.values())
                self._progress(f"build {done}/{len(jobs)}  {now}")

        self._compare(arms)
        self._hold_to_references([arm for arm in arms if arm.parity is not None])
        self._let_grow([arm for arm in arms if arm.growth])

    def _compare(self, arms: Sequence[Arm]) -> None:
        """Lays each recipe's predictions beside those of the working tree's reference, at both
        versions of the code: what is compared with must be the same for both.
        """
        pairs = []
        for arm in arms:
            reference = self.found.get(arm.recipe.reference)
            mine = self.found.get(arm.label)
            if mine and reference and not arm.recipe.is_reference:
                same = mine["accuracy"]["data_digest"] == reference["accuracy"]["data_digest"]
                if same:
                    pairs.append([arm.label, mine["predictions"], reference["predictions"]])
        if not pairs:
            return
        self._progress("comparing predictions with the references'")
        # Images are those of the working tree's own data: its arms are named after recipes.
        here = next((arm for arm in arms if arm.label == arm.recipe.name), arms[0])
        own = {arm.label for arm in arms if arm.label == arm.recipe.name}
        work = {
            "suite": plain(here.suite),
            "pairs": pairs,
            "shown": [label for label, *_ in pairs if label in own],
        }
        job = self._jobs.job("compare", "compare", work, here)
        with Pool(1, self._logs / "compare") as pool:
            for _, event in pool.run([job]):
                if isinstance(event, Ended):
                    left = [label for label, *_ in pairs if "agreed" not in self.found[label]]
                    for label in left if event.problem else ():
                        self.ended(label, "evaluate", event, False)
                    if event.problem and not left:
                        self._not_shown(event.problem)
                elif event["type"] == "compared":
                    self._compared(event)
                elif event["type"] == "worse":
                    self.found[event["label"]]["worse"] = event["images"]
                    found = {int(at): each for at, each in event["thumbnails"].items()}
                    self.thumbnails |= {
                        at: Thumbnail.model_validate(each) for at, each in found.items()
                    }
                else:
                    left = [label for label, *_ in pairs if "agreed" not in self.found[label]]
                    for label in left:
                        self.fail(label, "evaluate", event)
                    if not left:
                        self._not_shown(event["problem"])

    def _not_shown(self, problem: str) -> None:
        """Pictures are no verdict: recipes are judged without them, and people are told."""
        self.notes.append(f"the images that got worse could not be looked for: {problem}")

    def _compared(self, event: dict[str, Any]) -> None:
        prepared = self.found[event["label"]]
        accuracy, found = prepared["accuracy"], event["values"]
        prepared["agreed"] = True
        prepared["accuracy"] = accuracy | {
            "values": accuracy["values"] | {name: each["value"] for name, each in found.items()},
            "ratios": accuracy.get("ratios", {})
            | {name: each["ratio"] for name, each in found.items()},
        }

    def _let_grow(self, arms: Sequence[Arm]) -> None:
        """Watches the memory of recipes over a long run, one after the other, where a budget on
        its growth asks for it.
        """
        jobs = [
            self._jobs.job(
                "growth",
                arm.label,
                {
                    "suite": plain(arm.suite),
                    "recipe": arm.recipe.name,
                    "mine": self.found[arm.label]["reference"],
                },
                arm,
            )
            for arm in arms
            if arm.label in self.found
        ]
        with Pool(1, self._logs / "growth") as pool:
            for job, event in pool.run(jobs):
                if isinstance(event, Ended):
                    self.ended(job.name, "measure", event, "growth" in self.found[job.name])
                elif event["type"] == "progress":
                    done = f"{event['done']}/{event['total']} images"
                    self._progress(f"watching the memory of {job.name}: {done}")
                elif event["type"] == "growth":
                    self.found[job.name]["growth"] = event["growth"]
                else:
                    self.fail(job.name, "measure", event)

    def _hold_to_references(self, arms: Sequence[Arm]) -> None:
        """Compares outputs with the references' where a budget on parity asks for it."""
        jobs = [
            self._jobs.job(
                "parity",
                arm.label,
                {
                    "suite": plain(arm.suite),
                    "recipe": arm.recipe.name,
                    "label": arm.label,
                    "mine": self.found[arm.label]["reference"],
                    "reference": self.found[arm.recipe.reference]["reference"],
                    "limit": arm.parity,
                },
                arm,
            )
            for arm in arms
            if {arm.label, arm.recipe.reference} <= self.found.keys()
        ]
        size = max(1, len(usable_cores()) // self._jobs.threads)
        with Pool(size, self._logs / "parity") as pool:
            for job, event in pool.run(jobs):
                if isinstance(event, Ended):
                    done = "parity" in self.found[job.name]
                    self.ended(job.name, "evaluate", event, done)
                elif event["type"] == "parity":
                    self.found[job.name]["parity"] = event["parity"]
                else:
                    self.fail(job.name, "evaluate", event)
                self._progress(f"comparing outputs with the reference's: {job.name}")

    def _prepare_job(self, arm: Arm) -> Job:
        work = {
            "suite": plain(arm.suite),
            "recipe": arm.recipe.name,
            "cache": str(self._settings.cache),
            "images": self._jobs.images(arm),
        }
        return self._jobs.job("prepare", arm.label, work, arm)

    def fail(self, name: str, stage: str, event: dict[str, Any]) -> None:
        """An arm's own word that it failed; the first counts."""
        self.failures.setdefault(
            name,
            Failure(
                stage=stage,
                problem=event["problem"],
                last_words=event.get("last_words", ""),
                next_step=event.get("next_step", ""),
            ),
        )

    def ended(self, name: str, stage: str, ended: Ended, answered: bool) -> None:
        """The end of a worker: a failure, unless it had answered."""
        if answered or name in self.failures:
            return
        self.failures[name] = Failure(
            stage=stage,
            problem=ended.problem or "the worker ended without an answer",
            last_words=ended.last_words,
            next_step=ended.next_step,
        )


def plain(suite: Suite) -> dict[str, Any]:
    """A suite as plain data, for a worker."""
    data: dict[str, Any] = json.loads(_adapter().dump_json(suite))
    return data


@cache
def _adapter() -> TypeAdapter[Suite]:  # made once: it takes longer than what it does
    return TypeAdapter(Suite)
