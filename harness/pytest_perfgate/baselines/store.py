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
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from pytest_perfgate.baselines.baseline import VERSION, Baseline
from pytest_perfgate.baselines.earlier import MIGRATIONS
from pytest_perfgate.baselines.json_text import json_text
from pytest_perfgate.baselines.pairs import Basis, Pairs, beside, joined, names_in, split
from pytest_perfgate.errors import BaselineError
from pytest_perfgate.files import put_all, writing
from pytest_perfgate.machine.fingerprint import Machine
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.migrations import carried_up


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
            for file, baseline in zip(files, baselines, strict=True):
                if read is not None:
                    self._refuse_changed(file, baseline, read.get(baseline.recipe))
            contents = _contents(dict(zip(files, baselines, strict=True)))
            with _writing(files[0] if len(files) == 1 else self.root):
                put_all(contents)
            for folder, is_alone in alone.items():
                # Without the lock, a file may be that of a baseline that is being written.
                if is_alone:
                    _remove_unnamed(folder)

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


def _contents(baselines: Mapping[Path, Baseline]) -> dict[Path, bytes]:
    """The files of baselines. Those beside them come first, so that whoever reads finds what is
    named.

    Raises:
        BaselineError: what one of them holds does not fit together.
    """
    texts: dict[Path, bytes] = {}
    beside_them: dict[Path, bytes] = {}
    bases: dict[Path, Mapping[str, Basis]] = {}
    # References come first: they are whole, and others are differences to them.
    for file, baseline in sorted(baselines.items(), key=lambda item: item[1].reference != ""):
        try:
            reference = file.with_name(f"{baseline.reference}.json")
            if baseline.reference and reference not in baselines:
                bases[reference] = _stored_bases(reference)
            text, packed, own = rendered(baseline, bases.get(reference, {}))
        except (ValueError, IndexError) as error:
            raise BaselineError(f"the baseline is nonsense: {error}", where=str(file)) from error
        texts[file] = text.encode()
        beside_them |= {file.with_name(name): content for name, content in packed.items()}
        bases[file] = own
    return beside_them | texts


def _stored_bases(file: Path) -> Mapping[str, Basis]:
    """The bases in the baseline of a reference that is not written now; none where it is not there
    or cannot be used: files are whole then.
    """
    try:
        baseline = read_file(file)
    except BaselineError:
        return {}
    return _bases(baseline.accuracy, _named(baseline))


def _bases(accuracy: Accuracy | None, named: Mapping[str, Pairs]) -> dict[str, Basis]:
    """The files `named` with what they hold, by the set that each is of."""
    evaluations = {of_set: accuracy and accuracy.on(of_set) for of_set in named}
    return {
        of_set: Basis(named[of_set], evaluation)
        for of_set, evaluation in evaluations.items()
        if evaluation is not None
    }


def _remove_unnamed(folder: Path) -> None:
    """Deletes files beside baselines that none of the folder's JSON files names, damaged ones
    included.
    """
    named: set[str] = set()
    for file in folder.glob("*.json"):
        with contextlib.suppress(IsADirectoryError):
            named |= names_in(file.read_bytes())
    for other in beside(folder):
        if other.name not in named:
            other.unlink(missing_ok=True)


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
    """Deletes a baseline and the files beside it that no other one names."""
    with held(file.parent):
        file.unlink()
        _remove_unnamed(file.parent)


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
            raise _without_pairs(file, pairs, error) from error
    return baseline.model_copy(update={"accuracy": accuracy})


def _named(baseline: Baseline) -> dict[str, Pairs]:
    """The files beside a baseline by the set that each is of, "" for the validation images."""
    own = {} if baseline.pairs is None else {"": baseline.pairs}
    return own | baseline.set_pairs


def rendered(
    baseline: Baseline, bases: Mapping[str, Basis] = MappingProxyType({})
) -> tuple[str, dict[str, bytes], dict[str, Basis]]:
    """The text of a baseline's file, stable in its order, with one list of numbers per line; the
    files beside it, name to bytes; and its own bases for others, by the set of each. `bases` are
    those of its reference.
    """
    named: dict[str, Pairs] = {}
    beside_it: dict[str, bytes] = {}
    accuracy = baseline.accuracy
    if accuracy is not None:
        for of_set, whole in {"": accuracy, **accuracy.sets}.items():
            bare, pairs, packed = split(whole, baseline.recipe, bases.get(of_set))
            accuracy = accuracy.with_set(of_set, bare)
            if pairs is not None:
                named[of_set] = pairs
                beside_it[pairs.file] = packed
    own = _bases(baseline.accuracy, named)
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
    for pairs in (data["pairs"], *data["set_pairs"].values()):
        if pairs is not None and not pairs["basis"]:
            del pairs["basis"], pairs["basis_size"]
    for of_some in ("set_pairs", "origins", "reference"):
        if not data[of_some]:
            del data[of_some]
    _without_empty(data["accuracy"])
    return json_text(data), beside_it, own


def _without_empty(accuracy: dict[str, Any] | None) -> None:
    """Leaves out what only evaluations with sets have, in place."""
    if accuracy is None:
        return
    for one in accuracy["sets"].values():
        _without_empty(one)
    for key in ("sets", "slices", "points"):
        if not accuracy[key]:
            del accuracy[key]
    matches = accuracy["matches"]
    if matches is not None and matches["order"] is None:
        del matches["order"]


def _unusable(file: Path, what: str) -> BaselineError:
    return BaselineError(
        f"the baseline cannot be used: {what}", where=str(file), next_step=_restore(file)
    )


def _without_pairs(file: Path, pairs: Pairs, error: ValueError) -> BaselineError:
    names = f"{pairs.file} {pairs.basis}".rstrip()
    return BaselineError(
        f"the baseline cannot be used: {pairs.file} beside it, which a paired comparison needs: "
        f"{error}",
        where=str(file),
        next_step=f"git checkout -- {file.name} {names} in their folder; of one that a merge took "
        f"away, {_last_version(_absent(file, pairs))}; or delete {file.name} and {pairs.file} and "
        "record new ones with pytest --perf --perf-update",
    )


def _absent(file: Path, pairs: Pairs) -> str:
    """The file beside a baseline that is not there, else the first."""
    names = [name for name in (pairs.file, pairs.basis) if name]
    return next((name for name in names if not (file.parent / name).exists()), names[0])


def _last_version(name: str) -> str:
    """The command that brings back a file of git's history, in its folder: the last commit that
    touched it took it away. Of one branch's update, that is a merge with another's.
    """
    return f"git checkout $(git rev-list -1 --all --full-history --no-merges -- {name})^ -- {name}"


def _restore(file: Path) -> str:
    return (
        f"git checkout -- {file.name} in its folder, or delete it and record a new one with "
        "pytest --perf --perf-update"
    )
