"""`workload = "training"`: recipes that are measured by the steps of their training."""

from __future__ import annotations

import pytest

from tests.conftest import DECIDED, Project, said

pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("safetensors", reason="python -m pip install 'pytest-perfgate[torch]'")

pytestmark = pytest.mark.slow

TOY = """\
import time

import numpy as np
import torch

SLOW, BROKEN = 0.00002, 0.00003  # learning rates


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
        time.sleep(0.1 if learning_rate == SLOW else 0.0)
        if learning_rate == BROKEN and step >= 10:
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

[[recipe]]
name = "slow"
from = "train"
workload = { autocast = "bfloat16", learning_rate = 0.00002 }
[recipe.budgets]
training_loss = { growth = "20%" }
step_time_p50 = { growth = "500%" }

[[recipe]]
name = "broken"
from = "train"
workload = { learning_rate = 0.00003 }
[recipe.budgets]
step_time_p50 = { max = "10 s" }
"""


def test_steps_are_measured_and_what_they_lead_to_is_judged(project: Project) -> None:
    """Steps of 100 ms more are red in time, and in nothing else. A trainer that raises in its turn
    is an error with its words: its ten steps were built, and the session's own go on after them.
    """
    (project.root / "toy.py").write_text(TOY)
    project.write(SUITE)
    result = project.run(*DECIDED)
    assert project.verdicts() == {
        "train-step_time_p50": "PASS",
        "half-map": "PASS",
        "half-training_loss": "PASS",
        "half-step_time_p50": "PASS",
        "half-training_throughput": "PASS",
        "half-peak_memory": "PASS",
        "slow-training_loss": "PASS",
        "slow-step_time_p50": "FAIL",
        "broken-step_time_p50": "ERROR",
    }
    said(result, "slow  step_time_p50", "ArithmeticError: the batch is broken")
    (suite,) = project.sessions()[-1]["suites"]
    train, half, *_ = suite["recipes"]
    assert half["lineage"][-1]["effect"]["autocast_layers"] == 2
    assert train["spec"]["workload"]["name"] == "training"
    launch = half["launches"][0]
    assert launch["inference"] == []
    assert len(launch["values"]["step_time"]) == len(launch["rounds"]) > 0
    reported = {summary["metric"] for summary in suite["summaries"]["half"]}
    assert {"step_time_p50", "training_throughput", "training_loss", "peak_memory"} <= reported
    assert "latency_p50" not in reported
