"""Links of recipes that run anywhere, built by this session for the target that measures them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_perfgate.building import cache_access
from pytest_perfgate.building.file_digests import Digests
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.machine.cpu_quota import busy_cores
from pytest_perfgate.measure.failed_arms import FailedArms
from pytest_perfgate.measure.preparation import Jobs, Progress
from pytest_perfgate.measure.prepared_arm import Arm
from pytest_perfgate.measure.worker_pool import Ended
from pytest_perfgate.measure.workplace import Workplace
from pytest_perfgate.records.build_messages import BuildJob, LinksBuilt
from pytest_perfgate.records.built_links import BuiltLinks
from pytest_perfgate.records.settings import Settings
from pytest_perfgate.suite.requirements import lacking_to_build
from pytest_perfgate.worker.protocol import WorkProgress


@dataclass(frozen=True)
class PortableBuilds:
    """What was built.

    Attributes:
        links: label of an arm to its links, or to why it has none.
        roots: label to the project's root, at the arm's version of the code.
        files: label to the project's files that its links rest on, with their digests.
        notes: what people should know of how they were built.
    """

    links: dict[str, BuiltLinks] = field(default_factory=dict)
    roots: dict[str, Path] = field(default_factory=dict)
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def entries(self) -> tuple[Path, ...]:
        """Folders of the artifacts, relative to that of all."""
        built = (links.entry for links in self.links.values() if links.failure is None)
        return tuple(dict.fromkeys(built))

    def refuse_changed(self) -> None:
        """Check that the files which links rest on are as they were: a target gets the project as
        it is now.

        Raises:
            PerfgateError: one has changed; names the artifact and the file.
        """
        now = {root: Digests(root) for root in self.roots.values()}
        for label, files in self.files.items():
            for name, digest in files.items():
                if now[self.roots[label]].digest(name) != digest:
                    link = self.links[label].lineage[-1]
                    raise PerfgateError(
                        f"{name} has changed since the artifact of {label} was built of it "
                        f"({link.step}, {link.key[:16]})",
                        where=name,
                        next_step="run the session again, when nothing writes the file any more",
                    )


def built_here(
    arms: Sequence[Arm],
    settings: Settings,
    logs: Path,
    progress: Progress,
    workplace: Workplace,
) -> PortableBuilds:
    """The links of arms that are the same on every machine, as many arms at a time as there are
    cores for; an arm whose build fails says why. Recipes with ranges have none: their values are
    chosen by what the target measures.

    Raises:
        PerfgateError: every user of this machine can write to the cache.
    """
    own = [arm for arm in arms if not arm.copy_of and arm.recipe.search is None]
    access = cache_access.refuse_others(settings.cache)
    jobs, work, failures = [], Jobs(own, settings, logs), FailedArms()
    for arm in own:
        if (lacking := lacking_to_build(arm.suite, arm.recipe)) is not None:
            failures[arm.label] = lacking
        else:
            links = BuildJob(arm.suite, arm.recipe.name, settings.cache)
            jobs.append(work.job(arm.label, links, arm))
    answers: dict[str, LinksBuilt] = {}
    try:
        with workplace.runner(max(1, busy_cores() // work.threads), logs / "build") as pool:
            for job, event in pool.run(jobs):
                if isinstance(event, Ended):
                    failures.ended(job.name, "build", event, job.name in answers)
                elif isinstance(event, LinksBuilt):
                    answers[job.name] = event
                elif isinstance(event, WorkProgress):
                    total = f" {event.done}/{event.total}" if event.total else ""
                    done = len(answers) + len(failures)
                    progress(f"build {done}/{len(own)}  {job.name}: {event.note}{total}")
                else:
                    failures.fail(job.name, "build", event)
    finally:
        workplace.rest()
    notes = [access, *workplace.notes, *(note for one in answers.values() for note in one.notes)]
    return PortableBuilds(
        {label: answer.built for label, answer in answers.items()}
        | {label: BuiltLinks(failure=failure) for label, failure in failures.items()},
        {arm.label: arm.suite.root for arm in own},
        {label: answer.files for label, answer in answers.items()},
        tuple(dict.fromkeys(filter(None, notes))),
    )
