"""A suite measured on another host: what it is told of this session, and what comes back."""

from __future__ import annotations

import contextlib
import time
import tomllib
from dataclasses import replace
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.files import short_path
from pytest_perfgate.machine.held_folders import held_folder
from pytest_perfgate.machine.locks import exclusive
from pytest_perfgate.measure.base_checkout import Commit, checked_out
from pytest_perfgate.measure.portable_builds import PortableBuilds, built_here
from pytest_perfgate.measure.preparation import Progress
from pytest_perfgate.measure.untracked_inputs import Brought, bring
from pytest_perfgate.measure.workplace import ThisHost, Workplace
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.records.session import SuiteRecord
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.session.arms import Arms, recipe_at_base
from pytest_perfgate.session.plan import Wanted, limits_of
from pytest_perfgate.session.suite_at import BaseTree, code_tree
from pytest_perfgate.suite.locations import with_files
from pytest_perfgate.suite.metrics import metrics_of
from pytest_perfgate.suite.reading import SuiteFile
from pytest_perfgate.suite.targets_file import HERE, Target
from pytest_perfgate.targets.messages import BaseJob, DeviceJob, Shown, There
from pytest_perfgate.targets.named_paths import import_folders, named_by
from pytest_perfgate.targets.ssh import Project, measure, reach


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
    workplace: Workplace | None = None,
) -> tuple[SuiteRecord, frozenset[str]]:
    """The record of a suite on a host of ssh, and the project's files that it rests on there;
    `limits` share the session's alpha, over all suites and targets; `base` is the version of the
    code that it is measured beside, None for none; `workplace` is where artifacts are built that
    run anywhere, None for this host.

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
    builds, seconds = PortableBuilds(), 0.0

    def job(there: There) -> DeviceJob:
        builds.refuse_changed()
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
            built={name: links for name, links in builds.links.items() if name in suite.recipes},
        )

    def hear(answer: Shown) -> None:
        if answer.lasting:
            say(f"{target.name}: {answer.text}")
        else:
            show(f"{target.name}: {answer.text}")

    with contextlib.ExitStack() as opened:
        # Held until all is sent: what was built is not removed meanwhile.
        logs = opened.enter_context(held_folder(settings.cache / "logs"))
        tree: BaseTree | None = None
        if base is not None:
            # A checkout of its own: what git does not hold is laid into it, once for each suite.
            tree = BaseTree(base, opened.enter_context(checked_out(base, settings.cache)))
            tree = replace(tree, brought=_brought(suite, tree))
        if target.build == HERE:
            reach(target, logs / "ssh.log")
            clock = time.monotonic()
            builds = _built(suite, wanted, tree, settings, logs, show, workplace)
            seconds = time.monotonic() - clock
        at_base = _at_base(tree, builds) if tree is not None else None
        project = Project(
            *(root, settings.cache, _left_out(settings), tuple(inside)),
            base=tree.root if tree is not None else None,
            artifacts=builds.entries,
        )
        answer, notes = measure(target, project, job, hear)
    record = failed_on(SuiteRecord.model_validate_json(answer.record), target.value)
    notes += (*builds.notes, *built_where(record))
    phases = record.phases | {"build": round(record.phases.get("build", 0.0) + seconds, 1)}
    if outside:
        notes += (f"not copied, as they are on that host: {', '.join(map(str, outside))}",)
    given = {"notes": record.notes + notes, "phases": phases}
    return record.model_copy(update=given), frozenset(answer.files)


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


def _built(
    suite: Suite,
    wanted: Wanted,
    base: BaseTree | None,
    settings: Settings,
    logs: Path,
    show: Progress,
    workplace: Workplace | None,
) -> PortableBuilds:
    """What this session builds for a target. Nobody measures on this host meanwhile."""

    def fetch(other: Suite) -> Suite:
        return with_files(other, settings.cache, show)

    def tell(text: str) -> None:
        show(f"{suite.name}: {text}")

    known = {name: metrics for name, metrics in wanted.items() if name in suite.recipes}
    with exclusive(settings.share, settings.wait, show):
        metrics = metrics_of(suite.task, suite.scopes)
        arms = Arms(fetch(suite), known, metrics, base, fetch=fetch).all(())
        return built_here(arms, settings, logs, tell, workplace or ThisHost())


def failed_on(record: SuiteRecord, host: str) -> SuiteRecord:
    """A record whose failure as a whole names the host: a full disk would be looked for here."""
    failure = record.failure
    if failure is None:
        return record
    named = failure.model_copy(update={"problem": f"{host}: {failure.problem}"})
    recipes = tuple(
        one.model_copy(update={"failure": named}) if one.failure == failure else one
        for one in record.recipes
    )
    verdicts = tuple(
        one.model_copy(update={"reason": named.problem}) if one.reason == failure.problem else one
        for one in record.verdicts
    )
    given = {"failure": named, "recipes": recipes, "verdicts": verdicts}
    return record.model_copy(update=given)


def built_where(record: SuiteRecord) -> tuple[str, ...]:
    """Which links of a suite's recipes were built on the session's host, and which on the target;
    nothing where all were built there.
    """
    places: dict[str, list[str]] = {}
    for recipe in record.recipes:
        for where in dict.fromkeys(link.machine for link in recipe.lineage):
            steps = ", ".join(link.step for link in recipe.lineage if link.machine == where)
            places.setdefault(where, []).append(f"{recipe.name}: {steps}")
    if not any(places):
        return ()
    return tuple(
        (f"built on {where} and copied to the target: " if where else "built on the target: ")
        + "; ".join(places[where])
        for where in sorted(places, reverse=True)
    )


def _brought(suite: Suite, tree: BaseTree) -> Brought:
    """Completes another version of the code with what git does not hold; what that was."""
    folder = tree.root / suite.folder.relative_to(suite.root)
    return bring(suite, folder, code_tree(tree)) if folder.is_dir() else Brought()


def _at_base(tree: BaseTree, builds: PortableBuilds) -> BaseJob:
    """The other version of the code, by its name."""
    commit, brought = tree.commit, tree.brought or Brought()
    return BaseJob(
        ref=commit.ref,
        commit=commit.commit,
        name=commit.name,
        taken=brought.names,
        outside=brought.outside,
        problem=brought.problem,
        built={
            name: links for label, links in builds.links.items() if (name := recipe_at_base(label))
        },
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
