"""A suite whose model is OpenVINO IR, from the file to a verdict."""

from __future__ import annotations

import pytest

from tests.conftest import Project
from tests.squares import HEAD

openvino = pytest.importorskip("openvino", reason="pip install 'pytest-perfgate[openvino]'")
pytest.importorskip("onnx", reason="python -m pip install 'pytest-perfgate[onnx]'")

RECIPES = """\
[[recipe]]
name    = "ir"
runtime = { name = "openvino", properties = { CPU_DENORMALS_OPTIMIZATION = true } }
[recipe.budgets]
map = { min = 0.5 }
"""


def test_what_is_deployed_is_what_is_measured(project: Project) -> None:
    """Both files are the artifact, under their names; its facts have the recipe's property."""
    model = openvino.convert_model(str(project.suite / "squares.onnx"))
    openvino.save_model(model, project.suite / "shapes.xml", compress_to_fp16=False)
    project.write(HEAD.replace("squares.onnx", "shapes.xml") + RECIPES)
    result = project.run()
    assert project.verdicts() == {"ir-map": "PASS"}, result.outlines
    (recipe,) = project.sessions()[-1]["suites"][0]["recipes"]
    sizes = {name: (project.suite / name).stat().st_size for name in ("shapes.xml", "shapes.bin")}
    assert recipe["artifact"]["files"] == sizes
    assert recipe["runtime_facts"]["properties"]["CPU_DENORMALS_OPTIMIZATION"] == "YES"
    assert recipe["lineage"][0]["effect"]["ir_version"] == 11
