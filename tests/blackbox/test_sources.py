"""Suites whose model a package builds, measured and judged; and another backbone in one."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from pytest_perfgate import registry
from pytest_perfgate.sources import Fence, SourceContext

from tests.blackbox.test_classification import NAMES, colours
from tests.conftest import Project, said

SUITE = """\
[suite]
task    = "classification"
model   = MODEL
trainer = "trainer:fit"
batch   = 4
input   = { size = [32, 32] }

[suite.data]
train      = { images = "train" }
validation = { images = "validation" }

[[recipe]]
name    = "plain"
runtime = "torch"
budgets = { accuracy = { min = 0.9 } }
"""

SMALL = """\
{ name = "transformers:resnet", num_classes = 3, arguments = { layer_type = "basic", \
embedding_size = 8, hidden_sizes = [8, 12], depths = [1, 1] } }"""

ANOTHER = """
[[recipe]]
name  = "another"
from  = "plain"
steps = [{ backbone = "transformers:convnext", at = "model.resnet.embedder.embedder", steps = 8, \
learning_rate = 3e-3, arguments = { hidden_sizes = [16, 32], depths = [1, 1], num_stages = 2 } }]
budgets = { accuracy = { min = 0.01 } }

[[recipe]]
name    = "exported"
from    = "another"
steps   = [{ export = "onnx" }]
runtime = "onnxruntime"
budgets = { accuracy = { min = 0.01 }, agreement = { min = 0.01 } }

[[recipe]]
name  = "nowhere"
from  = "plain"
steps = [{ backbone = "transformers:convnext", at = "neck", steps = 1 }]
"""

TRAIN = '''\
"""A trainer of classifiers."""

import numpy as np
import torch


def fit(module, data, *, steps, learning_rate, batch_size, seed, course):
    optimizer = torch.optim.AdamW(module.parameters(), lr=learning_rate)
    module.train()
    for step in course.steps(steps, module=module, optimizer=optimizer):
        rows = np.random.default_rng((seed, step)).integers(0, len(data.labels), batch_size)
        pixels = np.stack([np.asarray(data.images[row]).repeat(2, 0).repeat(2, 1) for row in rows])
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        labels = torch.tensor([data.labels[row] for row in rows])
        loss = torch.nn.functional.cross_entropy(module(images), labels)
        course.minimize(course.loss(images, loss), optimizer)
    return module.eval()
'''


@pytest.fixture
def classifiers(project: Project) -> Project:
    """The project with images of colours, and a trainer."""
    colours(project.suite, "train", 2)
    for old in (project.suite / "validation").iterdir():
        old.unlink()
    colours(project.suite, "validation", 1)
    (project.root / "trainer.py").write_text(TRAIN)
    return project


def sort_by_answers(folder: Path) -> None:
    """Moves each image below the class that the untrained `SMALL` calls it by: a reference at
    chance would be an error. Images get the network's size, so that nothing resizes them again.
    """
    import torch
    from PIL import Image

    model = tomllib.loads(f"model = {SMALL}")["model"]
    source, name = model.pop("name").split(":")
    source = registry.find(registry.SOURCES, source)
    options = source.Options.model_validate(model)
    context = SourceContext(Fence(folder, folder), lambda _: print, folder)
    module = source.build(name, options, context).artifact.module
    unsorted = folder.rename(folder.with_name("unsorted"))
    for name in NAMES:
        (folder / name).mkdir(parents=True)
    for file in unsorted.rglob("*.png"):
        pixels = np.asarray(Image.open(file)).repeat(2, 0).repeat(2, 1)
        images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            answer = NAMES[int(module(images).argmax())]
        Image.fromarray(pixels).save(folder / answer / f"{file.parent.name}-{file.name}")
    shutil.rmtree(unsorted)


@pytest.mark.slow
def test_a_model_of_a_package_is_measured_and_takes_another_backbone(classifiers: Project) -> None:
    """Without a line of the user's code; each link says what is there."""
    needed = registry.find(registry.SOURCES, "transformers").requires_with("resnet", None)
    if any(package.missing for package in needed):
        pytest.skip("pip install 'pytest-perfgate[transformers,classification,onnx]'")
    sort_by_answers(classifiers.suite / "validation")
    classifiers.write(SUITE.replace("MODEL", SMALL) + ANOTHER)
    result = classifiers.run()
    assert classifiers.verdicts() == {
        "plain-accuracy": "PASS",
        "another-accuracy": "PASS",
        "exported-accuracy": "PASS",
        "exported-agreement": "PASS",
        "nowhere-measured": "ERROR",
    }
    said(result, "the model has no module 'neck'")
    suite = classifiers.sessions()[-1]["suites"][0]
    assert suite["model"].startswith("transformers:resnet(num_classes=3")
    plain, another, exported = suite["recipes"][:3]
    assert plain["lineage"][0]["effect"]["weights"] == "random"
    link = another["lineage"][1]["effect"]
    assert link["backbone"] == link["asked"] == "transformers:convnext"
    assert link["macs"] != link["macs_before"]
    assert link["parameters"] > link["backbone_parameters"] > link["parameters_before"] > 0
    assert exported["lineage"][1]["cached"]  # built once
    both = [record["accuracy"]["values"]["accuracy"] for record in (another, exported)]
    assert both[0] == both[1]


def test_a_package_that_is_not_installed_skips_with_the_command(classifiers: Project) -> None:
    """And nothing of the suite is started."""
    needed = registry.find(registry.SOURCES, "timm").requires_with("resnet18", None)
    if not any(package.missing for package in needed):
        pytest.skip("timm is installed here")
    classifiers.write(SUITE.replace("MODEL", '"timm:resnet18"'))
    result = classifiers.run("-rs")
    result.assert_outcomes(skipped=1)
    said(result, "not installed: ", "timm", "pip install 'pytest-perfgate[timm]'")
