"""Sessions of tasks of sequences: a recurrent network, whole and in 8 bits."""

from __future__ import annotations

import pytest

from tests.clips import SUITE, clip_folder, clips_model
from tests.conftest import Project, said

pytestmark = pytest.mark.slow

MORE = """
[[recipe]]
name     = "pairs"
runtime  = "onnxruntime"
workload = { name = "frames", sequences = 2 }
[recipe.budgets]
accuracy         = { min = 0.9 }
frame_throughput = { min = "1 images/s" }

[[recipe]]
name  = "int8"
from  = "plain"
steps = [{ quantize = "static", op_types_to_quantize = ["Mul", "Add", "Sub"] }]
[recipe.budgets]
accuracy  = { drop = 0.2 }
agreement = { min = 0.5 }
"""


def test_frames_are_evaluated_and_timed_in_their_order(project: Project) -> None:
    """The network is right only with its state; times are of first and of further frames. Ranges
    for 8 bits are those of states that the network has left, not of zeros alone.
    """
    project.forget()
    clips_model(project.suite / "clips.onnx")
    for split, count, seed in (("calibration", 6, 50), ("validation", 10, 0)):
        for file in project.suite.glob(f"{split}*/*"):
            file.unlink()
        clip_folder(project.suite / split, count, seed=seed)
    project.write(SUITE + MORE)
    result = project.run()
    (suite,) = project.sessions()[-1]["suites"]
    recipes = {recipe["name"]: recipe for recipe in suite["recipes"]}
    for name in ("plain", "pairs"):
        accuracy = recipes[name]["accuracy"]
        assert accuracy["values"]["accuracy"] == 1.0
        assert accuracy["images"] == 10
        values = recipes[name]["launches"][0]["values"]
        assert len(values["frame_latency"]) == 4 * len(values["first_frame_latency"])
    assert recipes["pairs"]["runtime_facts"]["sequences"] == 2
    assert recipes["int8"]["accuracy"]["values"]["accuracy"] >= 0.8
    assert "calibration_images" in str(recipes["int8"]["lineage"][-1]["effect"])
    verdicts = project.verdicts()
    assert verdicts["plain-accuracy"] in {"PASS", "INCONCLUSIVE"}
    assert "ERROR" not in verdicts.values()
    said(result, "frame_latency_p50")
