"""What the gate measured of one recipe: the side that live requests are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_perfgate.errors import ReportError, suggestion
from pytest_perfgate.records.recipe_record import RecipeRecord

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_perfgate.records.accuracy import Sketch

LEAST_SCORE = 0.25
"""An image has a class from this score on: detectors give every class some score in every image."""


@dataclass(frozen=True)
class GateRecord:
    """The record of one recipe in a session.

    Attributes:
        suite: name of its suite.
        recipe: what the session measured of it.
        file: the session's, for messages; "" for none.
    """

    suite: str
    recipe: RecipeRecord
    file: str = ""

    @property
    def name(self) -> str:
        """Suite and recipe, "digits/int8"."""
        return f"{self.suite}/{self.recipe.name}"

    @property
    def artifact(self) -> str:
        """Digest of the artifact; "" where there is none."""
        return self.recipe.artifact.digest if self.recipe.artifact else ""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the network's order; none where scores were not kept."""
        accuracy = self.recipe.accuracy
        return accuracy.matches.categories if accuracy and accuracy.matches else ()

    @property
    def inputs(self) -> Mapping[str, Sketch]:
        """Name of a statistic of the images to its distribution."""
        return self.recipe.accuracy.inputs if self.recipe.accuracy else {}

    @property
    def images(self) -> int:
        """How many images have scores."""
        accuracy = self.recipe.accuracy
        return accuracy.matches.truth.shape[0] if accuracy and accuracy.matches else 0

    def scores(self, least: float = LEAST_SCORE) -> dict[str, npt.NDArray[np.float32]]:
        """Class to its highest score in each image that has it with a score of `least` or more,
        (N,).
        """
        import numpy as np

        accuracy = self.recipe.accuracy
        if accuracy is None or accuracy.matches is None:
            return {}
        table = accuracy.matches
        best = np.zeros((self.images, len(self.classes)), dtype=np.float32)
        rows = table.image.array(), table.category.array()
        np.maximum.at(best, rows, table.score.array())
        return {
            name: column[column >= max(least, _POSITIVE)]
            for name, column in zip(self.classes, best.T, strict=True)
        }


_POSITIVE = 1e-9  # a class that an image does not have has a score of 0


def read_record(file: str | Path, recipe: str = "", suite: str = "") -> GateRecord:
    """The record of a recipe in a session's JSON file. `recipe` may be left out where the session
    has one, `suite` where one suite has the recipe.

    Raises:
        ReportError: the file cannot be read, has no such recipe or several, or nothing was scored.
    """
    from pytest_perfgate.report.session_files import read

    where = Path(file)
    records = [
        GateRecord(one.name, record, str(where))
        for one in read(where).suites
        for record in one.recipes
    ]
    matching = [
        record
        for record in records
        if recipe in {"", record.recipe.name, record.name} and suite in {"", record.suite}
    ]
    if len(matching) != 1:
        wanted = "/".join(filter(None, (suite, recipe)))
        names = [record.name for record in records]
        raise ReportError(
            f"there is no recipe {wanted!r}" if not matching else f"{len(matching)} recipes fit",
            where=str(where),
            valid=suggestion(wanted, names),
            next_step="name one: --recipe=SUITE/RECIPE",
        )
    (record,) = matching
    if record.recipe.accuracy is None:
        failure = record.recipe.failure
        raise ReportError(
            f"{record.name} was not evaluated{f': {failure.problem}' if failure else ''}",
            where=str(where),
            next_step=f"run pytest --perf -k {record.recipe.name} and take the new session",
        )
    return record
