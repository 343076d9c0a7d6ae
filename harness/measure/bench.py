"""Prepares and measures the recipes of one suite, from the pytest process."""

from __future__ import annotations

import json
import os
import platform
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from harness import registry
from harness.measure import yardstick
from harness.measure.wall import Ended, Job, Pool
from harness.recipe import Recipe, Suite
from harness.record import Accuracy, ArtifactInfo, Failure, Launch, Link, RecipeRecord
from harness.settings import Settings

Progress = Callable[[str], None]
"""Shows what is being done now, one line."""

_IMAGES = 16  # validation images that every arm cycles through
_BATCHES = 2  # timed batches per launch
_LAUNCH_SECONDS = 20.0  # rounds of a launch stop after this, for slow arms
_BUSY = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"

ALLOCATOR = (
    "glibc.malloc.hugetlb=1"
    ":glibc.malloc.mmap_threshold=17179869184"
    ":glibc.malloc.trim_threshold=17179869184"
    ":glibc.malloc.top_pad=67108864"
)
"""Large temporaries are neither mapped anew nor given back at every inference, which otherwise
moves a launch's level by up to a quarter (glibc manual, "Memory Allocation Tunables")."""


def allocator() -> str:
    """The allocator's settings in workers, "" where it has none that are known."""
    return ALLOCATOR if platform.libc_ver()[0] == "glibc" else ""


