"""Every budget of the suites of sequences: kept by the network as it is, broken by a worse one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("sklearn")
pytest.importorskip("skimage")

from pytest_perfgate.artifact import TORCH, Artifact  # noqa: E402 - after what may skip
from pytest_perfgate.baselines.store import Baseline, StoredMetric  # noqa: E402 - same
from pytest_perfgate.metric import Metric  # noqa: E402 - same
from pytest_perfgate.records.accuracy import Accuracy, Packed, Ratio  # noqa: E402 - same
from pytest_perfgate.records.launch import Launch  # noqa: E402 - same
from pytest_perfgate.records.recipe import Budget, Recipe, Suite  # noqa: E402 - same
from pytest_perfgate.records.recipe_record import ArtifactInfo, RecipeRecord  # noqa: E402 - same
from pytest_perfgate.records.verdict import Status  # noqa: E402 - same
from pytest_perfgate.runtimes import OpenContext  # noqa: E402 - same
from pytest_perfgate.runtimes.torch import Torch  # noqa: E402 - same
from pytest_perfgate.suite.metrics import metrics_of, task_of  # noqa: E402 - same
from pytest_perfgate.suite.reading import read  # noqa: E402 - same
from pytest_perfgate.tasks.clip_classification.data import ClipData  # noqa: E402 - same
from pytest_perfgate.tasks.stateful import StatefulPipeline  # noqa: E402 - same
from pytest_perfgate.tasks.tracking.data import Objects, TrackingData, Tracks  # noqa: E402 - same
from pytest_perfgate.verdicts.evidence import Evidence  # noqa: E402 - same
from pytest_perfgate.verdicts.judge import judge  # noqa: E402 - same
from pytest_perfgate.workloads.frame_order import FrameRun, starts_of  # noqa: E402 - same

from suites.clips import data as clips  # noqa: E402 - same
from suites.clips import model as classifier  # noqa: E402 - same
from suites.digits import model as detector  # noqa: E402 - same
from suites.tracking import data as moving  # noqa: E402 - same
from tests.verdicts.judging import NOW, RISK, SPREAD, launches, stored  # noqa: E402 - same

ROOT = Path(__file__).resolve().parents[2]
CLIPS, SEQUENCES, FRAMES = 160, 8, 12


def _suite(name: str) -> Suite:
    suite = read(ROOT / f"suites/{name}/recipes.toml", ROOT).suite
    assert suite is not None
    return suite


SUITES = {name: _suite(name) for name in ("clips", "tracking")}
BUDGETS = [
    (name, recipe, budget)
    for name, suite in SUITES.items()
    for recipe in suite.recipes.values()
    for budget in recipe.budgets
]


@dataclass(frozen=True)
class Scored:
    """Accuracies of a suite: of the network as it is, and of worse ones."""

    right: Accuracy
    worse: tuple[Accuracy, ...]


def _predictions(suite: Suite, data: Any, network: Any, starts: frozenset[int]) -> list[Any]:
    """Of all frames, with the state reset at `starts`."""
    task = task_of(suite.task)
    own = task.pipeline(
        task.Input.model_validate(dict(suite.input)),
        task.Output.model_validate(dict(suite.output)),
    )
    pipeline = StatefulPipeline(own, suite.state) if suite.state else own
    session = Torch().open(Artifact(TORCH, module=network), Torch.Options(), OpenContext(1, Path()))
    run, predictions = FrameRun(pipeline, session), []
    for index, image in enumerate(data.images):
        predictions += run.step([image], begins=int(index in starts)).predictions
    return predictions


def _scored(suite: Suite, data: Any, right: list[Any], worse: Sequence[list[Any]]) -> Scored:
    task = task_of(suite.task)
    accuracies = []
    for predictions in (right, *worse):
        accuracy = task.evaluate(data, predictions)
        sums = task.compare(task.pack(predictions), task.pack(right))
        ratios = {
            name: Ratio(numerator=Packed.of(top), denominator=Packed.of(bottom))
            for name, (top, bottom) in sums.items()
        }
        values = {name: float(top.sum() / bottom.sum()) for name, (top, bottom) in sums.items()}
        accuracies.append(
            accuracy.model_copy(
                update={"values": accuracy.values | values, "ratios": accuracy.ratios | ratios}
            )
        )
    return Scored(accuracies[0], tuple(accuracies[1:]))


def _clips() -> Scored:
    """Worse: a classifier whose state is lost at every frame."""
    composer = clips.ClipComposer(clips.SPLITS["validation"], 77)
    labels = [number % len(clips.CLASSES) for number in range(CLIPS)]
    frames = np.concatenate([composer.clip(label) for label in labels])
    data = ClipData(frames, [clips.FRAMES] * CLIPS, labels, clips.CLASSES)
    suite, network = SUITES["clips"], classifier.build()
    task = task_of(suite.task)
    right = _predictions(suite, data, network, starts_of(task, data))
    lost = _predictions(suite, data, network, frozenset(range(len(frames))))
    return _scored(suite, data, right, [lost])


def _tracking() -> Scored:
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
    right = _predictions(suite, data, detector.build(), starts_of(task_of(suite.task), data))
    off = [
        Tracks(one.boxes + 60, one.scores / 3, one.categories, one.ids + 100 * index, one.frame)
        for index, one in enumerate(right)
    ]
    switching = [
        Tracks(one.boxes, one.scores / 3, one.categories, one.ids + 100 * index, one.frame)
        for index, one in enumerate(right)
    ]
    return _scored(suite, data, right, [off, switching])


@pytest.fixture(scope="module")
def scored() -> dict[str, Scored]:
    """Of each suite."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them wait for each other on a shared core
    both = {"clips": _clips(), "tracking": _tracking()}
    torch.set_num_threads(threads)
    return both


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


