"""The store of baselines: `baselines/<machine>/<suite>/<recipe>.json`, one accepted record each.

A file holds what was measured and where, per launch, so that it can be judged again later; the
tolerance lives with the recipe. What a paired comparison needs is in compressed files beside it,
one for the validation images and one for each set (`pytest_perfgate.baselines.pairs`). A file that
cannot be read is left as it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from pytest_perfgate.baselines.earlier import MIGRATIONS
from pytest_perfgate.baselines.json_text import json_text
from pytest_perfgate.baselines.pairs import Pairs, beside, joined, split
from pytest_perfgate.errors import BaselineError
from pytest_perfgate.files import put_all, writing
from pytest_perfgate.frozen import Frozen
from pytest_perfgate.machine.fingerprint import Environment, Machine
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.migrations import carried_up
from pytest_perfgate.records.yardsticks import SHORTEST
from pytest_perfgate.units import Unit

VERSION = 5


class StoredMetric(Frozen):
    """One metric of a baseline: its level, and the launches that it comes from (none for scores
    and sizes), in the base unit of `unit`; beside each launch the yardstick's time in it, seconds,
    and the SM clock of its GPU, Hz. `pieces` is the length of that yardstick
    (`pytest_perfgate.records.yardsticks`); files that do not name it have the shortest. `batch` is
    how many images the batches had that the launches ran, where that matters; None: not known.
    `device_yardstick` is the time of the GPU's yardstick in each launch, seconds: what has it is
    corrected by it, and `yardstick` tells only what the cores did meanwhile. `kinds` says of a
    number of nodes how many there were of each kind, `source` where they were read; "": not known.
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
    recorded: str
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
    redefined: tuple[str, ...] = Field(default=(), exclude=True)

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

    def write_all(
        self, baselines: Sequence[Baseline], read: Mapping[str, Baseline] | None = None
    ) -> None:
        """Stores several baselines, all or none. Files beside these baselines that were of earlier
        ones are removed.

        Args:
            baselines: of recipes of one suite.
            read: recipe name to what was stored when they were made; None: it does not matter.

        Raises:
            BaselineError: one of them cannot be written, or was changed since it was read; nothing
                was changed.
        """
        files = [
            self.path(baseline.machine.id, baseline.suite, baseline.recipe)
            for baseline in baselines
        ]
        with contextlib.ExitStack() as stack:
            alone = {}
            for folder in sorted({file.parent for file in files}):
                with _writing(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                    alone[folder] = stack.enter_context(held(folder))
            contents: dict[Path, bytes] = {}
            for file, baseline in zip(files, baselines, strict=True):
                if read is not None:
                    self._refuse_changed(file, baseline, read.get(baseline.recipe))
                contents |= _contents(file, baseline)
            with _writing(files[0] if len(files) == 1 else self.root):
                put_all(contents)
            for file in files:
                # Without the lock, a file may be that of a baseline that is being written.
                for other in beside(file) if alone[file.parent] else ():
                    if other not in contents:
                        other.unlink(missing_ok=True)

    def _refuse_changed(self, file: Path, baseline: Baseline, read: Baseline | None) -> None:
        """Check that nobody else has written a baseline since it was read."""
        if self.read(baseline.machine, baseline.suite, baseline.recipe) != read:
            raise BaselineError(
                "the baseline was changed meanwhile, by another session",
                where=str(file),
                next_step="run it again; nothing was changed",
            )

    def write(self, baseline: Baseline) -> Path:
        """Stores a baseline, whole or not at all.

        Raises:
            BaselineError: it cannot be written.
        """
        self.write_all([baseline])
        return self.path(baseline.machine.id, baseline.suite, baseline.recipe)

    def files(self) -> Iterator[Path]:
        """Every stored file, by machine, suite and recipe."""
        yield from sorted(self.root.glob("*/*/*.json"))


def _writing(file: Path) -> contextlib.AbstractContextManager[None]:
    return writing(
        file,
        "the baseline",
        BaselineError,
        next_step="free the disk, or make the folder writable; nothing was changed",
    )


def _contents(file: Path, baseline: Baseline) -> dict[Path, bytes]:
    """The files of a baseline. Those beside it come first, so that whoever reads finds what is
    named.

    Raises:
        BaselineError: what it holds does not fit together.
    """
    try:
        text, packed = rendered(baseline)
    except (ValueError, IndexError) as error:
        raise BaselineError(f"the baseline is nonsense: {error}", where=str(file)) from error
    beside_it = {file.with_name(name): content for name, content in packed.items()}
    return beside_it | {file: text.encode()}


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Holds a folder against others that write into it; False where its file system has no locks.
    Of a folder itself, so that no file is left in it for git to see.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def remove(file: Path) -> None:
    """Deletes a baseline and the files beside it."""
    with held(file.parent):
        file.unlink()
        for other in beside(file):
            other.unlink()


def read_file(file: Path) -> Baseline:
    """One baseline from its file, with what the files beside it hold.

    Raises:
        BaselineError: not readable, truncated, of a newer version, or nonsense.
    """
    try:
        content = file.read_bytes()
        data = json.loads(content.decode("utf-8"))
    except OSError as error:
        raise _unusable(file, f"it cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _unusable(file, f"it is not JSON, perhaps cut short: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("version"), int):
        raise _unusable(file, "not a baseline: the file has no version")
    data = carried_up(
        data,
        VERSION,
        MIGRATIONS,
        BaselineError,
        what="the baseline",
        where=file,
        next_step=_restore(file),
    )
    try:
        baseline = Baseline.model_validate_json(json.dumps(data))
        if baseline.accuracy:
            baseline.accuracy.check()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _unusable(file, f"{place}: {first['msg']} (it is {first['input']!r:.80})") from error
    except ValueError as error:
        raise _unusable(file, f"accuracy.matches does not unpack: {error}") from error
    named = _named(baseline)
    if not named:
        return baseline
    accuracy = baseline.accuracy
    for of_set, pairs in named.items():
        own = accuracy and accuracy.on(of_set)
        if accuracy is None or own is None:
            where = f"set_pairs.{of_set}" if of_set else "pairs"
            raise _unusable(file, f"{where}: there are none without an accuracy")
        try:
            accuracy = accuracy.with_set(of_set, joined(own, pairs, file.parent))
        except ValueError as error:
            with contextlib.suppress(OSError):
                if file.read_bytes() != content:  # replaced meanwhile, and the files beside it too
                    return read_file(file)
            raise _without_pairs(file, pairs.file, error) from error
    return baseline.model_copy(update={"accuracy": accuracy})


def _named(baseline: Baseline) -> dict[str, Pairs]:
    """The files beside a baseline by the set that each is of, "" for the validation images."""
    own = {} if baseline.pairs is None else {"": baseline.pairs}
    return own | baseline.set_pairs


def rendered(baseline: Baseline) -> tuple[str, dict[str, bytes]]:
    """The text of a baseline's file, stable in its order, with one list of numbers per line; and
    the files beside it, name to bytes.
    """
    named: dict[str, Pairs] = {}
    beside_it: dict[str, bytes] = {}
    accuracy = baseline.accuracy
    if accuracy is not None:
        for of_set, whole in {"": accuracy, **accuracy.sets}.items():
            bare, pairs, packed = split(whole, baseline.recipe)
            accuracy = accuracy.with_set(of_set, bare)
            if pairs is not None:
                named[of_set] = pairs
                beside_it[pairs.file] = packed
    outer = {"accuracy": accuracy, "pairs": named.pop("", None), "set_pairs": named}
    data = baseline.model_copy(update=outer).model_dump(mode="json")
    data["metrics"] = {name: data["metrics"][name] for name in sorted(data["metrics"])}
    for metric in data["metrics"].values():
        for of_some in ("clocks", "device_yardstick", "kinds", "source"):
            if not metric[of_some]:
                del metric[of_some]
        if metric["batch"] is None:
            del metric["batch"]
        if not metric["yardstick"]:
            del metric["pieces"]
    if not data["set_pairs"]:
        del data["set_pairs"]
    _without_empty(data["accuracy"])
    return json_text(data), beside_it


def _without_empty(accuracy: dict[str, Any] | None) -> None:
    """Leaves out what only evaluations with sets have, in place."""
    if accuracy is None:
        return
    for one in accuracy["sets"].values():
        _without_empty(one)
    for key in ("sets", "slices"):
        if not accuracy[key]:
            del accuracy[key]
    matches = accuracy["matches"]
    if matches is not None and matches["order"] is None:
        del matches["order"]


def _unusable(file: Path, what: str) -> BaselineError:
    return BaselineError(
        f"the baseline cannot be used: {what}", where=str(file), next_step=_restore(file)
    )


def _without_pairs(file: Path, name: str, error: ValueError) -> BaselineError:
    return BaselineError(
        f"the baseline cannot be used: {name} beside it, which a paired comparison needs: {error}",
        where=str(file),
        next_step=f"git checkout -- {file.name} {name} in their folder, or delete both and record "
        "a new one with pytest --perf --perf-update",
    )


def _restore(file: Path) -> str:
    return (
        f"git checkout -- {file.name} in its folder, or delete it and record a new one with "
        "pytest --perf --perf-update"
    )
