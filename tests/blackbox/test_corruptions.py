"""A suite with corrupted validation images, measured and judged."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import Project, said
from tests.squares import HEAD

RECIPES = (
    HEAD
    + """\
[suite.corruptions]
names      = ["gaussian_noise", "brightness"]
severities = [1, 3]

[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
robustness = { min = 0.5 }

[[recipe]]
name    = "moody"
from    = "plain"
runtime = "moody"
[recipe.budgets]
map              = { drop = 0.02 }
robustness       = { drop = 0.01 }
"map@brightness" = { drop = 0.01 }
"""
)


def test_a_recipe_that_is_blind_in_light_is_red_while_its_map_holds(
    project: Project, moody: Callable[..., None]
) -> None:
    """On clean images it finds what its reference finds. The scores of corrupted images are in the
    cache for the next session, and other severities are evaluated anew.
    """
    project.write(RECIPES)
    moody("blind_in_light")
    accuracy = ("-k", "robustness or map")  # no launch
    result = project.run(*accuracy)
    said(result, "2 corruptions, severities 1, 3: each recipe is evaluated 4 more times on all")
    verdicts = project.verdicts()
    assert verdicts["plain-robustness"] == "PASS"
    assert verdicts["moody-map"] == "PASS"
    assert verdicts["moody-robustness"] == "FAIL"
    assert verdicts["moody-map@brightness"] == "FAIL"
    plain, blind = (
        one["accuracy"]["values"] for one in project.sessions()[-1]["suites"][0]["recipes"]
    )
    assert blind["map"] == plain["map"]
    assert blind["map@gaussian_noise"] == plain["map@gaussian_noise"]
    for values in (plain, blind):
        kept = [values[f"map@{name}"] / values["map"] for name in ("gaussian_noise", "brightness")]
        assert values["robustness"] == pytest.approx(sum(kept) / 2)
    cache = project.root / ".perfgate"
    entries = {file: file.stat().st_mtime_ns for file in cache.rglob("corrupted.json")}
    assert len(entries) == 2
    project.run(*accuracy)
    again = {file: file.stat().st_mtime_ns for file in cache.rglob("corrupted.json")}
    assert again == entries
    assert project.verdicts() == verdicts
