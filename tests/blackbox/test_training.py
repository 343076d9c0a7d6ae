"""`workload = "training"`: recipes that are measured by the steps of their training."""

from __future__ import annotations

import pytest

from tests.conftest import DECIDED, Project, said

pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("safetensors", reason="python -m pip install 'pytest-perfgate[torch]'")

pytestmark = pytest.mark.slow

TOY = """\
import os
import time

import numpy as np
import torch


class Squares(torch.nn.Module):
    # Bright windows are squares, before any training.

    def __init__(self):
        super().__init__()
        self.mean = torch.nn.Conv2d(3, 1, 16, 8)
        self.score = torch.nn.Conv2d(1, 1, 1)
        with torch.no_grad():
            self.mean.weight.fill_(1 / self.mean.weight.numel())
            self.mean.bias.zero_()
            self.score.weight.fill_(20.0)
            self.score.bias.fill_(-12.0)

    def forward(self, x):
        scores = self.score(self.mean(x)).sigmoid()
        rows, columns = (torch.arange(side) * 8.0 for side in scores.shape[2:])
        y, x0 = torch.meshgrid(rows, columns, indexing="ij")
        corners = torch.stack([x0, y, x0 + 16, y + 16], -1).reshape(1, -1, 4)
        return corners.expand(len(x), -1, -1), scores.flatten(2).transpose(1, 2)


def build():
    return Squares().eval()


def fit(module, data, *, steps, learning_rate, batch_size, seed, course):
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=learning_rate)
    for step in course.steps(steps, module=module, optimizer=optimizer):
        rows = [(step * batch_size + each) % len(data.images) for each in range(batch_size)]
        pixels = np.stack([np.array(data.images[row]) for row in rows])
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        with course.precision():
            boxes, scores = module(images)
            loss = course.loss(images, (scores.float() - 0.1).square().mean())
        course.minimize(loss, optimizer)
        if torch.is_autocast_enabled("cpu"):
            raise AssertionError("autocast goes on after the loss")
        time.sleep(float(os.environ.get("TOY_SLEEP", "0")) if course.mixed else 0.0)
        if os.environ.get("TOY_BREAKS") and step > 15:
            raise ArithmeticError("the batch is broken")
    return module.eval()
"""

SUITE = """\
[suite]
task = "detection"
model = "toy:build"
trainer = "toy:fit"
[suite.data]
train = { images = "calibration", annotations = "calibration.json" }
validation = { images = "validation", annotations = "validation.json" }

[[recipe]]
name = "train"
runtime = "torch"
workload = { name = "training", steps = 10, learning_rate = 0.00001, batch_size = 4 }
[recipe.budgets]
step_time_p50 = { max = "10 s" }

[[recipe]]
name = "half"
from = "train"
workload = { autocast = "bfloat16" }
[recipe.budgets]
map                 = { drop = 0.5 }
training_loss       = { growth = "20%" }
step_time_p50       = { growth = "500%" }
training_throughput = { min = "1 images/s" }
peak_memory         = { max = "4 GB" }
"""


@pytest.fixture
def training(project: Project) -> Project:
    """The tiny project with a model that can be trained."""
    (project.root / "toy.py").write_text(TOY)
    project.write(SUITE)
    return project


def test_steps_are_measured_and_what_they_lead_to_is_judged(
    training: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Green; then the same recipe with steps of 100 ms more is red in time, and in nothing else."""
    training.run(*DECIDED)
    assert set(training.verdicts().values()) == {"PASS"}, training.verdicts()
    (suite,) = training.sessions()[-1]["suites"]
    train, half = suite["recipes"]
    assert half["lineage"][-1]["effect"]["autocast_layers"] == 2
    assert train["spec"]["workload"]["name"] == "training"
    launch = half["launches"][0]
    assert launch["inference"] == []
    assert len(launch["values"]["step_time"]) == len(launch["rounds"]) > 0
    told = {each["metric"] for each in suite["summaries"]["half"]}
    assert {"step_time_p50", "training_throughput", "training_loss", "peak_memory"} <= told
    assert "latency_p50" not in told
    monkeypatch.setenv("TOY_SLEEP", "0.1")
    slow = training.run(*DECIDED, "-k", "step_time_p50 or training_loss")
    assert training.verdicts() == {
        "train-step_time_p50": "PASS",
        "half-step_time_p50": "FAIL",
        "half-training_loss": "PASS",
    }
    said(slow, "step_time_p50")


def test_a_trainer_that_raises_in_its_turn_is_an_error_with_its_words(
    training: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training of ten steps was built before; the session's own goes on after them."""
    monkeypatch.setenv("TOY_BREAKS", "1")
    result = training.run("-k", "train-step_time_p50")
    assert training.verdicts() == {"train-step_time_p50": "ERROR"}
    said(result, "ArithmeticError: the batch is broken")
