"""What the two sides of the wall say to each other; all else of this package is the workers'.

A worker reads a job; a "launch" also reads a plan later, because it is started ahead of its time.
It answers with messages until it ends. Each is a frozen dataclass, and what arrives is validated.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.pipes import Vocabulary
from pytest_perfgate.records.accuracy import Accuracy, Ratio
from pytest_perfgate.records.build_messages import BuildJob, LinksBuilt
from pytest_perfgate.records.counts import Counts
from pytest_perfgate.records.folds import Folds
from pytest_perfgate.records.image_losses import Thumbnail, WorseImage
from pytest_perfgate.records.input_messages import DataKeys, DataKeysJob, FilesRead
from pytest_perfgate.records.launch import Growth, Launch, Parity
from pytest_perfgate.records.near_duplicates import NearDuplicates
from pytest_perfgate.records.profile import Profile
from pytest_perfgate.records.recipe import ALTERNATE, Suite
from pytest_perfgate.records.recipe_record import ArtifactInfo, Link
from pytest_perfgate.records.soak import Soak
from pytest_perfgate.records.yardsticks import SHORTEST

YARDSTICK = "yardstick"
"""The label of the yardstick's arm in a suite's launches; those of GPUs have the UUID after it."""


# Jobs: from the pytest process to a worker.
@dataclass(frozen=True)
class PrepareJob:
    """Build and evaluate a recipe.

    Attributes:
        cache: the folder of the artifact cache.
        images: the file for the images that arms of this version of the code cycle through.
        allocations: whether they are counted.
    """

    suite: Suite
    recipe: str
    cache: Path
    images: Path
    allocations: bool = False


@dataclass(frozen=True)
class PredictionPair:
    """Files with predictions of an arm and of its reference for a set, "" for the validation."""

    label: str
    recipe: Path
    reference: Path
    of_set: str = ""


@dataclass(frozen=True)
class CompareJob:
    """Compare predictions with the references'; `shown`: labels whose worse images are sent."""

    suite: Suite
    pairs: tuple[PredictionPair, ...]
    shown: frozenset[str]


@dataclass(frozen=True)
class ParityJob:
    """Compare outputs of a recipe with those of its reference, over drawn inputs, with `limit`."""

    suite: Suite
    recipe: str
    artifact: ArtifactHandle
    reference: ArtifactHandle
    limit: float


@dataclass(frozen=True)
class GrowthJob:
    """Watch the memory of a recipe over a long run."""

    suite: Suite
    recipe: str
    artifact: ArtifactHandle


@dataclass(frozen=True)
class ProfileJob:
    """Profile the operators of a recipe, on `cores`, with the first image of the file `images`."""

    suite: Suite
    recipe: str
    artifact: ArtifactHandle
    images: Path
    cores: tuple[int, ...]


@dataclass(frozen=True)
class SoakJob(ProfileJob):
    """Send requests to a recipe's server for as long as its workload says; as `ProfileJob`."""


@dataclass(frozen=True)
class RecipeWork:
    """What a recipe's arm opens.

    Attributes:
        root: the project's root, at the arm's version of the code.
        images: the file of the decoded images that it cycles through.
        silence: seconds without an answer after which a process of the arm counts as hung.
        outputs: the file of the outputs that these images had when accuracy was evaluated.
    """

    suite: Suite
    recipe: str
    artifact: ArtifactHandle
    root: Path
    images: Path
    silence: float
    outputs: Path


@dataclass(frozen=True)
class ArmSpec:
    """One arm of a launch.

    Attributes:
        python: its interpreter, where arms are programs of their own.
        cores: how many of the launch's cores it works on; None for all.
        work: what it measures; None for a yardstick's fixed work.
        memory: whether it measures the peak of its memory, and takes no turns.
        gpu: the UUID of the GPU whose yardstick it is; "" for that of the cores.
    """

    label: str
    python: str
    cores: int | None = None
    work: RecipeWork | None = None
    gpu: str = ""
    memory: bool = False


@dataclass(frozen=True)
class LaunchJob:
    """Load arms, which then take turns.

    Attributes:
        index: number of the launch in its suite.
        cores: that its processes are pinned to; empty for no pinning.
        preload: modules to import before the arms are forked.
        separate: whether each arm is a program of its own, not forked.
        ahead: whether arms are loaded before the plan is there.
        silence: seconds without an answer after which an arm counts as hung.
        logs: the folder of the arms' logs.
        peaks: labels of the arms whose peak memory is measured, each in a process of its own.
    """

    index: int
    cores: tuple[int, ...]
    preload: tuple[str, ...]
    separate: bool
    arms: tuple[ArmSpec, ...]
    ahead: bool
    silence: float
    logs: Path
    peaks: tuple[str, ...] = ()


@dataclass(frozen=True)
class LaunchPlan:
    """The second line of a launch: what is measured, and how.

    Attributes:
        blocks: labels of arms that take turns with each other; an arm in none of them leaves.
        rounds, seconds: of a block, and after which no visit begins, however few those were.
        batches, energies: labels of the arms whose batches or energy are measured too.
        started: seconds since the suite's first launch.
        turns: `ALTERNATE` or `BLOCKED`.
        longest: the longest yardstick, in pieces (`pytest_perfgate.records.yardsticks`).
        paced: whether the longest is at least as long as the arms' turns.
        yardstick_every: of so many visits, the yardstick of the cores takes part in the first.
        paired: labels of the arms that also have turns which are compared request by request.
    """

    blocks: tuple[tuple[str, ...], ...]
    rounds: int
    batches: tuple[str, ...]
    seconds: float
    started: float
    energies: tuple[str, ...] = ()
    turns: str = ALTERNATE
    longest: int = SHORTEST
    paced: bool = False
    yardstick_every: int = 1
    paired: tuple[str, ...] = ()


