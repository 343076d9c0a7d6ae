"""What a step is given: scores and states of artifacts that it has made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate import registry
from pytest_perfgate.artifact import ONNX, Artifact
from pytest_perfgate.building.artifact_cache import ArtifactStore
from pytest_perfgate.building.step_context import StepSetting
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.errors import BuildError
from pytest_perfgate.steps import BuildContext
from pytest_perfgate.suite.reading import read

from tests import clips
from tests.squares import HEAD, coco_folder, squares_model

pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")
pytest.importorskip("PIL", reason="python -m pip install 'pytest-perfgate[detection]'")

PLAIN = '[[recipe]]\nname = "plain"\nruntime = "onnxruntime"\n'


def context(folder: Path, text: str, model: str, **options: Any) -> BuildContext:
    """That of the step `quantize` with these options, behind the suite's model."""
    (folder / "recipes.toml").write_text(text)
    suite = read(folder / "recipes.toml", folder).suite
    assert suite is not None
    data = SuiteData(suite)
    setting = StepSetting(suite, ArtifactStore(folder / "cache"), data, lambda *_: None)
    step = registry.find(registry.STEPS, "quantize")
    before = Artifact(ONNX, path=folder / model)
    return setting.context(step, step.Options(**options), lambda: before, folder, None)


def test_a_step_scores_calibration_images_and_no_others(tmp_path: Path) -> None:
    """With the runtime of the artifact's framework, whatever other runtimes are registered; images
    that the step does not name are refused, for its key has not what their score rests on.
    """
    squares_model(tmp_path / "squares.onnx")
    coco_folder(tmp_path, "calibration", 4, seed=1)
    coco_folder(tmp_path, "validation", 3, seed=2)
    given = context(tmp_path, HEAD + PLAIN, "squares.onnx", accuracy_drop=0.1)
    artifact = Artifact(ONNX, path=tmp_path / "squares.onnx")
    assert given.score(artifact, "calibration") > 0.9
    with pytest.raises(BuildError, match="they judge its result"):
        given.score(artifact, "validation")
    with pytest.raises(BuildError, match="step 'quantize' scores 'train' images") as caught:
        given.score(artifact, "train")
    assert caught.value.valid == "calibration"
    with pytest.raises(BuildError, match="does not say so"):
        context(tmp_path, HEAD + PLAIN, "squares.onnx").score(artifact, "calibration")


def test_a_step_sees_states_that_the_network_has_left(tmp_path: Path) -> None:
    """From the second frame on: ranges of the initial state alone would be those of nothing."""
    clips.clips_model(tmp_path / "clips.onnx")
    for split in ("calibration", "validation"):
        clips.clip_folder(tmp_path / split, 2, 3)
    given = context(tmp_path, clips.SUITE, "clips.onnx")
    known = [float(one.others["known"][0, 0]) for one in given.inputs("calibration", 3)]
    assert known[0] == 0
    assert 1 in known[1:]
