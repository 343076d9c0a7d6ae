"""One suite, measured here as its session would measure it: the same code, locks and rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest_perfgate
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.measure.base_checkout import Commit
from pytest_perfgate.measure.untracked_inputs import Brought
from pytest_perfgate.records.built_links import BuiltLinks
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.session.errand import Errand
from pytest_perfgate.session.session import Session
from pytest_perfgate.session.suite_at import BaseTree
from pytest_perfgate.targets.messages import Answer, DeviceJob, Measured, Shown, Unmeasured


def measured(job: DeviceJob, send: Callable[[Answer], None]) -> Measured | Unmeasured:
    """The record of the suite, or why there is none; progress is sent meanwhile."""
    last = ""
    own = Path(pytest_perfgate.__file__).parent
    if own.parent != job.there.package:
        return Unmeasured(
            f"pytest_perfgate comes from {own} there, and not from the copy of this session's",
            next_step="take the editable install out of that environment: python -m pip uninstall "
            "pytest-perfgate",
        )

    def show(text: str) -> None:
        nonlocal last
        if text != last:
            last = text
            send(Shown(text))

    try:
        session = Session(
            _settings(job),
            show,
            lambda text: send(Shown(text, lasting=True)),
            stores=False,
            errand=Errand(job.target, _base(job), _there(job, job.built)),
        )
        try:
            return _of(job, session)
        finally:
            session.close()
    except PerfgateError as error:
        return Unmeasured(error.problem, error.where, error.next_step)


def _of(job: DeviceJob, session: Session) -> Measured | Unmeasured:
    file = job.there.root / job.file
    read = session.read(file)
    cases = [
        case
        for case in session.cases(file)
        if case.target == job.target and case.metric in job.wanted.get(case.recipe, ())
    ]
    if len(cases) != sum(map(len, job.wanted.values())):
        problems = (*read.suite_problems, *(one for some in read.problems.values() for one in some))
        first = problems[0] if problems else PerfgateError("its recipes are others there")
        return Unmeasured(
            f"the suite cannot be read on the target {job.target}: {first.problem}",
            first.where,
            first.next_step,
        )
    session.select(cases)
    session.verdict(cases[0])
    record = session.record()
    assert record is not None  # noqa: S101 - a verdict was reached
    return Measured(record.suites[0].model_dump_json(), tuple(sorted(session.files)))


def _base(job: DeviceJob) -> BaseTree | None:
    """The other version of the code, as it was copied: complete, and without git."""
    base = job.base
    if base is None:
        return None
    commit = Commit(base.ref, base.commit, job.there.root, "", label=base.name)
    brought = Brought(base.taken, base.outside, base.problem)
    built = _there(job, base.built)
    return BaseTree(commit, job.there.base, brought=brought, built=built)


def _there(job: DeviceJob, built: Mapping[str, BuiltLinks]) -> dict[str, BuiltLinks]:
    """Links with the folders that they were copied to."""
    return {
        name: replace(links, entry=job.there.artifacts / links.entry)
        for name, links in built.items()
    }


def _settings(job: DeviceJob) -> Settings:
    return Settings(
        root=job.there.root,
        alpha=job.alpha,
        seconds=job.seconds,
        strict=False,
        update=job.update,
        reason="",
        reports=job.there.cache / "reports",
        baselines=job.there.root / job.baselines,
        cache=job.there.cache,
        timeout=job.timeout,
        wait=job.wait,
        ci=False,
        command=job.command,
        rounds=job.rounds,
        import_path=tuple(job.there.root / folder for folder in job.import_path),
        profile=job.profile,
        search=job.search,
    )