def record(
    recipe: Recipe, accuracy: Accuracy, seconds: float, size: int, memory: int
) -> RecipeRecord:
    """A measured recipe."""
    return RecipeRecord(
        name=recipe.name,
        reference=recipe.reference,
        parent="",
        artifact=ArtifactInfo(kind="onnx", digest="", size=size, files={}),
        launches=timed(seconds, memory),
        accuracy=accuracy,
    )


def baseline(metrics: Mapping[str, Metric], accuracy: Accuracy) -> Baseline:
    """A stored baseline of the network as it is."""
    usual = stored(0.010)
    kept = dict(usual.metrics) | {"frame_latency_p50": usual.metrics["latency_p50"]}
    values = accuracy.values | {"artifact_size": 400_000.0}
    kept |= {
        name: StoredMetric(unit=metrics[name].unit, value=value) for name, value in values.items()
    }
    kept["peak_memory"] = StoredMetric(
        unit=metrics["peak_memory"].unit,
        value=100e6,
        launches=tuple(100e6 * factor for factor in SPREAD),
    )
    return usual.model_copy(update={"metrics": kept, "accuracy": accuracy})


def status(
    budget: Budget,
    metrics: Mapping[str, Metric],
    recipe: Recipe,
    right: Accuracy,
    candidate: RecipeRecord,
) -> Status:
    """The verdict on a candidate beside a reference of 20 ms and 1 MB."""
    evidence = Evidence(
        record=candidate,
        reference=record(recipe, right, 0.020, 1_000_000, 100),
        baseline=baseline(metrics, right),
        yardstick=launches(0.003),
    )
    return judge(budget, metrics[budget.metric], evidence, RISK, NOW).status


@pytest.mark.parametrize(
    ("suite", "recipe", "budget"),
    BUDGETS,
    ids=[f"{suite}-{recipe.name}-{one.metric}" for suite, recipe, one in BUDGETS],
)
def test_it_can_break(
    suite: str, recipe: Recipe, budget: Budget, scored: dict[str, Scored]
) -> None:
    """By a state that is lost, boxes that are off, tracks that break; or by values that are far
    worse.
    """
    ours, metrics = scored[suite], metrics_of(SUITES[suite].task)
    good = record(recipe, ours.right, 0.010, 400_000, 100)
    assert status(budget, metrics, recipe, ours.right, good) is Status.PASS
    if budget.metric not in task_of(SUITES[suite].task).metrics:
        bad = record(recipe, ours.right, 5.0, 9_000_000, 900)
        assert status(budget, metrics, recipe, ours.right, bad) is Status.FAIL
        return
    outcomes = {
        status(budget, metrics, recipe, ours.right, record(recipe, accuracy, 0.010, 400_000, 100))
        for accuracy in ours.worse
    }
    assert Status.FAIL in outcomes


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
