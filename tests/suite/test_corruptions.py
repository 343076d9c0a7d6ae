"""`[suite.corruptions]`: what a task takes, and budgets that need it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pytest_perfgate.corruptions import NAMES, STILL
from pytest_perfgate.suite.corruptions import cost_of

from tests.suite.texts import FP32, SUITE, problem, read

TABLE = "[suite.corruptions]\n"
CLASSIFIER = SUITE.replace('"detection"', '"classification"')


def test_an_empty_table_is_all_that_the_task_takes(tmp_path: Path) -> None:
    """Boxes stay where they are: one of the fifteen is not for a detector. The cost is said."""
    suite = read(tmp_path, SUITE + TABLE + FP32).suite
    assert suite is not None
    assert suite.corruptions is not None
    assert suite.corruptions.names == STILL
    assert cost_of(suite.corruptions) == (
        "14 corruptions, severity 3: each recipe is evaluated 14 more times on all images, unless "
        "the cache has it"
    )
    more = "severities = [5, 1]\nimages = 50\nseed = 7\n"
    suite = read(tmp_path, CLASSIFIER + TABLE + more + FP32).suite
    assert suite is not None
    assert suite.corruptions is not None
    assert suite.corruptions.names == NAMES
    assert (suite.corruptions.severities, suite.corruptions.seed) == ((1, 5), 7)
    assert "15 corruptions, severities 1, 5: each recipe is evaluated 30 more times on 50" in (
        cost_of(suite.corruptions)
    )


@pytest.mark.parametrize(
    ("suite", "lines", "text"),
    [
        (SUITE, 'names = ["fogg"]', "names[0]: 'fogg' is no corruption"),
        (SUITE, 'names = ["fog", "fog"]', "names[1]: 'fog' stands there twice"),
        (SUITE, "names = []", "names: []"),
        (
            SUITE,
            'names = ["elastic_transform"]',
            "'elastic_transform' moves objects, and the truth of the task 'detection' says where",
        ),
        (SUITE, "severities = [6]", "severities[0]: 6 is no severity"),
        (SUITE, "severities = [2, 2]", "severities[1]: 2 is no severity, or stands there twice"),
        (SUITE, "severity = 3", "did you mean 'severities'?"),
        (SUITE.replace('"detection"', '"tracking"'), "", "'tracking' takes no corruptions"),
    ],
)
def test_what_cannot_be_has_one_message(tmp_path: Path, suite: str, lines: str, text: str) -> None:
    """With its place, and what is valid."""
    (error,) = read(tmp_path, f"{suite}{TABLE}{lines}\n{FP32}").suite_problems
    assert re.search("suite.corruptions", str(error))
    assert text in str(error)


@pytest.mark.parametrize(
    ("table", "line", "step"),
    [
        ("", "robustness = { min = 0.5 }", "add an empty table [suite.corruptions]"),
        ("", '"map@fog" = { min = 0.5 }', '[suite.corruptions] names = ["fog"]'),
        (f'{TABLE}names = ["snow"]\n', '"map@fog" = { min = 0.5 }', 'names = ["fog"]'),
    ],
)
def test_a_budget_needs_the_table(tmp_path: Path, table: str, line: str, step: str) -> None:
    """It would never be measured, and says which lines are missing."""
    text = problem(read(tmp_path, f"{SUITE}{table}{FP32}[recipe.budgets]\n{line}\n"), "fp32")
    assert "is of corrupted images, and the suite does not declare them" in text
    assert step in text
    kept = f'{SUITE}{TABLE}names = ["fog"]\n{FP32}[recipe.budgets]\n{line}\n'
    assert not read(tmp_path, kept).problems
