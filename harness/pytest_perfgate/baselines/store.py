"""The store of baselines: `baselines/<machine>/<suite>/<recipe>.json`, one accepted record each.

A file holds what was measured and where, per launch, so that it can be judged again later; the
tolerance lives with the recipe. A file that cannot be read is left as it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from pytest_perfgate.errors import BaselineError
from pytest_perfgate.files import put, writing
from pytest_perfgate.frozen import Frozen
from pytest_perfgate.machine.fingerprint import Environment, Machine
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.migrations import Migration, add_ignored, carried_up
from pytest_perfgate.records.yardsticks import SHORTEST
from pytest_perfgate.units import Unit

VERSION = 2


def _from_1(data: dict[str, Any]) -> dict[str, Any]:
    """The first files of version 1 have no `ignored` beside the matches."""
    add_ignored(data.get("accuracy"))
    return {**data, "version": 2}


_MIGRATIONS: dict[int, Migration] = {1: _from_1}
"""Version to the function that makes its data into the next version's."""


class StoredMetric(Frozen):
    """One metric of a baseline: its level, and the launches that it comes from (none for scores
    and sizes), in the base unit of `unit`; beside each launch the yardstick's time in it, seconds,
    and the SM clock of its GPU, Hz. `pieces` is the length of that yardstick
    (`pytest_perfgate.records.yardsticks`); files that do not name it have the shortest. `batch` is
    how many images the batches had that the launches ran, where that matters; None: not known.
    `device_yardstick` is the time of the GPU's yardstick in each launch, seconds: what has it is
    corrected by it, and `yardstick` tells only what the cores did meanwhile.
    """

    unit: Unit
    value: float = Field(ge=0)
    launches: tuple[float, ...] = ()
    yardstick: tuple[float, ...] = ()
    pieces: int = Field(default=SHORTEST, ge=1)
    device_yardstick: tuple[float, ...] = ()
    batch: int | None = None
    clocks: tuple[float, ...] = ()

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


class Baseline(Frozen):
    """An accepted record of one recipe on one machine.

    Attributes:
        recorded: ISO 8601, UTC.
        folder: of the suite, relative to the project's root, with forward slashes; "" in files of
            before.
        spec: digest of the recipe's chain and runtime.
        reasons: of every loosening, the newest last.
    """

    version: int = VERSION
    suite: str
    recipe: str
    folder: str = ""
    recorded: str
    commit: str = ""
    dirty: bool = False
    machine: Machine
    environment: Environment
    spec: str
    metrics: dict[str, StoredMetric]
    reasons: tuple[Reason, ...] = ()
    accuracy: Accuracy | None = None

    @field_validator("recorded")
    @classmethod
    def _is_date(cls, text: str) -> str:
        if datetime.fromisoformat(text).tzinfo is None:
            raise ValueError("the time has no time zone")
        return text

    def age_days(self, now: datetime) -> float:
        """Days from its recording to `now`, never negative."""
        return max(0.0, (now - datetime.fromisoformat(self.recorded)).total_seconds() / 86400)


