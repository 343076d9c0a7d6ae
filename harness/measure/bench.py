"""Prepares and measures the arms of one suite, from the pytest process."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from pydantic import TypeAdapter

from harness import registry
from harness.measure import yardstick
from harness.measure.store import digest_of
from harness.measure.wall import Ended, Job, Pool
from harness.recipe import Recipe, Suite
from harness.record import (
    Accuracy,
    ArtifactInfo,
    Conditions,
    Failure,
    Launch,
    Link,
    RecipeRecord,
)
from harness.settings import Settings

Progress = Callable[[str], None]
"""Shows what is being done now, one line."""

_LAUNCH_SECONDS, _BLOCK_SECONDS = 1.5, 0.3
"""Rounds of a launch stop after this, and this for every block of arms, when arms are slow:
verdicts count launches, not samples. Shorter would be no faster: meanwhile the next launch imports
its frameworks and loads its arms."""

_SHARE_AHEAD = 0.5  # of the free memory, at most, may go into arms that are loaded ahead

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


def worker_env(threads: int) -> dict[str, str]:
    """The environment variables that every worker gets: what they are moves measurements."""
    env = {name: str(threads) for name in _BUSY}
    env |= {
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": os.environ.get("PYTHONDONTWRITEBYTECODE", ""),
        "TOKENIZERS_PARALLELISM": "false",
    }
    if allocator():
        env["GLIBC_TUNABLES"] = allocator()
    return env


@dataclass(frozen=True)
class Arm:
    """One thing being measured in a session: a recipe at one version of the code.

    Attributes:
        label: its name in the session, unlike any other's.
        copy_of: the label of the arm that this one is an unchanged copy of, "" for none; a copy is
            measured and not prepared.
        python: the interpreter of its version of the code.
    """

    label: str
    suite: Suite
    recipe: Recipe
    copy_of: str = ""
    python: str = sys.executable

    @property
    def source(self) -> str:
        """The label under which it is prepared."""
        return self.copy_of or self.label


class Bench:
    """The work on one suite: first `prepare`, then one `launch` after the other.

    Use as a context manager: on the way out, every process that it started is gone.
    """

    def __init__(self, arms: Sequence[Arm], settings: Settings, progress: Progress) -> None:
        self._arms = {arm.label: arm for arm in arms}
        self._settings = settings
        self._progress = progress
        self._separate = any(arm.python != sys.executable for arm in arms)
        self._logs = settings.cache / "logs" / str(os.getpid())
        self._prepared: dict[str, dict[str, Any]] = {}
        self._failures: dict[str, Failure] = {}
        self._launches: dict[str, list[Launch]] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self.yardstick: list[Launch] = []
        self.conditions: list[Conditions] = []
        self._count = 0
        self._start = 0.0
        self._pool = Pool(1, self._logs)

    def __enter__(self) -> Bench:
        self._logs.mkdir(parents=True, exist_ok=True)
        self._pool.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.__exit__(kind, error, trace)
        shutil.rmtree(self._logs, ignore_errors=True)

    @property
    def labels(self) -> list[str]:
        """Every arm, in the order it was given."""
        return list(self._arms)

    @property
    def failures(self) -> dict[str, Failure]:
        """Arms that could not be built, evaluated or measured."""
        return dict(self._failures)

    def prepare(self) -> None:
        """Builds and evaluates the arms, as many at a time as there are cores for."""
        arms = [arm for arm in self._arms.values() if not arm.copy_of]
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

        self._compare(arms)

    def _compare(self, arms: Sequence[Arm]) -> None:
        """Lays each recipe's predictions beside those of the working tree's reference, at both
        versions of the code: what is compared with must be the same for both.
        """
        pairs = []
        for arm in arms:
            reference = self._prepared.get(arm.recipe.reference)
            mine = self._prepared.get(arm.label)
            if mine and reference and not arm.recipe.is_reference:
                same = mine["accuracy"]["data_digest"] == reference["accuracy"]["data_digest"]
                if same:
                    pairs.append([arm.label, mine["predictions"], reference["predictions"]])
        if not pairs:
            return
        self._progress("comparing predictions with the references'")
        job = self._job("compare", "compare", {"task": arms[0].suite.task, "pairs": pairs}, arms[0])
        with Pool(1, self._logs / "compare") as pool:
            for _, event in pool.run([job]):
                if isinstance(event, Ended):
                    left = [label for label, *_ in pairs if "agreed" not in self._prepared[label]]
                    for label in left if event.problem else ():
                        self._ended(label, "evaluate", event, False)
                elif event["type"] == "compared":
                    self._compared(event)
                else:
                    for label, *_ in pairs:
                        self._fail(label, "evaluate", event)

    def _compared(self, event: dict[str, Any]) -> None:
        prepared = self._prepared[event["label"]]
        accuracy, found = prepared["accuracy"], event["values"]
        prepared["agreed"] = True
        prepared["accuracy"] = accuracy | {
            "values": accuracy["values"] | {name: each["value"] for name, each in found.items()},
            "ratios": {name: each["ratio"] for name, each in found.items()},
        }

    def alive(self, labels: Iterable[str]) -> list[str]:
        """Those of the arms that can still be measured."""
        return [
            label
            for label in labels
            if label in self._arms
            and self._arms[label].source in self._prepared
            and not {label, self._arms[label].source} & self._failures.keys()
        ]

    def seconds_per_inference(self, label: str) -> float:
        """What one image took while accuracy was evaluated, as a first guess; 0: not known."""
        prepared = self._prepared.get(self._arms[label].source)
        if prepared is None:
            return 0.0
        accuracy = prepared["accuracy"]
        return float(accuracy["seconds"]) / max(1, int(accuracy["images"]))

    def launch(
        self, blocks: Sequence[Sequence[str]], note: str, *, batches: Sequence[str], last: bool
    ) -> None:
        """One launch of these blocks of arms and the yardstick.

        Args:
            blocks: labels of arms that are compared with each other, and therefore take turns at
                every inference; those that failed are left out.
            note: what progress says before its own words.
            batches: the arms whose throughput is measured too.
            last: whether no launch will follow; else the next one is started ahead, on other
                cores, and loads its arms while this one measures.
        """
        alive = [tuple(self.alive(block)) for block in blocks]
        asked = list(dict.fromkeys(block for block in alive if block))
        live = list(dict.fromkeys(label for block in asked for label in block))
        if not live:
            return
        self._start = self._start or time.monotonic()
        self._pool.hold(self._launch_job(live, ahead=False))
        rest = {
            "blocks": [[yardstick.NAME], *asked],
            "rounds": self._settings.rounds,
            "batches": [label for label in live if label in batches],
            "seconds": launch_seconds(len(asked)),
            "started": round(time.monotonic() - self._start, 3),
            "batch_size": self._arms[live[0]].suite.batch,
        }
        self._count += 1
        events = self._pool.release(rest)
        if not last and len(usable_cores()) > self._threads():
            self._pool.hold(self._launch_job(live, ahead=self._fits_twice(live)))
        for _, event in events:
            self._hear(event, live, note)

    def _prepare_job(self, arm: Arm) -> Job:
        work = {
            "suite": _plain(arm.suite),
            "recipe": arm.recipe.name,
            "cache": str(self._settings.cache),
            "images": self._images(arm),
        }
        return self._job("prepare", arm.label, work, arm)

    def _fits_twice(self, labels: Sequence[str]) -> bool:
        """Whether there is memory for these arms while they are still loaded in this launch."""
        launches = [self._launches.get(label) for label in labels]
        peaks = [each[-1].peak_memory for each in launches if each]
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        known = [peak for peak in peaks if peak is not None]
        return len(known) == len(labels) and sum(known) < _SHARE_AHEAD * free

    def _launch_job(self, live: Sequence[str], *, ahead: bool) -> Job:
        arm = self._arms[live[0]]
        work = {
            "index": self._count,
            "cores": self._turn_of_cores(),
            "preload": self._preload(live),
            "exec": self._separate,
            "arms": [self._yardstick_arm(), *map(self._arm, live)],
            "ahead": ahead,
            "silence": self._settings.timeout,
            "logs": str(self._logs),
        }
        return self._job("launch", f"launch {self._count}", work, arm, patience=1.5)

    def _job(
        self, kind: str, name: str, work: dict[str, Any], arm: Arm, patience: float = 1.0
    ) -> Job:
        python = sys.executable if kind == "launch" else arm.python
        silence = self._settings.timeout * patience
        return Job(kind, name, work, arm.suite.root, self._env(), silence, python)

    def _arm(self, label: str) -> dict[str, Any]:
        arm = self._arms[label]
        return {
            "label": label,
            "kind": "recipe",
            "suite": _plain(arm.suite),
            "recipe": arm.recipe.name,
            "reference": self._prepared[arm.source]["reference"],
            "cache": str(self._settings.cache),
            "root": str(arm.suite.root),
            "images": self._images(arm),
            "python": arm.python,
        }

    def _yardstick_arm(self) -> dict[str, Any]:
        return {
            "label": yardstick.NAME,
            "kind": yardstick.KIND,
            "root": "",
            "images": "",
            "python": sys.executable,
        }

    def _images(self, arm: Arm) -> str:
        """The file of the images that arms of this version of the code cycle through."""
        return str(self._logs / f"images-{digest_of(str(arm.suite.root))[:16]}.npz")

    def record(self, label: str) -> RecipeRecord:
        """All that was measured of an arm so far."""
        arm = self._arms[label]
        recipe, prepared = arm.recipe, self._prepared.get(arm.source)
        common: dict[str, Any] = {
            "name": recipe.name,
            "reference": recipe.reference,
            "parent": recipe.parent,
            "spec": spec_of(recipe),
            "failure": self._failures.get(label) or self._failures.get(arm.source),
            "launches": tuple(self._launches.get(label, ())),
        }
        if prepared:
            common |= {
                "lineage": tuple(Link.model_validate(link) for link in prepared["lineage"]),
                "artifact": ArtifactInfo.model_validate(prepared["artifact"]),
                "accuracy": Accuracy.model_validate(prepared["accuracy"]),
                "runtime_facts": self._facts.get(label, prepared["facts"]),
            }
        return RecipeRecord(**common)

    def _hear(self, event: dict[str, Any] | Ended, live: list[str], note: str) -> None:
        if isinstance(event, Ended):
            if event.problem:  # the parent itself ended: what it had not sent is lost
                for name in live:
                    mine = self._launches.get(name)
                    if not mine or mine[-1].index < self._count - 1:
                        self._ended(name, "measure", event, False)
            return
        if event["type"] == "measured":
            launch = Launch.model_validate(event["launch"])
            if event["arm"] == yardstick.NAME:
                self.yardstick.append(launch)
            else:
                self._launches.setdefault(event["arm"], []).append(launch)
                self._facts[event["arm"]] = event["facts"]
        elif event["type"] == "conditions":
            self.conditions.append(Conditions.model_validate(event["conditions"]))
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

    def _preload(self, labels: Sequence[str]) -> list[str]:
        modules: dict[str, None] = {"numpy": None, "pydantic": None}
        for label in labels:
            runtime = registry.find(registry.RUNTIMES, self._arms[label].recipe.runtime.name)
            modules |= dict.fromkeys(runtime.preload)
        return list(modules)

    def _threads(self) -> int:
        return max((arm.suite.threads for arm in self._arms.values()), default=1)

    def _turn_of_cores(self) -> list[int]:
        """The cores of the next launch: launches go round all cores, arms of a launch share."""
        cores = usable_cores()
        if not hasattr(os, "sched_setaffinity"):
            return []
        threads = min(self._threads(), len(cores))
        begin = (self._count * threads) % max(1, len(cores) - threads + 1)
        return cores[begin : begin + threads]

    def _env(self) -> dict[str, str]:
        return {**worker_env(self._threads()), "PERFGATE_CACHE": str(self._settings.cache)}


def launch_seconds(blocks: int) -> float:
    """How long the rounds of a launch may take, when its arms are slow."""
    return _LAUNCH_SECONDS + _BLOCK_SECONDS * blocks


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


def _plain(suite: Suite) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(TypeAdapter(Suite).dump_json(suite))
    return plain


def usable_cores() -> list[int]:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
