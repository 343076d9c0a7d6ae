"""Faults in sessions and stages: each is around one that is whole."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.proving.catalogue import FAULTS, Place
from pytest_perfgate.proving.sessions import EVERY, ILL, SESSIONS, plant_in_session
from pytest_perfgate.proving.stages import plant_in_pipeline
from pytest_perfgate.records.recipe import PlantedFault
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.tasks import Pipeline
from pytest_perfgate.tasks.classification.data import Called

MILLISECONDS = 0.02
"""Seconds that a planted slowdown takes here, far more than what is whole."""


class Counting(InferenceSession):
    """Gives the number of the inference, and the sum of its input."""

    def __init__(self) -> None:
        self.facts = {"device": "cpu"}
        self.count = itertools.count(1)

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """The number and the sum, float32 (1, 2)."""
        return (np.array([[next(self.count), inputs.images.sum()]], np.float32),)


def session(name: str, size: float = 0.0) -> InferenceSession:
    """A session with a fault."""
    return plant_in_session(Counting(), PlantedFault(name, "recipe", size))


def inputs(value: float = 1.0, count: int = 1) -> Inputs:
    """The input of so many images."""
    return Inputs(np.full((count, 3, 2, 2), value, np.float32))


def seconds(work: Any) -> float:
    """How long `work()` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.mark.parametrize("name", sorted(SESSIONS))
def test_a_session_with_a_fault_says_of_itself_what_it_said(name: str) -> None:
    """Facts stay, and the first outputs are the session's own: no other thing is changed."""
    planted = session(name)
    assert planted.facts == {"device": "cpu"}
    assert planted.run(inputs())[0].tolist() == [[1, 12]]


def test_other_faults_leave_a_session_alone() -> None:
    """Such as one of a stage."""
    whole = Counting()
    assert plant_in_session(whole, PlantedFault("grey", "recipe")) is whole


def test_every_fault_of_a_session_is_planted_somewhere() -> None:
    """The catalogue names none that nothing plants: such a fault would never be seen."""
    names = {name for name, fault in FAULTS.items() if fault.place is Place.SESSION}
    assert names == SESSIONS.keys() | {"older_weights"}


@pytest.mark.parametrize(
    ("name", "slow"),
    [
        ("slow_inference", {1, 2, EVERY}),
        ("one_in_twenty_slow", {EVERY}),
        ("first_inference_slow", {1}),
    ],
)
def test_inferences_are_slow(name: str, slow: set[int]) -> None:
    """Every one, one in twenty, or the first."""
    planted = session(name, MILLISECONDS)
    for number in range(1, EVERY + 1):
        took = seconds(lambda: planted.run(inputs()))
        if number in slow or number in {1, 2, EVERY}:
            assert (took >= MILLISECONDS) == (number in slow)


def test_loading_is_slow() -> None:
    """Opening takes longer."""
    assert seconds(lambda: session("load_slow", MILLISECONDS)) >= MILLISECONDS


def test_memory_is_held() -> None:
    """A leak keeps every input, the other fault so many bytes that are written."""
    leak: Any = session("leak")
    for _ in range(3):
        leak.run(inputs())
    assert len(leak._kept) == 3
    more: Any = session("memory_20_percent", 1000)
    assert (more._held.nbytes, more._held.min()) == (1000, 1)


def test_a_frozen_batch_takes_one_image() -> None:
    """It says so, and refuses two."""
    frozen = session("frozen_batch")
    assert frozen.fixed_batch == 1
    with pytest.raises(RuntimeFault, match="was given 2"):
        frozen.run(inputs(count=2))


def test_answers_are_kept_or_late() -> None:
    """The same input has the same answer; or an answer is that of the inference before."""
    cached = session("answers_cached")
    first, other, again = (cached.run(inputs(value))[0].tolist() for value in (1, 2, 1))
    assert first == again != other
    stale = session("stale_answers")
    assert [stale.run(inputs(value))[0][0, 1] for value in (1, 2, 3)] == [12, 12, 24]


def test_one_inference_is_not_finite() -> None:
    """The tenth, and no other."""
    planted = session("not_finite")
    outputs = [planted.run(inputs())[0] for _ in range(ILL + 2)]
    assert [bool(np.isnan(array).all()) for array in outputs] == [
        number == ILL for number in range(1, ILL + 3)
    ]


class Plain(Pipeline):
    """Pixels as they are; a prediction is a score."""

    def preprocess(self, images: Sequence[Any]) -> tuple[Inputs, Any]:
        """The pictures as a batch."""
        return Inputs(np.stack(images).astype(np.float32)), len(images)

    def postprocess(self, outputs: tuple[Any, ...], meta: Any) -> list[Any]:  # noqa: ARG002 - of each image the same
        """A score for each image."""
        return [Called(np.array([0.8], np.float32))] * meta


PICTURE = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


def test_a_fault_is_in_its_stage_only() -> None:
    """A picture, the input, a prediction, or the time of a stage; the rest is as declared."""
    whole = Plain()
    assert plant_in_pipeline(whole, PlantedFault("leak", "recipe")) is whole
    swapped = plant_in_pipeline(whole, PlantedFault("swapped_channels", "recipe"))
    assert np.array_equal(swapped.preprocess([PICTURE])[0].images[0], PICTURE[:, :, ::-1])
    assert swapped.postprocess((), 1)[0].scores[0] == np.float32(0.8)
    halved = plant_in_pipeline(whole, PlantedFault("scores_halved", "recipe"))
    assert np.array_equal(halved.preprocess([PICTURE])[0].images[0], PICTURE)
    assert halved.postprocess((), 1)[0].scores[0] == np.float32(0.4)
    for stage in ("preprocess", "postprocess"):
        slow = plant_in_pipeline(whole, PlantedFault(f"slow_{stage}", "recipe", MILLISECONDS))
        before = seconds(lambda slow=slow: slow.preprocess([PICTURE, PICTURE]))
        after = seconds(lambda slow=slow: slow.postprocess((), 2))
        assert (before >= 2 * MILLISECONDS) == (stage == "preprocess")
        assert (after >= 2 * MILLISECONDS) == (stage == "postprocess")
