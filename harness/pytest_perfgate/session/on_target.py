"""A suite measured on another host: what it is told of this session, and what comes back."""

from __future__ import annotations

import contextlib
import tomllib
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import short_path
from pytest_perfgate.measure.base_checkout import Commit, checked_out
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.measure.untracked_inputs import Brought, bring
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.session.plan import Wanted, limits_of
from pytest_perfgate.session.suite_at import BaseTree, code_tree
from pytest_perfgate.suite.reading import SuiteFile
from pytest_perfgate.suite.targets_file import Target
from pytest_perfgate.targets.messages import BaseJob, DeviceJob, Shown, There
from pytest_perfgate.targets.named_paths import import_folders, named_by
from pytest_perfgate.targets.ssh import Project, measure


def measured_on(
    target: Target,
    read: SuiteFile,
    suite: Suite,
    wanted: Wanted,
    settings: Settings,
    base: Commit | None,
    limits: int,
    show: Progress,
    say: Progress,
) -> tuple[SuiteRecord, frozenset[str]]:
    """The record of a suite on a host of ssh, and the project's files that it rests on there;
    `limits` share the session's alpha, over all suites and targets; `base` is the version of the
    code that it is measured beside, None for none.

    Raises:
        NoMachine: the host is off, or not there.
        PerfgateError: it cannot measure, its link was lost, or the suite file has changed.
    """
    _refuse_others(target, settings)
    _refuse_changed(read, settings)
    root = settings.root
    own = limits_of(suite, wanted)
    imports = import_folders(root, settings.import_path)
    named = (*named_by(suite), suite.folder, *settings.import_path, settings.baselines)
    outside = [path for path in named if not path.is_relative_to(root)]
    inside = [path for path in named if path.is_relative_to(root)]

    at_base: BaseJob | None = None

    def job(there: There) -> DeviceJob:
        return DeviceJob(
            target=target.name,
            there=there,
            file=_relative(suite.file, root, "the suite file"),
            baselines=_relative(settings.baselines, root, "--perf-baselines"),
            import_path=tuple(_relative(one, root, "pythonpath") for one in imports),
            wanted={name: tuple(dict.fromkeys(metrics)) for name, metrics in wanted.items()},
            alpha=settings.alpha * max(1, own) / limits,
            seconds=settings.seconds,
            timeout=settings.timeout,
            wait=settings.wait,
            rounds=settings.rounds,
            profile=settings.profile,
            update=settings.update,
            search=settings.search,
            command=settings.command,
            base=at_base,
        )

    def hear(answer: Shown) -> None:
        if answer.lasting:
            say(f"{target.name}: {answer.text}")
        else:
            show(f"{target.name}: {answer.text}")

    with contextlib.ExitStack() as opened:
        tree: Path | None = None
        if base is not None:
            # A checkout of its own: what git does not hold is laid into it, once for each suite.
            tree = opened.enter_context(checked_out(base, settings.cache))
            at_base = _at_base(suite, BaseTree(base, tree))
        project = Project(root, settings.cache, _left_out(settings), tuple(inside), tree)
        answer, notes = measure(target, project, job, hear)
    record = SuiteRecord.model_validate_json(answer.record)
    if outside:
        notes += (f"not copied, as they are on that host: {', '.join(map(str, outside))}",)
    return record.model_copy(update={"notes": record.notes + notes}), frozenset(answer.files)


def _refuse_changed(read: SuiteFile, settings: Settings) -> None:
    """Check that a suite file is what this session has read, hours ago perhaps: the host would
    judge by other limits.

    Raises:
        PerfgateError: it has changed.
    """
    try:
        now = tomllib.loads(read.file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        now = {}
    if now != read.data:
        raise PerfgateError(
            "the suite file has changed since this session read it",
            where=short_path(read.file, settings.root),
            next_step="run the session again",
        )


def _at_base(suite: Suite, tree: BaseTree) -> BaseJob:
    """Completes another version of the code with what git does not hold, and names it."""
    folder = tree.root / suite.folder.relative_to(suite.root)
    brought = bring(suite, folder, code_tree(tree)) if folder.is_dir() else Brought()
    commit = tree.commit
    return BaseJob(
        ref=commit.ref,
        commit=commit.commit,
        name=commit.name,
        taken=brought.names,
        outside=brought.outside,
        problem=brought.problem,
    )


def _left_out(settings: Settings) -> tuple[Path, ...]:
    return settings.cache, settings.reports, *([settings.history] if settings.history else [])


def _relative(path: Path, root: Path, what: str) -> Path:
    try:
        return path.relative_to(root)
    except ValueError:
        raise PerfgateError(
            f"{what} lies outside of the project, of which a copy is measured",
            where=short_path(path, root),
            valid=f"a place below {root}",
        ) from None


def _refuse_others(target: Target, settings: Settings) -> None:
    """Check that the session asks for nothing that is not done on another host.

    Raises:
        PerfgateError: it does.
    """
    options = {
        "--perf-base-env": settings.base_env,
        "--perf-cores and --perf-gpus": settings.share,
    }
    for option, given in options.items():
        if given:
            raise PerfgateError(
                f"{option} is not built for targets over ssh",
                where=f"target {target.name}",
                next_step=f"leave it out, or leave out the target: -k 'not {target.name}'",
            )
