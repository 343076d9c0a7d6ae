"""Links that train, built as a session builds them: continued when killed, restored, moved."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.squares import coco_folder

pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("safetensors", reason="python -m pip install 'pytest-perfgate[torch]'")
pytest.importorskip("PIL", reason="python -m pip install 'pytest-perfgate[detection]'")

pytestmark = pytest.mark.slow

SUITE = """\
[suite]
task = "detection"
model = "toy:build"
trainer = "toy:fit"
[suite.data]
train = { images = "train", annotations = "train.json" }
validation = { images = "validation", annotations = "validation.json" }

[[recipe]]
name = "tuned"
runtime = "torch"
steps = [{ finetune = 8, learning_rate = 0.01, batch_size = 2, checkpoint_every = "0 s" }]

[[recipe]]
name = "together"
runtime = "torch"
steps = [
    { finetune = 8, learning_rate = 0.01, batch_size = 2, processes = 2, checkpoint_every = "0 s" },
]

[[recipe]]
name = "moved"
runtime = "torch"
steps = [{ finetune = 8, learning_rate = 0.01, batch_size = 2, data = "toy:night" }]

[[recipe]]
name = "leaking"
runtime = "torch"
steps = [{ finetune = 8, data = "toy:leak" }]

[[recipe]]
name = "taught"
runtime = "torch"
steps = [
    { finetune = 2 },
    { distil = "toy:small", steps = 8, learning_rate = 0.02, features = [["2", "2"]], \
checkpoint_every = "0 s" },
    { finetune = 2, learning_rate = 1e-4 },
]
"""

TOY = """\
import os
import signal
from pathlib import Path

import numpy as np
import torch
from pytest_perfgate.tasks.detection import DetectionData


def net(width):
    torch.manual_seed(width)
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(0.2),
        nn.Conv2d(width, 4, 1),
    ).eval()


def build():
    return net(16)


def small():
    return net(4)


def dark(seed):
    images = [np.full((64, 64, 3), seed + each, np.uint8) for each in range(4)]
    coco = {
        "images": [{"id": each, "width": 64, "height": 64} for each in range(4)],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 1, "bbox": [0, 0, 8, 8]}
        ],
        "categories": [{"id": 1, "name": "square"}],
    }
    return DetectionData(images, coco)


def night():
    return dark(0)


def leak():
    from PIL import Image
    images = [np.array(Image.open("validation/0.png").convert("RGB"))] * 4
    return DetectionData(images, dark(0).coco)


