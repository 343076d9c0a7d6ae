"""Cross-validation in a worker: disjoint folds, of which a SIGKILL loses none that is done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.building.artifact_cache import ArtifactStore
from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.building.builder import BuildRequest, Built
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.errors import DataError
from pytest_perfgate.records.recipe_record import ArtifactInfo
from pytest_perfgate.stats.cross_validation import assign
from pytest_perfgate.suite.reading import read
from pytest_perfgate.worker.folds import cross_validated

pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("safetensors", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("sklearn", reason="python -m pip install 'pytest-perfgate[classification]'")

TOY = """\
import os
import signal
import sys

import numpy as np
import torch
from pytest_perfgate.tasks.classification.data import ClassificationData

RUINED = 100.0  # a learning rate


class Brightness(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(1, 2)
        with torch.no_grad():
            self.line.weight.copy_(torch.tensor([[-5.0], [5.0]]))
            self.line.bias.copy_(torch.tensor([2.5, -2.5]))

    def forward(self, x):
        return self.line(x.mean((1, 2, 3))[:, None])


def build():
    return Brightness().eval()


def fit(module, data, *, steps, learning_rate, batch_size, seed, course):
    sys.calls = calls = getattr(sys, "calls", 0) + 1
    optimizer = torch.optim.SGD(module.parameters(), lr=learning_rate)
    pixels = torch.from_numpy(np.stack([np.array(image) for image in data.images]))
    pixels, labels = pixels.permute(0, 3, 1, 2).float() / 255, torch.tensor(list(data.labels))
    for step in course.steps(steps, module=module, optimizer=optimizer):
        if getattr(sys, "die_in_call", 0) == calls:
            os.kill(os.getpid(), signal.SIGKILL)
        loss = torch.nn.functional.cross_entropy(module(pixels), labels)
        course.minimize(course.loss(pixels, loss), optimizer)
    if learning_rate == RUINED:
        with torch.no_grad():
            module.line.weight.neg_()
            module.line.bias.neg_()
    return module.eval()


def images(count, seed):
    random, labels = np.random.default_rng(seed), [row % 2 for row in range(count)]
    pictures = [
        random.integers(140 * label, 115 + 140 * label, (8, 8, 3)).astype(np.uint8)
        for label in labels
    ]
    return ClassificationData(pictures, labels, ("dark", "light"))


def train():
    return images(60, 1)


def twice():
    data = images(60, 1)
    data.images[7] = data.images[3]
    return data


def validation():
    return images(20, 2)


def groups(data):
    return [row // 4 for row in range(len(data.images))]


def two_groups(data):
    return [row % 2 for row in range(len(data.images))]


def too_few(data):
    return [1, 2]
"""

MASKED_TOY = """\
import numpy as np
import torch
from pytest_perfgate.tasks.segmentation.data import SegmentationData


class Dark(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scores = torch.nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.scores.weight.copy_(torch.tensor([-4.0, 4.0])[:, None, None, None])
            self.scores.bias.copy_(torch.tensor([6.0, -6.0]))

    def forward(self, x):
        return self.scores(x)


def build():
    return Dark().eval()


def fit(module, data, *, steps, learning_rate, batch_size, seed, course):
    optimizer = torch.optim.SGD(module.parameters(), lr=learning_rate)
    pixels = torch.from_numpy(np.stack([np.array(image) for image in data.images]))
    pixels = pixels.permute(0, 3, 1, 2).float() / 255
    rows = range(len(data.images))
    masks = torch.from_numpy(np.stack([data.mask(row).astype(np.int64) for row in rows]))
    for step in course.steps(steps, module=module, optimizer=optimizer):
        loss = torch.nn.functional.cross_entropy(module(pixels), masks)
        course.minimize(course.loss(pixels, loss), optimizer)
    return module.eval()


def pictures(seed):
    random = np.random.default_rng(seed)
    masks = np.kron(random.integers(0, 2, (12, 2, 2)), np.ones((1, 4, 4), int)).astype(np.uint8)
    pixels = masks[..., None] * 140 + random.integers(0, 110, (12, 8, 8, 3))
    return SegmentationData(list(pixels.astype(np.uint8)), list(masks), ("dark", "light"))


def train():
    return pictures(1)


def validation():
    return pictures(2)
"""

SUITE = """\
[suite]
task = "classification"
model = "toy:build"
trainer = "toy:fit"
[suite.data]
train = "toy:train"
validation = "toy:validation"
"""

_RECIPE = """
[[recipe]]
name = "{name}"
runtime = "torch"
steps = [{{ finetune = 3, learning_rate = 0.05, data = "{data}" }}]
folds = {folds}
"""

MASKED_SUITE = SUITE.replace("classification", "segmentation").replace("toy:", "masked_toy:")

RECIPES = {
    "own": ("train", "5"),
    "grouped": ("train", '{ count = 5, by = "toy:groups" }'),
    "twice": ("toy:twice", "5"),
    "few": ("train", '{ count = 5, by = "toy:two_groups" }'),
    "short": ("train", '{ count = 5, by = "toy:too_few" }'),
}

PREPARES = """\
import json
import os
import sys
from pathlib import Path

from pytest_perfgate.suite.reading import read
from pytest_perfgate.worker.prepare import prepare
from pytest_perfgate.worker.protocol import Failed, Prepared, PrepareJob

import PIL.Image
import safetensors.torch
import sklearn.metrics
import torch
import torch._dynamo

root = Path.cwd()
for run, job in json.loads(sys.argv[1]).items():
    # A process for each: what they need is imported once, and torch has computed nothing before it
    # forks.
    process = os.fork()
    if process == 0:
        # No variable of the environment: what the project reads of it is an input of its builds.
        sys.die_in_call = job.get("die_in_call", 0)
        results = {}
        suite = read(root / job.get("file", "recipes.toml"), root).suite
        cache = root / ".perfgate" / job["cache"]
        for name in job["recipes"]:
            sent, notes = [], []
            prepare(PrepareJob(suite, name, cache, root / f"{run}.npz"), sent.append)
            answer = sent[-1]
            results[name] = {
                "notes": [message.note for message in sent if hasattr(message, "note")],
                "folds": answer.folds.model_dump() if isinstance(answer, Prepared) else None,
                "problem": answer.problem if isinstance(answer, Failed) else "",
            }
        Path(f"{run}.json").write_text(json.dumps(results))
        os._exit(0)
    _, status = os.waitpid(process, 0)
    expected = -9 if "die_in_call" in job else 0
    if os.waitstatus_to_exitcode(status) != expected:
        sys.exit(f"the process of {run} ended with status {status}")
"""

JOBS: dict[str, dict[str, Any]] = {
    "whole": {"cache": "whole", "recipes": list(RECIPES)},
    # The recipe's own training is the first call: the third fold is the fourth.
    "killed": {"cache": "cut", "recipes": ["own"], "die_in_call": 4},
    "continued": {"cache": "cut", "recipes": ["own"]},
    "masked": {"cache": "masked", "recipes": ["own"], "file": "masked.toml"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the workers sent: of whole runs, and of one that went on after a SIGKILL."""
    root = tmp_path_factory.mktemp("folds")
    (root / "toy.py").write_text(TOY)
    recipes = (
        _RECIPE.format(name=name, data=data, folds=folds) for name, (data, folds) in RECIPES.items()
    )
    (root / "recipes.toml").write_text(SUITE + "".join(recipes))
    (root / "masked_toy.py").write_text(MASKED_TOY)
    masked = _RECIPE.format(name="own", data="train", folds="3")
    (root / "masked.toml").write_text(MASKED_SUITE + masked)
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-c", PREPARES, json.dumps(JOBS)],
        cwd=root,
        check=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    kept = ("whole", "continued", "masked")
    return {run: json.loads((root / f"{run}.json").read_text()) for run in kept}


def test_each_fold_is_tested_on_what_it_was_not_trained_with(runs: dict[str, Any]) -> None:
    """Scores of every fold, sizes that add up, and the cost before the first fold."""
    result = runs["whole"]["own"]
    folds = result["folds"]
    assert folds["tested"] == [12] * 5
    assert folds["trained"] == [48] * 5
    assert folds["cached"] == 0
    assert folds["scores"]["accuracy"] == [1.0] * 5
    cost = next(note for note in result["notes"] if note.startswith("folds: "))
    assert "5 models, about" in cost
    first = next(note for note in result["notes"] if note.startswith("fold 1 of 5: "))
    assert result["notes"].index(cost) < result["notes"].index(first)


def test_masks_are_in_folds_with_their_images(runs: dict[str, Any]) -> None:
    """A segmenter is trained and tested like a classifier."""
    result = runs["masked"]["own"]
    assert not result["problem"]
    assert result["folds"]["trained"] == [8] * 3
    assert min(result["folds"]["scores"]["miou"]) > 0.95


def test_groups_are_kept_together(runs: dict[str, Any]) -> None:
    """15 groups of four in five folds: three of them in each."""
    folds = runs["whole"]["grouped"]["folds"]
    assert folds["groups"] == 15
    assert folds["tested"] == [12] * 5


def test_finished_folds_are_kept_at_a_sigkill(runs: dict[str, Any]) -> None:
    """Two were finished when the third was killed; all scores are those of an undisturbed run."""
    folds, whole = runs["continued"]["own"]["folds"], runs["whole"]["own"]["folds"]
    assert folds["cached"] == 2
    assert folds["scores"] == whole["scores"]


@pytest.mark.parametrize(
    ("recipe", "problem"),
    [
        ("few", "2 groups cannot make 5 folds"),
        ("short", "2 groups are given for 60 images"),
    ],
)
def test_data_that_cannot_be_folded(runs: dict[str, Any], recipe: str, problem: str) -> None:
    """Each is one message."""
    assert problem in runs["whole"][recipe]["problem"]


def test_an_image_in_two_folds_is_an_error(runs: dict[str, Any]) -> None:
    """Both places are named."""
    folds = assign(range(60), 5)
    assert folds[3] != folds[7]
    expected = f"image 3 of fold {folds[3] + 1} is image 7 of fold {folds[7] + 1}"
    assert "1 image is in two folds" in runs["whole"]["twice"]["problem"]
    assert expected in runs["whole"]["twice"]["problem"]


CALIBRATED = """\
import numpy as np
from pytest_perfgate.tasks.classification.data import ClassificationData

def images(count, seed):
    random = np.random.default_rng(seed)
    pictures = [random.integers(0, 255, (8, 8, 3)).astype(np.uint8) for _ in range(count)]
    return ClassificationData(pictures, [row % 2 for row in range(count)], ("dark", "light"))

def train():
    return images(20, 1)

def calibration():
    return train().part([7, 12])

def validation():
    return images(10, 2)

def never(*_, **__):
    raise AssertionError
"""


def test_no_fold_is_tested_on_images_that_it_was_calibrated_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fold holds images out of the split that it trains with, and out of no other. Nothing is
    built before.
    """
    (tmp_path / "calibrated_toy.py").write_text(CALIBRATED)
    monkeypatch.syspath_prepend(tmp_path)
    data = "".join(
        f'{split} = "calibrated_toy:{split}"\n' for split in ("train", "calibration", "validation")
    )
    file = tmp_path / "recipes.toml"
    file.write_text(
        '[suite]\ntask = "classification"\nmodel = "calibrated_toy:never"\n'
        f'trainer = "calibrated_toy:never"\n[suite.data]\n{data}[[recipe]]\nname = "int8"\n'
        'runtime = "onnxruntime"\nfolds = 5\n'
        'steps = [{ finetune = 3 }, { export = "onnx" }, { quantize = "static" }]\n'
    )
    suite = read(file, tmp_path).suite
    assert suite is not None
    recipe = suite.recipes["int8"]
    store, watch = ArtifactStore(tmp_path / "cache"), Watch(tmp_path, tmp_path / "cache")
    request = BuildRequest(suite, recipe, store, watch, SuiteData(suite), lambda *_: None)
    own = Built(
        ArtifactHandle("onnx", None, suite.model),
        ArtifactInfo(kind="onnx", digest="", size=0, files={}),
        lineage=(),
        files={},
    )
    with pytest.raises(DataError) as error:
        cross_validated(request, own, lambda *_: pytest.fail("a fold was evaluated"))
    assert str(error.value).startswith(
        "suite.data.calibration: 2 of the calibration images are train images too (the first: "
        "calibration image 0 is train image 7), and each is tested on in a fold"
    )
    assert "take these images out of train or of calibration" in error.value.next_step
