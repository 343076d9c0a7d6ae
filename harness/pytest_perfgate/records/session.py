"""What was measured, as frozen, versioned, plain data: the contents of a session's JSON file.

Every time is in seconds, every size in bytes, every score on its own scale. A value that was not
measured is absent or null, never zero.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from pytest_perfgate.frozen import Frozen
from pytest_perfgate.machine.conditions import Conditions
from pytest_perfgate.machine.fingerprint import Environment, Machine
from pytest_perfgate.metric import Metric, Scope
from pytest_perfgate.records.image_losses import Thumbnail
from pytest_perfgate.records.inputs import SuiteInputs, Unaffected
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.near_duplicates import NearDuplicates
from pytest_perfgate.records.recipe import title_of
from pytest_perfgate.records.recipe_record import Failure, RecipeRecord
from pytest_perfgate.records.scope_rows import ScopeRow, ShiftRecord
from pytest_perfgate.records.verdict import Change, MetricSummary, Verdict

SESSION_VERSION = 2
"""Of a session's file. One more where files of before need more than defaults to be read:
`pytest_perfgate.report.session_migrations` then carries them up."""


def _instant(text: str) -> str:
    datetime.fromisoformat(text)  # a ValueError, which pydantic puts beside the place
    return text


_Instant = Annotated[str, AfterValidator(_instant)]
_Deviation = Annotated[float, Field(ge=0, le=100)]
"""Of a logarithm: times that scatter by more than a factor of e^100 are no times."""


class Spread(Frozen):
    """Where the variance of a recipe's latency was, as standard deviations of its logarithm.

    Attributes:
        within: between samples of one launch.
        between: what launches add to it.
        launch: of one launch's mean: what the verdicts have to live with.
        samples, launches: how many there were (samples: of one launch).
    """

    within: _Deviation
    between: _Deviation
    launch: _Deviation
    samples: float
    launches: int


class BaseRecord(Frozen):
    """The recipes at the version of the code that `--perf-base` names.

    Attributes:
        ref, commit: of that version.
        python: its interpreter, "" for the session's own: then arms are forked from one parent,
            else every arm is a program of its own.
        packages: what differs from the session's, "onnxruntime 1.30.0 -> 1.31.0", the base's
            version first; () where it was not asked for.
        problems: recipe name to the reason why it cannot be compared.
    """

    ref: str
    commit: str
    python: str = ""
    packages: tuple[str, ...] = ()
    recipes: tuple[RecipeRecord, ...] = ()
    problems: dict[str, str] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        """The code that it is, and the packages that it has of its own, for people."""
        if not self.ref:
            code = "this code"
        elif self.commit.startswith(self.ref):
            code = f"the code of {self.ref}"
        else:
            code = f"the code of {self.ref} ({self.commit[:10]})"
        if not self.packages:
            return code
        return f"{code} under other packages ({', '.join(self.packages)})"


class LastSessions(Frozen):
    """One budget in the last sessions of this machine, the oldest first, this one last.

    Attributes:
        values: what sessions are compared by, in the metric's unit or as a ratio; None: not
            measured, or compared through something else than today's.
        since: day of the first of those that end with this one and have its status.
        alike: how many those are, this one included.
    """

    values: tuple[float | None, ...]
    since: str
    alike: int


class SuiteRecord(Frozen):
    """All of one suite in one session.

    Attributes:
        folder: relative to the project's root, with forward slashes.
        failure: why nothing of it was measured; each of its recipes has the same.
        yardstick: launches of the fixed workload that every launch measures beside the recipes.
        device_yardsticks: launches of the fixed work on each GPU that recipes run on, by its UUID.
        conditions: what the machine did during each launch.
        summaries: recipe name to its metrics.
        suspects: differences to the baselines' toolchain or environment, in words.
        notes: what people should know of how it was measured.
        phases: seconds per phase: "build", "measure", "judge".
        plan: what was expected before the first launch, in words.
        base: the recipes at another version of the code, with `--perf-base`.
        controls: unchanged copies of the references, measured beside them.
        spreads: recipe name to its variance within and between launches.
        thumbnails: index to the validation images that recipes do worse.
        near_duplicates: validation images that steps were given nearly the same way, by split.
        policy: what lay between samples, and how arms took turns.
        own_metrics: those of a task of the project's own, by name.
        scopes: what scores are over besides all validation images.
        scoped: recipe name to its scores on sets and slices.
        shift: the source and the target set; None where the suite names none.
        last_sessions: recipe and metric to a budget's last sessions, where a history is kept.
        inputs: what all its recipes rest on; None: not known.
        unaffected: recipes that were not measured because nothing that they rest on has changed.
        target: the kind of machine that it was to be measured on, "" for that of the session.
        machine, environment: of its target, None where the target has no machine, or it was not
            reached; without a target the session's are meant.
    """

    name: str
    folder: str
    task: str
    model: str
    data: dict[str, Any] = Field(default_factory=dict)
    batch: int = 1
    failure: Failure | None = None
    recipes: tuple[RecipeRecord, ...] = ()
    yardstick: tuple[Launch, ...] = ()
    device_yardsticks: dict[str, tuple[Launch, ...]] = Field(default_factory=dict)
    conditions: tuple[Conditions, ...] = ()
    summaries: dict[str, tuple[MetricSummary, ...]] = Field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    changes: tuple[Change, ...] = ()
    suspects: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    phases: dict[str, float] = Field(default_factory=dict)
    plan: str = ""
    base: BaseRecord | None = None
    own_metrics: dict[str, Metric] = Field(default_factory=dict)
    scopes: tuple[Scope, ...] = ()
    scoped: dict[str, tuple[ScopeRow, ...]] = Field(default_factory=dict)
    shift: ShiftRecord | None = None
    controls: tuple[RecipeRecord, ...] = ()
    spreads: dict[str, Spread] = Field(default_factory=dict)
    thumbnails: dict[int, Thumbnail] = Field(default_factory=dict)
    near_duplicates: tuple[NearDuplicates, ...] = ()
    policy: dict[str, str] = Field(default_factory=dict)
    last_sessions: dict[str, dict[str, LastSessions]] = Field(default_factory=dict)
    inputs: SuiteInputs | None = None
    unaffected: tuple[Unaffected, ...] = ()
    target: str = ""
    machine: Machine | None = None
    environment: Environment | None = None

    @property
    def title(self) -> str:
        """Its name, unlike that of every other suite of a session: `digits@jetson` of a target.
        Baselines and history are kept by it.
        """
        return title_of(self.name, self.target)

    @property
    def discarded(self) -> frozenset[int]:
        """Launches that do not count, because the machine was unsteady."""
        return frozenset(launch.index for launch in self.conditions if launch.discarded)


READABLE_CHECKOUT = (
    "a clean checkout that git can read (git is installed; in a container of another user: "
    "git config --global --add safe.directory FOLDER)"
)
"""Where sessions record their commit, for messages about one that has none."""


class SessionRecord(Frozen):
    """One run of `pytest --perf`: the contents of the session's JSON file.

    Attributes:
        commit: of the project's code; "" where it is not known, and neither is `dirty`, or where it
            changed while the session measured, which is `dirty`, too.
        dirty: whether files were measured that were not committed.
        changed: what of commit and files changed while the session measured, in words; "" for
            nothing. No baseline is written from a session that has it.
        absent: what turned the session red though no verdict says so: a requirement of which
            nothing was measured, tests that did not run, a suite without a test.
        notes: the same where the session is not red for it.
    """

    version: int = SESSION_VERSION
    id: str
    started: _Instant  # ISO 8601, UTC
    seconds: float
    command: str
    commit: str = ""
    dirty: bool = False
    changed: str = ""
    machine: Machine
    environment: Environment
    settings: dict[str, Any] = Field(default_factory=dict)
    complete: bool = True
    absent: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    suites: tuple[SuiteRecord, ...] = ()

    def at(self, suite: SuiteRecord) -> SessionRecord | None:
        """The session as one of the machine that a suite was measured on; None where its target has
        no machine, or it was not reached.
        """
        if not suite.target:
            return self
        if suite.machine is None or suite.environment is None:
            return None
        return self.model_copy(update={"machine": suite.machine, "environment": suite.environment})

    def by_machine(self) -> tuple[SessionRecord, ...]:
        """The session as one of each machine: its own first, whatever that measured, then those of
        targets. Suites of targets without a machine are in none: no machine's series has them.
        """
        parts = {self.machine: (self, [suite for suite in self.suites if not suite.target])}
        for suite in self.suites:
            own = self.at(suite) if suite.target else None
            if own is not None:
                parts.setdefault(own.machine, (own, []))[1].append(suite)
        return tuple(
            part.model_copy(update={"suites": tuple(suites)}) for part, suites in parts.values()
        )
