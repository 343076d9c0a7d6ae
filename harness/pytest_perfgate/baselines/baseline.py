"""An accepted record of one recipe on one machine, as it is stored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from pytest_perfgate.baselines.pairs import Pairs
from pytest_perfgate.frozen import Frozen
from pytest_perfgate.machine.fingerprint import Environment, Machine
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.yardsticks import SHORTEST
from pytest_perfgate.units import Unit

VERSION = 7


class StoredMetric(Frozen):
    """One metric of a baseline: its level, and the launches that it comes from (none for scores
    and sizes), in the base unit of `unit`; beside each launch the yardstick's time in it, seconds,
    and the SM clock of its GPU, Hz. `pieces` is the length of that yardstick
    (`pytest_perfgate.records.yardsticks`); files that do not name it have the shortest. `batch` is
    how many images the batches had that the launches ran, where that matters; None: not known.
    `device_yardstick` is the time of the GPU's yardstick in each launch, seconds: what has it is
    corrected by it, and `yardstick` tells only what the cores did meanwhile. `kinds` says of a
    number of nodes how many there were of each kind, `source` where they were read; "": not known.
    `work` is what the launches did (`pytest_perfgate.records.alike.work_of`); "": not known.
    """

    unit: Unit
    value: float = Field(ge=0)
    launches: tuple[float, ...] = ()
    yardstick: tuple[float, ...] = ()
    pieces: int = Field(default=SHORTEST, ge=1)
    device_yardstick: tuple[float, ...] = ()
    batch: int | None = None
    clocks: tuple[float, ...] = ()
    kinds: dict[str, int] = Field(default_factory=dict)
    source: str = ""
    work: str = ""

    @field_validator("launches")
    @classmethod
    def _positive(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if any(value < 0 for value in values):
            raise ValueError("a measured value must not be negative")
        return values

    @field_validator("yardstick", "device_yardstick")
    @classmethod
    def _takes_time(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if any(value <= 0 for value in values):
            raise ValueError("the yardstick's time must be above 0")
        return values


class Reason(Frozen):
    """Why a metric was once allowed to become worse."""

    metric: str
    date: str
    reason: str
    before: float
    after: float


def _aware(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("the time has no time zone")
    return text


_Recorded = Annotated[str, AfterValidator(_aware)]


class Origin(Frozen):
    """Where some metrics of a baseline were measured: the fields of `Baseline`, of that session.

    Attributes:
        metrics: their names.
    """

    metrics: tuple[str, ...]
    recorded: _Recorded
    commit: str = ""
    dirty: bool = False
    environment: Environment
    spec: str
    model: str = ""
    artifact: str = ""

    def age_days(self, now: datetime) -> float:
        """Days from its recording to `now`, never negative."""
        return max(0.0, (now - datetime.fromisoformat(self.recorded)).total_seconds() / 86400)


class Baseline(Frozen):
    """An accepted record of one recipe on one machine.

    Attributes:
        recorded: ISO 8601, UTC. Like `commit`, `dirty`, `environment`, `spec`, `model` and
            `artifact`, it is of the session that measured all metrics but those of `origins`.
        origins: of metrics that an earlier session measured and that did not move since.
        folder: of the suite, relative to the project's root, with forward slashes; "" in files of
            before.
        reference: the recipe whose baseline its files may be differences to; "" for none, and in
            files of before.
        spec: digest of the recipe's chain and runtime.
        model, artifact: digest of the files of the model that the chain begins with, and of those
            that it ends on; "" in files of before. That of the data is in `accuracy`.
        pairs: the file beside it, None where it has none.
        set_pairs: the files beside it for sets of images, by the set's name.
        reasons: of every loosening, the newest last.
        redefined: metrics whose values in the file are by an earlier definition, and are left out.
    """

    version: int = VERSION
    suite: str
    recipe: str
    folder: str = ""
    reference: str = ""
    recorded: _Recorded
    commit: str = ""
    dirty: bool = False
    machine: Machine
    environment: Environment
    spec: str
    metrics: dict[str, StoredMetric]
    reasons: tuple[Reason, ...] = ()
    accuracy: Accuracy | None = None
    model: str = ""
    artifact: str = ""
    pairs: Pairs | None = None
    set_pairs: dict[str, Pairs] = Field(default_factory=dict)
    origins: tuple[Origin, ...] = ()
    redefined: tuple[str, ...] = Field(default=(), exclude=True)

    @field_validator("origins")
    @classmethod
    def _once(cls, origins: tuple[Origin, ...]) -> tuple[Origin, ...]:
        names = [name for origin in origins for name in origin.metrics]
        if len(names) != len(set(names)):
            raise ValueError("a metric has two origins")
        return origins

    @property
    def latest(self) -> Origin:
        """The session that wrote the file, with the metrics that it measured."""
        earlier = {name for origin in self.origins for name in origin.metrics}
        return Origin(
            metrics=tuple(name for name in self.metrics if name not in earlier),
            recorded=self.recorded,
            commit=self.commit,
            dirty=self.dirty,
            environment=self.environment,
            spec=self.spec,
            model=self.model,
            artifact=self.artifact,
        )

    def origin_of(self, metric: str) -> Origin:
        """Where a metric was measured."""
        named = (origin for origin in self.origins if metric in origin.metrics)
        return next(named, None) or self.latest

    def age_days(self, now: datetime) -> float:
        """Days from the last session that wrote it to `now`, never negative."""
        return self.latest.age_days(now)