class Bench:
    """The work on one suite: first `prepare`, then one `launch` after the other."""

    def __init__(self, suite: Suite, settings: Settings, progress: Progress) -> None:
        self._suite = suite
        self._settings = settings
        self._progress = progress
        self._plain = json.loads(TypeAdapter(Suite).dump_json(suite))
        self._logs = settings.cache / "logs" / str(os.getpid())
        self._prepared: dict[str, dict[str, Any]] = {}
        self._failures: dict[str, Failure] = {}
        self._launches: dict[str, list[Launch]] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self.yardstick: list[Launch] = []
        self._count = 0
        self._start = 0.0
        chosen = random.Random(0)  # noqa: S311 - which images to time, nothing secret
        self._draw = chosen.sample

    @property
    def failures(self) -> dict[str, Failure]:
        """Recipes that could not be built, evaluated or measured."""
        return dict(self._failures)

    def prepare(self, recipes: Sequence[Recipe]) -> None:
        """Builds and evaluates `recipes`, as many at a time as there are cores for."""
        cores = len(_cores())
        size = max(1, cores // self._suite.threads)
        env = self._env()
        jobs = [
            Job(
                "prepare",
                recipe.name,
                {"suite": self._plain, "recipe": recipe.name, "cache": str(self._settings.cache)},
                self._suite.root,
                env,
                self._settings.timeout,
            )
            for recipe in sorted(recipes, key=lambda each: len(each.chain))
        ]
        doing: dict[str, str] = {}
        done = 0
        with Pool(size, self._logs) as pool:
            for job, event in pool.run(jobs):
                if isinstance(event, Ended):
                    done += 1
                    doing.pop(job.name, None)
                    self._ended(job.name, "build", event, job.name in self._prepared)
                elif event["type"] == "progress":
                    total = f" {event['done']}/{event['total']}" if event["total"] else ""
                    doing[job.name] = f"{job.name}: {event['note']}{total}"
                elif event["type"] == "prepared":
                    self._prepared[job.name] = event
                else:
                    self._fail(job.name, event.get("stage", "build"), event)
                now = "; ".join(doing.values())
                self._progress(f"build {done}/{len(jobs)}  {now}")

    def launch(self, names: Sequence[str], note: str) -> None:
        """One launch with these recipes, those that failed left out, and the yardstick."""
        live = [name for name in names if name in self._prepared and name not in self._failures]
        if not live:
            return
        self._start = self._start or time.monotonic()
        cores = self._turn_of_cores()
        arms: list[dict[str, Any]] = [{"name": yardstick.NAME}]
        for name in live:
            arms.append(
                {
                    "name": name,
                    "suite": self._plain,
                    "recipe": name,
                    "reference": self._prepared[name]["reference"],
                    "cache": str(self._settings.cache),
                }
            )
        job = Job(
            "launch",
            f"launch {self._count}",
            {
                "index": self._count,
                "cores": cores,
                "arms": arms,
                "suite": self._plain,
                "images": self._images(),
                "preload": self._preload(live),
                "rounds": self._settings.rounds,
                "batches": _BATCHES,
                "seconds": _LAUNCH_SECONDS,
                "silence": self._settings.timeout,
                "started": round(time.monotonic() - self._start, 3),
                "logs": str(self._logs),
                "batch_size": self._suite.batch,
            },
            self._suite.root,
            self._env(),
            self._settings.timeout * 1.5,
        )
        self._count += 1
        with Pool(1, self._logs) as pool:
            for _, event in pool.run([job]):
                self._hear(event, live, note)

    def record(self, recipe: Recipe) -> RecipeRecord:
        """All that was measured of a recipe so far."""
        prepared = self._prepared.get(recipe.name)
        common: dict[str, Any] = {
            "name": recipe.name,
            "reference": recipe.reference,
            "parent": recipe.parent,
            "spec": spec_of(recipe),
            "failure": self._failures.get(recipe.name),
            "launches": tuple(self._launches.get(recipe.name, ())),
        }
        if prepared:
            common |= {
                "lineage": tuple(Link.model_validate(link) for link in prepared["lineage"]),
                "artifact": ArtifactInfo.model_validate(prepared["artifact"]),
                "accuracy": Accuracy.model_validate(prepared["accuracy"]),
                "runtime_facts": self._facts.get(recipe.name, prepared["facts"]),
            }
        return RecipeRecord(**common)

    def _hear(self, event: dict[str, Any] | Ended, live: list[str], note: str) -> None:
        if isinstance(event, Ended):
            if event.problem:  # the parent itself ended: what it had not sent is lost
                for name in live:
                    if len(self._launches.get(name, ())) < self._count:
                        self._ended(name, "measure", event, False)
            return
        if event["type"] == "measured":
            launch = Launch.model_validate(event["launch"])
            if event["arm"] == yardstick.NAME:
                self.yardstick.append(launch)
            else:
                self._launches.setdefault(event["arm"], []).append(launch)
                self._facts[event["arm"]] = event["facts"]
        elif event["type"] == "arm_failed":
            if event["arm"] != yardstick.NAME:
                self._fail(event["arm"], "measure", event)
        elif event["type"] == "failed":
            for name in live:
                self._fail(name, "measure", event)
        else:
            total = f" {event['done']}/{event['total']}" if event["total"] else ""
            self._progress(f"{note}  {event['note']}{total}")

    def _fail(self, name: str, stage: str, event: dict[str, Any]) -> None:
        self._failures.setdefault(
            name,
            Failure(
                stage=stage,
                problem=event["problem"],
                last_words=event.get("last_words", ""),
                next_step=event.get("next_step", ""),
            ),
        )

    def _ended(self, name: str, stage: str, ended: Ended, answered: bool) -> None:
        if answered or name in self._failures:
            return
        self._failures[name] = Failure(
            stage=stage,
            problem=ended.problem or "the worker ended without an answer",
            last_words=ended.last_words,
            next_step=ended.next_step,
        )

    def _images(self) -> list[int]:
        total = min(
            (event["accuracy"]["images"] for event in self._prepared.values()), default=_IMAGES
        )
        return sorted(self._draw(range(total), min(_IMAGES, total)))

    def _preload(self, names: Sequence[str]) -> list[str]:
        modules: dict[str, None] = {"numpy": None, "pydantic": None}
        for name in names:
            runtime = registry.find(registry.RUNTIMES, self._suite.recipes[name].runtime.name)
            modules |= dict.fromkeys(runtime.preload)
        return list(modules)

    def _turn_of_cores(self) -> list[int]:
        """The cores of the next launch: launches go round all cores, arms of a launch share."""
        cores = _cores()
        if not hasattr(os, "sched_setaffinity"):
            return []
        threads = min(self._suite.threads, len(cores))
        begin = (self._count * threads) % max(1, len(cores) - threads + 1)
        return cores[begin : begin + threads]

    def _env(self) -> dict[str, str]:
        env = {name: str(self._suite.threads) for name in _BUSY}
        env |= {
            "PYTHONHASHSEED": "0",
            "PERFGATE_CACHE": str(self._settings.cache),
            "PYTHONDONTWRITEBYTECODE": os.environ.get("PYTHONDONTWRITEBYTECODE", ""),
            "TOKENIZERS_PARALLELISM": "false",
        }
        if allocator():
            env["GLIBC_TUNABLES"] = allocator()
        return env


def spec_of(recipe: Recipe) -> dict[str, Any]:
    """A recipe as it was asked for, as plain data."""
    return {
        "chain": [{"step": step.name, "options": dict(step.options)} for step in recipe.chain],
        "runtime": {"name": recipe.runtime.name, "options": dict(recipe.runtime.options)},
        "budgets": {
            budget.metric: {limit.kind.value: limit.text for limit in budget.limits}
            for budget in recipe.budgets
        },
    }


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def clear_logs(cache: Path) -> None:
    """Removes the workers' logs of this session."""
    import shutil

    shutil.rmtree(cache / "logs" / str(os.getpid()), ignore_errors=True)
