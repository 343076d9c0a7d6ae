"""What a stored session says of one suite, as `--perf-affected` needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pytest_perfgate.records.inputs import RecipeInputs, SuiteInputs, Unaffected
from pytest_perfgate.records.session import SessionRecord
from pytest_perfgate.records.verdict import Status


@dataclass(frozen=True)
class EarlierSuite:
    """One suite in a session that ended, of a commit that is known and had no changes.

    Attributes:
        session, started, commit: of the session.
        name: of the suite, on a target with that.
        inputs: what all its recipes rested on; None: none was measured.
        recipes: those that were measured, with what they rested on.
        references: recipe to the one that it was compared with.
        statuses: recipe and metric to the verdict.
        unaffected: recipes that were not measured, by name.
    """

    session: str
    started: str
    commit: str
    name: str
    inputs: SuiteInputs | None
    recipes: Mapping[str, RecipeInputs] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    statuses: Mapping[tuple[str, str], Status] = field(default_factory=dict)
    unaffected: Mapping[str, Unaffected] = field(default_factory=dict)


Lookup = Callable[[str], Iterable[EarlierSuite]]
"""The suites of stored sessions of a commit, or of the session of that name."""


def suites_of(session: SessionRecord) -> Iterator[EarlierSuite]:
    """The suites of a session that say what they rest on; none of one that was cut short, or that
    measured other code than that of its commit.
    """
    if not session.complete or session.dirty or not session.commit:
        return
    for suite in session.suites:
        if suite.inputs is None:
            continue
        records = [record for record in suite.recipes if record.failure is None]
        yield EarlierSuite(
            session=session.id,
            started=session.started,
            commit=session.commit,
            name=suite.title,
            inputs=suite.inputs,
            recipes={one.name: one.inputs for one in records if one.inputs is not None},
            references={record.name: record.reference for record in records},
            statuses={(one.recipe, one.metric): one.status for one in suite.verdicts},
            unaffected={one.recipe: one for one in suite.unaffected},
        )
