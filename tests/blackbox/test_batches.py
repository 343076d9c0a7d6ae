"""The best batch size within limits on time, found by a search and judged as a recipe."""

from __future__ import annotations

import os

import pytest

from tests.conftest import Project, said

pytest.importorskip("optuna", reason="python -m pip install 'pytest-perfgate[search]'")

pytestmark = [pytest.mark.slow, pytest.mark.alone]

SLOW = '''\
"""A runtime that takes 4 ms for a batch and 2 ms for each of its images."""

import time

from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime, OnnxSession


class Slow(OnnxRuntime):
    name = "slow"

    def open(self, artifact, options, context):
        return SlowSession(artifact, options, context)


class SlowSession(OnnxSession):
    def run(self, batch):
        end = time.perf_counter() + 0.004 + 0.002 * len(batch)
        outputs = super().run(batch)
        while time.perf_counter() < end:
            pass
        return outputs
'''

SUITE = """\
[suite]
task  = "detection"
model = "squares.onnx"
[suite.data]
validation  = { images = "validation", annotations = "validation.json" }

[[recipe]]
name     = "one"
runtime  = "slow"
workload = "batches"

[[recipe]]
name     = "best"
from     = "one"
workload = { size = { search = { choices = [2, 4, 128] } } }
search   = { trials = 3 }
[recipe.budgets]
map               = { drop = 0.001 }
batch_latency_p50 = { max = "LIMIT" }
batch_throughput  = { min = "100 images/s" }
"""


@pytest.fixture
def batches(project: Project) -> Project:
    """The tiny project on a runtime whose time depends on the size of the batch."""
    site = project.root / "site"
    (site / "slow.py").write_text(SLOW)
    info = site / "slow-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytest_perfgate.runtimes]\nslow = slow:Slow\n")
    assert os.environ["PYTHONPATH"].startswith(str(site))
    return project


def test_the_size_with_the_most_images_per_second_within_the_limit_wins(batches: Project) -> None:
    """Four images in 12 ms: 128 would be faster still, and take 260 ms. The page has the curve."""
    batches.write(SUITE.replace("LIMIT", "200 ms"))
    result = batches.run("--perf-search")
    (suite,) = batches.sessions()[-1]["suites"]
    best = next(each for each in suite["recipes"] if each["name"] == "best")
    search = best["search"]
    assert search["metric"] == "batch_throughput"
    found = {each["values"]["workload.size"]: each for each in search["trials"]}
    assert found.keys() == {2, 4, 128}
    assert found[128]["level"] > found[4]["level"] > found[2]["level"] > 0
    assert found[128]["ratio"] < found[4]["ratio"] < 1.0  # less is better, of a rate too
    assert "batch_latency_p50" in found[128]["reason"]
    assert found[128]["levels"]["batch_latency_p50"] > 0.25
    assert found[4]["number"] == search["winner"]
    assert best["spec"]["workload"]["options"] == {"size": 4}
    assert best["runtime_facts"]["batch_size"] == 4
    assert len(best["launches"][0]["values"]["batch_latency"]) > 0
    assert set(batches.verdicts().values()) <= {"PASS", "INCONCLUSIVE"}
    told = {each["metric"]: each["reference"] for each in suite["summaries"]["best"]}
    assert told["batch_throughput"] > 0
    assert told["batch_latency_p50"] is None  # of batches of another size
    said(result, "which won", "batch_throughput")
    (page,) = (batches.root / "reports").glob("2*.html")
    assert "best over workload.size" in page.read_text()


def test_no_size_within_the_limit_is_an_error(batches: Project) -> None:
    """The smallest is not taken for want of a better one."""
    batches.write(SUITE.replace("LIMIT", "5 ms").replace("[2, 4, 128]", "[2, 4]"))
    result = batches.run("--perf-search", "-k", "best")
    assert set(batches.verdicts().values()) == {"ERROR"}
    said(result, "none of 2 trials keeps the budgets: batch_latency_p50 max not kept (2 times)")
