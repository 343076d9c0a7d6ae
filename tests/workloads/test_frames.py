"""Frames in their order: state from one to the next, and the workload that times them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest_perfgate.errors import InputError, RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.runtimes import InferenceSession, OpenContext
from pytest_perfgate.state import Feedback
from pytest_perfgate.tasks.clip_classification import ClipClassification, Output
from pytest_perfgate.tasks.clip_classification.data import ClipData
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.stateful import StatefulPipeline
from pytest_perfgate.workloads import WorkContext
from pytest_perfgate.workloads.evaluated_outputs import OutputRecorder
from pytest_perfgate.workloads.frame_order import FrameRun, starts_of
from pytest_perfgate.workloads.frames import Frames
from pytest_perfgate.workloads.output_check import OutputCheck
from pytest_perfgate.workloads.varied_images import EVALUATED, ROUNDS

from tests.clips import clip_data, clips_model

pytest.importorskip("onnxruntime", reason="python -m pip install 'pytest-perfgate[onnx]'")

TASK = ClipClassification()
LOOPS = (
    Feedback("first_out", "first", -2, ("N", 1)),
    Feedback("known_out", "known", -1, ("N", 1)),
)
DATA = clip_data(6, 4)


def opened(folder: Path, width: int = 1) -> InferenceSession:
    """A session on the recurrent network."""
    from pytest_perfgate.artifact import ONNX, Artifact
    from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime

    clips_model(folder / "clips.onnx", width=width)
    runtime = OnnxRuntime()
    artifact = Artifact(ONNX, path=folder / "clips.onnx")
    return runtime.open(artifact, runtime.Options(), OpenContext(1, folder))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> InferenceSession:
    """One for all tests of this module: the state is not in it."""
    return opened(tmp_path_factory.mktemp("clips"))


def pipeline(loops: tuple[Feedback, ...] = LOOPS) -> StatefulPipeline:
    """The stages around it."""
    return StatefulPipeline(TASK.pipeline(Input(), Output()), loops)


def predictions(session: InferenceSession, starts: frozenset[int]) -> list[Any]:
    """Of all frames, with the state reset at `starts`."""
    run, made = FrameRun(pipeline(), session), []
    for index, image in enumerate(DATA.images):
        made += run.step([image], begins=int(index in starts)).predictions
    return made


def test_the_state_goes_from_frame_to_frame_and_ends_with_its_sequence(
    session: InferenceSession,
) -> None:
    """The network is right with it; it is wrong where it is never reset, or at every frame."""
    accuracy = TASK.evaluate(DATA, predictions(session, starts_of(TASK, DATA)))
    assert accuracy.values["accuracy"] == 1.0
    for starts in (frozenset({0}), frozenset(range(len(DATA.images)))):
        values = TASK.evaluate(DATA, predictions(session, starts)).values
        assert values["accuracy"] < 0.9


def test_sequences_side_by_side_have_states_of_their_own(session: InferenceSession) -> None:
    """Rows of a batch are what each sequence gives alone."""
    alone = predictions(session, starts_of(TASK, DATA))
    run = FrameRun(pipeline(), session)
    for frame in range(4):
        images = [DATA.images[start + frame] for start in (0, 4, 8)]
        turn = run.step(images, begins=0 if frame else 3)
        for start, made in zip((0, 4, 8), turn.predictions, strict=True):
            assert made.frame == frame
            assert made.scores == pytest.approx(alone[start + frame].scores, abs=1e-6)


def test_a_state_that_does_not_fit_is_named(tmp_path: Path, session: InferenceSession) -> None:
    """An output has another shape or is not there, or a state is of one sequence in a batch."""
    wide = FrameRun(pipeline(), opened(tmp_path, width=3))
    with pytest.raises(InputError) as refused:
        wide.step([DATA.images[0]], begins=1)
    text = str(refused.value)
    assert "'first_out' has the shape (1, 3), and the input 'first' takes (1, 1)" in text
    assert "suite.state.first_out" in text
    single = tuple(dataclasses.replace(loop, shape=(1, 1)) for loop in LOOPS)
    with pytest.raises(InputError, match="of one sequence; it is given 2 side by side"):
        FrameRun(pipeline(single), session).step(list(DATA.images[:2]), begins=2)
    far = (LOOPS[0], dataclasses.replace(LOOPS[1], place=7))
    with pytest.raises(InputError, match="has 3 outputs, and 'known_out' would be number 7"):
        FrameRun(pipeline(far), session).step([DATA.images[0]], begins=1)


class Keeps(InferenceSession):
    """A session that answers each number of a frame of a turn with what it answered first."""

    def __init__(self, inner: InferenceSession, length: int) -> None:
        self.facts, self._inner, self._length = {}, inner, length
        self._kept: list[Any] = []
        self._count = 0

    def run(self, inputs: Inputs) -> tuple[Any, ...]:
        """The same outputs for every sequence."""
        if len(self._kept) < self._length:
            self._kept.append(self._inner.run(inputs))
        self._count += 1
        return tuple(np.array(one) for one in self._kept[(self._count - 1) % self._length])


def context(session: InferenceSession, check: OutputCheck, images: list[Any]) -> WorkContext:
    """As much of one as is used."""
    return WorkContext(
        session=lambda: session,
        module=lambda: None,
        pipeline=pipeline(),
        images=images,
        data=lambda _: None,
        trainer=lambda: lambda: None,
        batch=8,
        threads=1,
        flush=lambda _: None,
        check=check,
    )


def evaluated(session: InferenceSession, data: ClipData, length: int) -> OutputCheck:
    """A check with the outputs of the frames, as an evaluation keeps them."""
    recorder, run = OutputRecorder(length), FrameRun(pipeline(), session)
    for index, image in enumerate(data.images):
        turn = run.step([image], begins=int(index % length == 0))
        recorder.add(index, turn.outputs, "")
    for frame in range(2):
        recorder.repeat(frame, run_frames(session, data, frame))
        recorder.vary(frame, run_frames(session, data, frame, flip=True))
    return OutputCheck([np.array(image) for image in data.images], recorder.finish())


def run_frames(session: InferenceSession, data: ClipData, last: int, *, flip: bool = False) -> Any:
    """Outputs of frame `last` of the first sequence; with its lowest bits flipped in some rows."""
    run = FrameRun(pipeline(), session)
    for frame in range(last + 1):
        image = np.array(data.images[frame])
        image[4:8] ^= 1 if flip else 0
        turn = run.step([image], begins=int(frame == 0))
    return turn.outputs


@pytest.mark.parametrize("sequences", [1, 2])
def test_a_turn_is_a_sequence_from_its_first_frame_on(
    session: InferenceSession, sequences: int
) -> None:
    """Times of the first frame, of the further ones and of their inference, and frames a second."""
    check = evaluated(session, DATA, 4)
    options = Frames.Options(sequences=sequences)
    work = Frames().open(options, context(session, check, list(DATA.images)))
    assert work.columns == (
        "first_frame_latency",
        *["frame_latency", "frame_inference"] * 3,
        "frame_throughput",
    )
    for number in range(8):
        first, *times, rate = work.sample(number)
        assert rate == pytest.approx(4 * sequences / (first + sum(times[::2])))
        assert all(times[at] > times[at + 1] > 0 for at in (0, 2, 4))
    check.conclude()


def test_outputs_of_another_sequence_are_found_out(session: InferenceSession) -> None:
    """The timed ones are compared with the evaluated ones, states included."""
    check = evaluated(session, DATA, 4)
    cheat = Frames().open(Frames.Options(), context(Keeps(session, 4), check, list(DATA.images)))
    cheat.sample(EVALUATED)  # what it keeps
    cheat.sample(EVALUATED)
    with pytest.raises(RuntimeFault, match="is not the evaluated one"):
        cheat.sample(EVALUATED + ROUNDS)


def test_a_turn_needs_two_frames_and_the_batch_that_the_artifact_has(
    session: InferenceSession,
) -> None:
    """The message names the key and what is valid."""
    short = clip_data(3, 1)
    check = evaluated(session, clip_data(2, 2), 1)
    with pytest.raises(RuntimeFault, match="the longest sequence has 1 frame"):
        Frames().open(Frames.Options(), context(session, check, list(short.images)))
    fixed = Keeps(session, 4)
    fixed.fixed_batch = 1
    options = Frames.Options(sequences=2)
    with pytest.raises(RuntimeFault, match="sequences = 2 is set, and the artifact takes") as bad:
        Frames().open(options, context(fixed, evaluated(session, DATA, 4), list(DATA.images)))
    assert bad.value.valid == "1"
