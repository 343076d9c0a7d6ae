"""`--perf-profile`: a broken budget on time says where the time went, unless it is asked not to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.blackbox.test_base import git
from tests.conftest import DECIDED, RED, Project, said
from tests.squares import RECIPES

TIGHT = RECIPES.replace('max = "2 s", regression = "40%"', 'max = "1 us"').replace(
    'latency_p50 = { regression = "40%" }', 'latency_p50 = { max = "1 us" }'
)

"""Budgets that are broken by far need few launches to be proven so."""


@pytest.mark.slow
def test_a_broken_budget_on_time_names_operators(project: Project) -> None:
    """In the failure's text, the summary, the session's file and the page."""
    project.write(TIGHT)
    result = project.run("-k", "latency_p50", *DECIDED, "--perf-profile", "failed", page=True)
    result.assert_outcomes(failed=2)
    said(result, "beside the reference plain: preprocess", "inference +", "operators: ")
    said(result, "nothing to compare with: --perf-base REF")
    (suite,) = project.sessions()[-1]["suites"]
    assert suite["phases"]["profile"] > 0
    for record in suite["recipes"]:
        profile = record["profile"]
        assert profile["tool"] == "ONNX Runtime's profiling"
        assert "conv" in {each["kind"].lower() for each in profile["operators"]}
        assert profile["seconds"] > 0
    for verdict in suite["verdicts"]:
        assert len(verdict["slower"]) == 2
    (page,) = (project.root / "reports").glob("[0-9]*.html")
    text = page.read_text()
    assert "Operators of an inference" in text
    assert "<td>Conv</td>" in text


@pytest.mark.slow
def test_none_profiles_nothing_and_all_profiles_what_is_kept(project: Project) -> None:
    """`none` leaves a broken budget without; `all` takes profiles when nothing is broken."""
    project.write(TIGHT)
    project.run("-k", "plain-latency_p50", *RED)
    assert project.verdicts() == {"plain-latency_p50": "FAIL"}
    (suite,) = project.sessions()[-1]["suites"]
    assert suite["recipes"][0]["profile"] is None
    assert suite["verdicts"][0]["slower"] == []
    assert "profile" not in suite["phases"]
    project.write()
    project.run("-k", "moody-map", "--perf-profile", "all")
    (suite,) = project.sessions()[-1]["suites"]
    assert all(record["profile"]["operators"] for record in suite["recipes"])
    assert suite["verdicts"][0]["slower"] == []


AGAINST_BASE = """\
[suite]
task  = "detection"
model = "squares.onnx"

[suite.data]
validation  = { images = "validation", annotations = "validation.json" }

[[recipe]]
name    = "plain"
runtime = "onnxruntime"
[recipe.budgets]
latency_p50 = { regression = "10%" }
"""


def plant(file: Path) -> None:
    """Puts a large convolution with the output "planted" into the graph; no result changes."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(file)
    graph = model.graph
    weight = np.random.default_rng(0).random((64, 3, 15, 15), dtype=np.float32)
    graph.initializer.append(numpy_helper.from_array(weight, "large"))
    graph.initializer.append(numpy_helper.from_array(np.array(1e-30, np.float32), "tiny"))
    sub = next(node for node in graph.node if node.op_type == "Sub")
    before = list(graph.node)
    at = before.index(sub)
    sub.output[0] = "clean"
    del graph.node[:]
    added = [
        helper.make_node("Conv", ["x", "large"], ["planted"]),
        helper.make_node("ReduceMean", ["planted"], ["level_of_it"], keepdims=0),
        helper.make_node("Mul", ["level_of_it", "tiny"], ["nothing"]),
        helper.make_node("Add", ["clean", "nothing"], ["above"]),
    ]
    graph.node.extend([*before[: at + 1], *added, *before[at + 1 :]])
    onnx.save(model, file)


@pytest.mark.slow
def test_the_operator_that_a_change_planted_is_named(project: Project) -> None:
    """With `--perf-base`: the verdict names the node that the base does not have."""
    project.write(AGAINST_BASE)
    (project.root / ".gitignore").write_text(".perfgate/\nreports/\n")
    git(project.root, "init", "-q", "-b", "main")
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", "first")
    plant(project.suite / "squares.onnx")
    result = project.run("--perf-base", "HEAD", *RED, "--perf-profile", "failed")
    assert project.verdicts() == {"plain-latency_p50": "FAIL"}
    (suite,) = project.sessions()[-1]["suites"]
    stages, operators = suite["verdicts"][0]["slower"]
    assert stages.startswith("beside the code of HEAD")
    assert "inference +" in stages
    assert operators.startswith("operators: planted")
    assert "Conv 1 → 2" in operators
    said(result, "slower", "operators: planted")
    assert suite["base"]["recipes"][0]["profile"]["operators"]