class Store:
    """The baselines below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, machine: str, suite: str, recipe: str) -> Path:
        """Where one baseline is kept.

        Raises:
            BaselineError: a name would leave the folder.
        """
        for name in (machine, suite, recipe):
            if not name or name in {".", ".."} or "/" in name or "\\" in name or "\0" in name:
                raise BaselineError(f"{name!r} cannot be the name of a file or folder")
        return self.root / machine / suite / f"{recipe}.json"

    def read(self, machine: Machine, suite: str, recipe: str) -> Baseline | None:
        """The baseline of a recipe on a machine, None when none is stored.

        Raises:
            BaselineError: the file cannot be used; it is left as it is.
        """
        file = self.path(machine.id, suite, recipe)
        if not file.exists():
            return None
        baseline = read_file(file)
        if baseline.machine != machine:
            raise _unusable(file, "the folder is named after another machine")
        if (baseline.suite, baseline.recipe) != (suite, recipe):
            raise _unusable(
                file,
                f"the file holds the baseline of {baseline.suite}/{baseline.recipe}, not "
                f"of {suite}/{recipe}",
            )
        return baseline

    def write_all(self, baselines: Sequence[Baseline]) -> None:
        """Stores several baselines: when one cannot be written, those before it are put back.

        Raises:
            BaselineError: one of them cannot be written; nothing was changed.
        """
        before: list[tuple[Path, str | None]] = []
        try:
            for baseline in baselines:
                file = self.path(baseline.machine.id, baseline.suite, baseline.recipe)
                before.append((file, file.read_text(encoding="utf-8") if file.is_file() else None))
                self.write(baseline)
        except BaselineError:
            for file, text in before[:-1]:
                if text is None:
                    file.unlink(missing_ok=True)
                else:
                    put(file, text)
            raise

    def write(self, baseline: Baseline) -> Path:
        """Stores a baseline, whole or not at all.

        Raises:
            BaselineError: it cannot be written.
        """
        file = self.path(baseline.machine.id, baseline.suite, baseline.recipe)
        with writing(
            file,
            "the baseline",
            BaselineError,
            next_step="free the disk, or make the folder writable; nothing was changed",
        ):
            file.parent.mkdir(parents=True, exist_ok=True)
            put(file, render(baseline))
        return file

    def files(self) -> Iterator[Path]:
        """Every stored file, by machine, suite and recipe."""
        yield from sorted(self.root.glob("*/*/*.json"))


def read_file(file: Path) -> Baseline:
    """One baseline from its file.

    Raises:
        BaselineError: not readable, truncated, of a newer version, or nonsense.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unusable(file, f"it cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _unusable(file, f"it is not JSON, perhaps cut short: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("version"), int):
        raise _unusable(file, "not a baseline: the file has no version")
    data = carried_up(
        data,
        VERSION,
        _MIGRATIONS,
        BaselineError,
        what="the baseline",
        where=file,
        next_step=_restore(file),
    )
    try:
        baseline = Baseline.model_validate_json(json.dumps(data))
        if baseline.accuracy and baseline.accuracy.matches:
            baseline.accuracy.matches.check()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _unusable(file, f"{place}: {first['msg']} (it is {first['input']!r:.80})") from error
    except ValueError as error:
        raise _unusable(file, f"accuracy.matches does not unpack: {error}") from error
    return baseline


def render(baseline: Baseline) -> str:
    """The text of a baseline's file: stable order, one list of numbers per line."""
    data = baseline.model_dump(mode="json")
    data["metrics"] = {name: data["metrics"][name] for name in sorted(data["metrics"])}
    for metric in data["metrics"].values():
        for of_a_gpu in ("clocks", "device_yardstick"):
            if not metric[of_a_gpu]:
                del metric[of_a_gpu]
        if metric["batch"] is None:
            del metric["batch"]
        if not metric["yardstick"]:
            del metric["pieces"]
    return _json(_rounded(data), 0) + "\n"


def _rounded(data: Any) -> Any:
    if isinstance(data, float):
        return float(f"{data:.7g}") if math.isfinite(data) else data
    if isinstance(data, dict):
        return {key: _rounded(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_rounded(value) for value in data]
    return data


def _json(data: Any, depth: int) -> str:
    pad, end = "  " * (depth + 1), "  " * depth
    if isinstance(data, dict) and data:
        rows = (
            f"{pad}{json.dumps(str(key))}: {_json(value, depth + 1)}" for key, value in data.items()
        )
        return "{\n" + ",\n".join(rows) + f"\n{end}}}"
    if isinstance(data, list) and any(isinstance(item, dict) for item in data):
        return "[\n" + ",\n".join(pad + _json(item, depth + 1) for item in data) + f"\n{end}]"
    return json.dumps(data)


def _unusable(file: Path, what: str) -> BaselineError:
    return BaselineError(
        f"the baseline cannot be used: {what}", where=str(file), next_step=_restore(file)
    )


def _restore(file: Path) -> str:
    return (
        f"git checkout -- {file.name} in its folder, or delete it and record a new one with "
        "pytest --perf --perf-update"
    )
