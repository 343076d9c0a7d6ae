"""All that one session measured of one arm."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import Field

from pytest_perfgate.frozen import Frozen, Message
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.counts import Counts
from pytest_perfgate.records.folds import Folds
from pytest_perfgate.records.image_losses import WorseImage
from pytest_perfgate.records.inputs import RecipeInputs
from pytest_perfgate.records.launch import Growth, Launch, Parity
from pytest_perfgate.records.profile import Profile
from pytest_perfgate.records.search import Search
from pytest_perfgate.records.soak import Soak


class Link(Frozen):
    """One step of a chain, applied: what it was asked, what it changed, and what that took.

    `digest` is over the files of the artifact that it gave; "" in records of before. `machine` is
    the identity of another machine that it was built on and brought from, "" for none.
    """

    step: str
    options: dict[str, Any]
    effect: dict[str, Any]
    seconds: float
    cached: bool
    key: str
    digest: str = ""
    machine: str = ""


class ArtifactInfo(Frozen):
    """The artifact that is measured. `digest` is over the bytes of its files."""

    kind: str
    digest: str
    size: int
    files: dict[str, int]


class Failure(Frozen):
    """Why a recipe has no measurement.

    Attributes:
        stage: "suite", "recipe", "search", "build", "evaluate" or "measure".
        problem: one or a few sentences.
        last_words: the end of what the worker wrote before it ended, "" when it said nothing.
        next_step: what to do.
        missing_package: True when installing something is all that is asked.
        missing: names of what is not there: packages, a GPU.
    """

    stage: str
    problem: Message
    last_words: Message = ""
    next_step: str = ""
    missing_package: bool = False
    missing: tuple[str, ...] = ()


class RecipeRecord(Frozen):
    """All that one session measured of one arm.

    `spec` is the recipe as it was asked for: parent, chain, runtime, budgets in the user's words.
    `runtime_facts` are what the runtime says of itself: provider, precision, threads, version.
    `load_time_cold` is in seconds, see the metric of that name; None: not measured.
    `worse` are the images that the recipe does worse than its reference, the worst first; None:
    not looked at. `profile` is where the time of an inference goes; None: not taken.
    `counts` is what was counted of an inference; None: nothing was.
    `unmeasured` says of metrics why they have no value. `search` is how values of its chain were
    found; None: they stand in the suite file. `folds` is its cross-validation; None: it has none.
    `inputs` are what all of this rests on; None: not all of it is known.
    `soak` is a long run of requests to its server; None: not measured.
    """

    name: str
    reference: str
    parent: str = ""
    spec: dict[str, Any] = Field(default_factory=dict)
    lineage: tuple[Link, ...] = ()
    artifact: ArtifactInfo | None = None
    runtime_facts: dict[str, Any] = Field(default_factory=dict)
    accuracy: Accuracy | None = None
    parity: Parity | None = None
    growth: Growth | None = None
    soak: Soak | None = None
    counts: Counts | None = None
    load_time_cold: float | None = None
    launches: tuple[Launch, ...] = ()
    unmeasured: dict[str, str] = Field(default_factory=dict)
    failure: Failure | None = None
    worse: tuple[WorseImage, ...] | None = None
    profile: Profile | None = None
    search: Search | None = None
    folds: Folds | None = None
    inputs: RecipeInputs | None = None

    @property
    def runtime_name(self) -> str:
        """The name of its runtime in `spec`; "" where it names none."""
        runtime = self.spec.get("runtime")
        return str(runtime.get("name", "")) if isinstance(runtime, dict) else ""

    def without(self, launches: Collection[int]) -> RecipeRecord:
        """The same record less some launches, by their index."""
        if not launches:
            return self
        kept = tuple(launch for launch in self.launches if launch.index not in launches)
        return self.model_copy(update={"launches": kept})
