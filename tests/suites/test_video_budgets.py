"""Every budget of the suites of sequences: kept by the network as it is, broken by a worse one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("sklearn")
pytest.importorskip("skimage")

from pytest_perfgate.artifact import TORCH, Artifact  # noqa: E402 - after what may skip
from pytest_perfgate.records.launch import Launch  # noqa: E402 - same
from pytest_perfgate.records.recipe import Budget, Recipe, Suite  # noqa: E402 - same
from pytest_perfgate.records.verdict import Status  # noqa: E402 - same
from pytest_perfgate.runtimes import OpenContext  # noqa: E402 - same
from pytest_perfgate.runtimes.torch import Torch  # noqa: E402 - same
from pytest_perfgate.suite.metrics import task_of  # noqa: E402 - same
from pytest_perfgate.tasks.clip_classification.data import ClipData  # noqa: E402 - same
from pytest_perfgate.tasks.stateful import StatefulPipeline  # noqa: E402 - same
from pytest_perfgate.tasks.tracking.data import Objects, TrackingData, Tracks  # noqa: E402 - same
from pytest_perfgate.workloads.frame_order import FrameRun, starts_of  # noqa: E402 - same

from suites.clips import data as clips  # noqa: E402 - same
from suites.clips import model as classifier  # noqa: E402 - same
from suites.digits import model as detector  # noqa: E402 - same
from suites.tracking import data as moving  # noqa: E402 - same
from tests.suites import breaking, predicting  # noqa: E402 - same
from tests.verdicts.judging import launches  # noqa: E402 - same

CLIPS, SEQUENCES, FRAMES = 160, 8, 12
SUITES = {name: breaking.suite(name) for name in ("clips", "tracking")}


def _predictions(suite: Suite, data: Any, network: Any, starts: frozenset[int]) -> list[Any]:
    """Of all frames, with the state reset at `starts`."""
    own = predicting.stages(suite)
    pipeline = StatefulPipeline(own, suite.state) if suite.state else own
    session = Torch().open(Artifact(TORCH, module=network), Torch.Options(), OpenContext(1, Path()))
    run, predictions = FrameRun(pipeline, session), []
    for index, image in enumerate(data.images):
        predictions += run.step([image], begins=int(index in starts)).predictions
    return predictions


def _clips() -> breaking.Scored:
    """Worse: a classifier whose state is lost at every frame."""
    composer = clips.ClipComposer(clips.SPLITS["validation"], 77)
    labels = [number % len(clips.CLASSES) for number in range(CLIPS)]
    frames = np.concatenate([composer.clip(label) for label in labels])
    data = ClipData(frames, [clips.FRAMES] * CLIPS, labels, clips.CLASSES)
    suite, network = SUITES["clips"], classifier.build()
    task = task_of(suite.task)
    right = _predictions(suite, data, network, starts_of(task, data))
    lost = _predictions(suite, data, network, frozenset(range(len(frames))))
    return breaking.scored(task, data, right, lost=lost)


def _tracking() -> breaking.Scored:
    """Worse: boxes that are far off, and numbers that are new in each frame; of lower scores."""
    composer = moving.SequenceComposer(moving.SPLITS["validation"], 77)
    scenes = [scene for _ in range(SEQUENCES) for scene in composer.sequence(FRAMES)]
    data = TrackingData(
        [scene.image for scene in scenes],
        [FRAMES] * SEQUENCES,
        [Objects.of(scene.boxes, scene.ids, scene.labels) for scene in scenes],
        moving.CLASSES,
    )
    suite = SUITES["tracking"]
    task = task_of(suite.task)
    right = _predictions(suite, data, detector.build(), starts_of(task, data))
    off = [
        Tracks(one.boxes + 60, one.scores / 3, one.categories, one.ids + 100 * index, one.frame)
        for index, one in enumerate(right)
    ]
    switching = [
        Tracks(one.boxes, one.scores / 3, one.categories, one.ids + 100 * index, one.frame)
        for index, one in enumerate(right)
    ]
    return breaking.scored(task, data, right, off=off, switching=switching)


@pytest.fixture(scope="module")
def scored() -> dict[str, breaking.Scored]:
    """Of each suite."""
    with predicting.one_thread():
        return {"clips": _clips(), "tracking": _tracking()}


def timed(seconds: float, memory: int) -> tuple[Launch, ...]:
    """Launches of the workload `frames`."""
    return tuple(
        launch.model_copy(
            update={
                "preprocess": (),
                "inference": (),
                "postprocess": (),
                "values": dict.fromkeys(("first_frame_latency", "frame_latency"), launch.inference),
            }
        )
        for launch in launches(seconds, memory=memory)
    )


@pytest.mark.parametrize(("suite", "recipe", "budget"), breaking.budgets(SUITES))
def test_it_can_break(
    suite: str, recipe: Recipe, budget: Budget, scored: dict[str, breaking.Scored]
) -> None:
    """By a state that is lost, boxes that are off, tracks that break; or by values that are far
    worse.
    """
    ours, task = scored[suite], SUITES[suite].task
    trial = breaking.Trial(task, recipe, budget, ours.right, timed, 9_000_000)
    right, broken = trial.verdicts([*ours.worse.values()])
    assert right is Status.PASS
    assert Status.FAIL in broken


def test_the_weights_are_small_and_trained() -> None:
    """Under 8 MB, and a state of the declared shapes."""
    assert classifier.WEIGHTS.stat().st_size < 8_000_000
    network = classifier.build()
    assert not network.training
    states = [loop.initial(2) for loop in SUITES["clips"].state]
    with torch.inference_mode():
        logits, *after = network(torch.rand(2, 3, 48, 48), *map(torch.from_numpy, states))
    assert logits.shape == (2, len(clips.CLASSES))
    assert [one.shape for one in after] == [one.shape for one in states]


def test_sequences_are_the_same_every_time() -> None:
    """Digits keep their number and their class, and move; two are seldom alike."""
    split = moving.SPLITS["validation"]
    one, other = (moving.SequenceComposer(split, 5).sequence(4) for _ in range(2))
    assert all(
        np.array_equal(left.image, right.image) for left, right in zip(one, other, strict=True)
    )
    assert {tuple(scene.labels) for scene in one} == {tuple(one[0].labels)}
    assert one[0].boxes != one[1].boxes
    again, clip = (clips.ClipComposer(split, 5).clip(4) for _ in range(2))
    assert np.array_equal(again, clip)
