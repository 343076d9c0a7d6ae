"""The suite behind a real server: it reads, and the night runs it with its server installed."""

from __future__ import annotations

import configparser
import json
from pathlib import Path

from pytest_perfgate.suite.reading import read
from pytest_perfgate.workloads.serving_options import SOAK

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "suites" / "served"


def test_the_recipes_differ_in_one_thing_each() -> None:
    """Batches of the server, or the steps; a server has the artifact of its recipe."""
    result = read(SUITE / "recipes.toml", ROOT)
    assert not result.problems
    assert result.suite is not None
    recipes = result.suite.recipes
    off, on = recipes["batching_off"], recipes["batching_on"]
    assert on.workload == off.workload
    assert [step.name for step in on.chain] == [step.name for step in off.chain]
    added = {"MLSERVER_MODEL_MAX_BATCH_SIZE", "MLSERVER_MODEL_MAX_BATCH_TIME"}
    environments = [one.runtime.options["environment"] for one in (off, on)]
    assert set(environments[1]) - set(environments[0]) == added
    served = [recipe for recipe in recipes.values() if recipe.runtime.name == "kserve"]
    assert len(served) == 7
    two, soak = recipes["two_workers"].workload.options, recipes["soak"].workload.options
    assert two["replicas"] == 2
    assert soak["rate"] == off.workload.options["rate"]
    assert recipes["two_workers"].runtime.options["environment"]["MLSERVER_PARALLEL_WORKERS"] == "2"
    assert {budget.metric for budget in recipes["soak"].budgets} == {*SOAK}
    assert all(
        recipe.runtime.options["environment"]["MLSERVER_MODEL_URI"] == "{artifact}"
        for recipe in served
    )
    name = json.loads((SUITE / "repository" / "model-settings.json").read_text())["name"]
    assert {recipe.runtime.options["model"] for recipe in served} == {name}


def test_the_night_runs_it_with_its_server() -> None:
    """In an environment of its own, whose program the suite is told."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    night = tox["testenv:nightly"]
    assert "suites/served" in night["commands"]
    assert "mlserver==" in night["commands_pre"]
    assert "PERFGATE_MLSERVER = {env_dir}/mlserver/bin/mlserver" in night["set_env"]
