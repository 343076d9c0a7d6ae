"""What a session of another machine has this one measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pytest_perfgate.records.built_links import BuiltLinks
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.session.suite_at import BaseTree


@dataclass(frozen=True)
class Errand:
    """The part of another machine's session that is measured here.

    Attributes:
        target: what this machine is to that session, "" where there is none.
        base: its other version of the code.
        built: recipe name to the links that it has built.
    """

    target: str = ""
    base: BaseTree | None = None
    built: Mapping[str, BuiltLinks] = field(default_factory=dict)

    def begun(self, suite: Suite) -> Suite:
        """A suite whose recipes begin with the links that were built already."""
        recipes = {
            name: replace(recipe, built=self.built.get(name))
            for name, recipe in suite.recipes.items()
        }
        return replace(suite, recipes=recipes)


NONE = Errand()
"""That of a session of a user."""
