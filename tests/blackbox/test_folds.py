"""`folds = 5`: a session trains a model for each fold, and budgets hold the score over them."""

from __future__ import annotations

import pytest

from tests.conftest import Project, said
from tests.worker.test_folds import SUITE, TOY

pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("safetensors", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("sklearn", reason="python -m pip install 'pytest-perfgate[classification]'")

RECIPES = """
[[recipe]]
name = "own"
runtime = "torch"
steps = [{ finetune = 3, learning_rate = 0.05 }]
folds = 5
[recipe.budgets]
"accuracy@folds" = { min = 0.8 }

[[recipe]]
name = "ruined"
runtime = "torch"
steps = [{ finetune = 3, learning_rate = 100 }]
folds = { count = 5, by = "toy:groups" }
[recipe.budgets]
"accuracy@folds" = { min = 0.8 }
"""


def test_a_score_over_folds_is_held_to_its_budget(project: Project) -> None:
    """What folds cost is said before they start; the interval over folds decides; a recipe whose
    models fail on what they were not trained with is red.
    """
    project.write(SUITE + RECIPES)
    (project.root / "toy.py").write_text(TOY)
    result = project.run(page=True)
    assert project.verdicts() == {"own-accuracy@folds": "PASS", "ruined-accuracy@folds": "FAIL"}
    said(
        result,
        "the folds of own build and test 5 more models (finetune): about 5 times what its own",
    )
    suite = project.sessions()[-1]["suites"][0]
    records = {record["name"]: record for record in suite["recipes"]}
    assert [records[name]["folds"]["groups"] for name in ("own", "ruined")] == [0, 15]
    [value] = [one for one in suite["summaries"]["own"] if one["metric"] == "accuracy@folds"]
    assert value["low"] < value["value"] < value["high"]
    (page,) = (project.root / "reports").glob("[0-9]*.html")
    assert "Nadeau and Bengio" in page.read_text()