def fit(module, data, *, steps, learning_rate, batch_size, seed, course):
    optimizer = torch.optim.AdamW(module.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    module.train()
    state = {"module": module, "optimizer": optimizer, "schedule": schedule}
    if course.world_size > 1:
        Path("trained", str(os.getpid())).touch()
    for step in course.steps(steps, **state):
        # Other variables that a trainer reads are inputs, and another value is another training.
        if os.environ.get("PYTEST_DIE_AT") == f"{step}.{course.rank}":
            os.kill(os.getpid(), signal.SIGKILL)
        rows = np.random.default_rng((seed, step)).integers(0, len(data.images), batch_size)
        rows = course.share(rows)
        pixels = np.stack([np.array(data.images[row]) for row in rows])
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        loss = course.loss(images, (module(images) - images.mean()).square().mean())
        course.minimize(loss, optimizer)
        schedule.step()
    return module.eval()
"""

BUILDS = """\
import dataclasses
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import safetensors.torch
import torch
import torch._dynamo

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.building import builder as building
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.suite_data import splits_used
from pytest_perfgate.building.artifact_cache import ArtifactStore
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.suite.reading import read

root = Path.cwd()
suite = read(root / "recipes.toml", root).suite


def build(cache, name):
    recipe = suite.recipes[name]
    data = SuiteData(suite)
    for split in splits_used(recipe):
        data.refuse_leak(split)
    store = ArtifactStore(root / ".perfgate" / cache)
    built = building.build(
        building.BuildRequest(suite, recipe, store, Watch(root), data, lambda *_: None)
    )
    module = building.load(built.artifact).module
    with torch.inference_mode():
        output = module(torch.from_numpy(data.example(1).images))
    return {
        "effects": [dict(link.effect) for link in built.lineage],
        "cached": [link.cached for link in built.lineage],
        "digest": built.info.digest,
        "model": dataclasses.asdict(built.artifact.model),
        "parameters": sum(each.numel() for each in module.parameters()),
        "output": float(output.double().sum()),
        "left": [each.name for each in (store.root / "training").glob("*")],
    }


def reported(cache, name):
    try:
        return build(cache, name)
    except PerfgateError as error:
        return {"error": str(error)}


def ended(process):
    try:
        return Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


for run, job in json.loads(sys.argv[1]).items():
    # A process for each: what they need is imported once, and torch has computed nothing before it
    # forks.
    process = os.fork()
    if process == 0:
        os.environ |= {"PYTEST_DIE_AT": job["die_at"]} if "die_at" in job else {}
        results = {name: reported(job["cache"], name) for name in job["recipes"]}
        Path(f"{run}.json").write_text(json.dumps(results))
        os._exit(0)
    _, status = os.waitpid(process, 0)
    expected = -9 if job.get("die_at", "").endswith(".0") else 0
    if os.waitstatus_to_exitcode(status) != expected:
        sys.exit(f"the process of {run} ended with status {status}")
    trained = [file.name for file in Path("trained").iterdir()]
    deadline = time.monotonic() + 10
    while not all(map(ended, trained)):
        if time.monotonic() > deadline:
            sys.exit(f"a process of {run} is left")
        time.sleep(0.05)
"""

JOBS: dict[str, dict[str, Any]] = {
    "undisturbed": {
        "cache": "whole",
        "recipes": ["tuned", "together", "moved", "leaking", "taught"],
    },
    "restored": {"cache": "whole", "recipes": ["taught"]},
    "tuned-killed": {"cache": "tuned-cut", "recipes": ["tuned"], "die_at": "5.0"},
    "tuned-continued": {"cache": "tuned-cut", "recipes": ["tuned"]},
    "taught-killed": {"cache": "taught-cut", "recipes": ["taught"], "die_at": "5.0"},
    "taught-continued": {"cache": "taught-cut", "recipes": ["taught"]},
    "together-other-killed": {"cache": "together-cut", "recipes": ["together"], "die_at": "3.1"},
    "together-killed": {"cache": "together-cut", "recipes": ["together"], "die_at": "5.0"},
    "together-continued": {"cache": "together-cut", "recipes": ["together"]},
}
"""Builds, in this order, each in a process of its own, and some killed at a step: "5.0" is step 5
of rank 0, which is the process that builds."""


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each of the jobs built, by recipe, of a suite whose model, trainer and data are a module
    of its own; nothing of those that were killed.
    """
    folder = tmp_path_factory.mktemp("toy")
    (folder / "recipes.toml").write_text(SUITE)
    (folder / "toy.py").write_text(TOY)
    (folder / "trained").mkdir()
    coco_folder(folder, "train", 6, seed=1)
    coco_folder(folder, "validation", 4, seed=2)
    done = subprocess.run(
        [sys.executable, "-c", BUILDS, json.dumps(JOBS)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = {name: folder / f"{name}.json" for name in JOBS}
    return {name: json.loads(file.read_text()) for name, file in written.items() if file.exists()}


@pytest.mark.parametrize(("recipe", "link"), [("tuned", 1), ("taught", 2), ("together", 1)])
def test_a_killed_training_is_continued_by_the_next_session(
    builds: dict[str, Any], recipe: str, link: int
) -> None:
    """It ends in the weights of one that nobody disturbed, and leaves no checkpoint behind."""
    whole = builds["undisturbed"][recipe]
    assert whole["effects"][link]["resumed_at"] == 0
    assert f"{recipe}-killed" not in builds
    continued = builds[f"{recipe}-continued"][recipe]
    assert continued["effects"][link]["resumed_at"] == 5
    assert continued["digest"] == whole["digest"]
    assert continued["output"] == whole["output"]
    assert continued["left"] == []


def test_a_process_that_is_killed_ends_the_training_of_all(builds: dict[str, Any]) -> None:
    """With an error that says which, and how the training goes on. What is killed leaves no process
    behind, whichever it is: the program that builds has looked.
    """
    error = builds["together-other-killed"]["together"]["error"]
    assert "process 2 of the 2 that train together did not finish: it was killed (SIG" in error
    assert "run the session again: the training goes on from its last checkpoint" in error
    whole = builds["undisturbed"]["together"]["effects"][1]
    assert (whole["processes"], whole["resumed_at"]) == (2, 0)


def test_a_student_is_restored_from_its_own_import_path(builds: dict[str, Any]) -> None:
    """In another process, from the cache: the student's structure with the trained weights."""
    first = builds["undisturbed"]["taught"]
    again = builds["restored"]["taught"]
    assert again["cached"] == [True] * 4
    assert again["model"]["name"] == "toy:small"
    assert again["parameters"] == first["effects"][2]["parameters"] < 200
    assert again["output"] == first["output"]


def test_fine_tuning_moves_to_the_data_of_an_import_path(builds: dict[str, Any]) -> None:
    """Another domain gives other weights; images that validation has are refused there too."""
    undisturbed = builds["undisturbed"]
    assert undisturbed["tuned"]["digest"] != undisturbed["moved"]["digest"]
    assert "toy:leak images are validation images too" in undisturbed["leaking"]["error"]