@dataclass(frozen=True)
class ArmJob:
    """Be one arm of a launch, as a program of its own; `turns` is the pipe that turns come by."""

    arm: ArmSpec
    turns: int
    preload: tuple[str, ...]


# Messages: from a worker to the pytest process, and from an arm to its launch.


@dataclass(frozen=True)
class WorkProgress:
    """What is being done: `done` of `total`, 0 where there is no total."""

    done: int
    total: int
    note: str


@dataclass(frozen=True)
class Failed:
    """An error that ended the work.

    Attributes:
        stage: "build", "evaluate" or "measure"; "" where the reader knows it.
    """

    problem: str
    next_step: str = ""
    last_words: str = ""
    stage: str = ""


@dataclass(frozen=True)
class Prepared:
    """A recipe that is built and evaluated.

    Attributes:
        load_time_cold: seconds, see the metric of that name.
        predictions, set_predictions: the files with the predictions, of each set by its name.
        outputs: the file with outputs of the images that arms cycle through.
        files: the project's files that the artifact rests on, with their digests.
        read: all that building and evaluating read, with digests; None: not known.
        data: `building.keys.data_keys`.
        notes: what people should know of how it was built.
        near_duplicates: of the splits that its steps read, each beside the validation images.
    """

    artifact: ArtifactHandle
    info: ArtifactInfo
    lineage: tuple[Link, ...]
    accuracy: Accuracy
    facts: dict[str, Any]
    load_time_cold: float
    predictions: Path
    outputs: Path
    files: dict[str, str]
    read: dict[str, str] | None
    data: dict[str, str]
    counts: Counts
    notes: tuple[str, ...] = ()
    near_duplicates: tuple[NearDuplicates, ...] = ()
    folds: Folds | None = None
    set_predictions: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class ComparedMetric:
    """A metric against the reference, and the sums that it is the ratio of."""

    value: float
    ratio: Ratio


@dataclass(frozen=True)
class Compared:
    """Metrics of an arm against its reference, by name, over the images of `of_set`; why others
    have no value.
    """

    label: str
    metrics: dict[str, ComparedMetric]
    of_set: str = ""
    unmeasured: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WorseImages:
    """Images that an arm does worse than its reference, worst first; new thumbnails by index."""

    label: str
    images: tuple[WorseImage, ...]
    thumbnails: dict[int, Thumbnail]


@dataclass(frozen=True)
class ParityMeasured:
    """The answer to a `ParityJob`."""

    parity: Parity


@dataclass(frozen=True)
class GrowthMeasured:
    """The answer to a `GrowthJob`."""

    growth: Growth


@dataclass(frozen=True)
class Profiled:
    """The answer to a `ProfileJob`."""

    profile: Profile


@dataclass(frozen=True)
class LaunchConditions:
    """What the machine did during the timed rounds of a launch."""

    conditions: Conditions


@dataclass(frozen=True)
class ArmMeasured:
    """What a launch measured of one arm.

    Attributes:
        facts: what the runtime says of itself.
        unmeasured: metrics without a value, with the reason.
        resident: the most bytes that became resident while its turns were timed; None: unknown.
        instruments: tracers and the like at work in its process, in words.
        repeated: runs that were repeated, and why the last of them was.
    """

    label: str
    launch: Launch
    facts: dict[str, Any]
    unmeasured: dict[str, str]
    instruments: tuple[str, ...] = ()
    resident: int | None = None
    repeated: tuple[int, str] = (0, "")


@dataclass(frozen=True)
class SoakMeasured:
    """What a long run of requests showed."""

    soak: Soak


@dataclass(frozen=True)
class ArmFailed:
    """An arm that left its launch before the end."""

    label: str
    failure: Failed


_Prepares = PrepareJob | CompareJob | ParityJob | GrowthJob | DataKeysJob | BuildJob
Work = _Prepares | ProfileJob | SoakJob | LaunchJob | ArmJob
Message = (
    WorkProgress
    | Failed
    | Prepared
    | LinksBuilt
    | Compared
    | WorseImages
    | ParityMeasured
    | GrowthMeasured
    | Profiled
    | SoakMeasured
    | LaunchConditions
    | ArmMeasured
    | ArmFailed
    | FilesRead
    | DataKeys
)

Send = Callable[[Message], None]

JOBS = Vocabulary[Work](get_args(Work))
PLANS = Vocabulary[LaunchPlan]([LaunchPlan])
MESSAGES = Vocabulary[Message](get_args(Message))


def worker_command(python: str, job_fd: int, message_fd: int, *, keeper: bool = True) -> list[str]:
    """The command line of a worker of this process: it reads jobs from one descriptor, writes
    messages to the other, and ends with its parent. With a `keeper`, whatever the worker starts
    ends with it (`pytest_perfgate.machine.parent_death`).
    """
    # -P: the working folder is the project's, and a module there must not hide one of ours.
    words = [str(job_fd), str(message_fd), str(os.getpid()), str(int(keeper))]
    return [python, "-P", "-m", "pytest_perfgate.worker", *words]
