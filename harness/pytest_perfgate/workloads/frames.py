"""Frames of sequences in their order: what a recipe of a task of sequences is measured by.

A turn is the first frames of a sequence, from the reset of its state on, or of several sequences
side by side. Compared arms take turns at the same sequences.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from pydantic import Field
from typing_extensions import override

from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.metric import MEMORY_GROWTH, PARITY, Metric, by_name
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.workloads import FRAMES, Work, WorkContext, Workload
from pytest_perfgate.workloads.frame_order import FrameRun, FrameTurn
from pytest_perfgate.workloads.output_check import OutputCheck

_TURN = (
    "A turn is the first frames of a sequence, at most 12, in their order, with the recipe's "
    "threads, after warm-up; compared arms take turns at every sequence."
)
_SIDE_BY_SIDE = "With `sequences` above 1 a frame is one of each sequence, in one batch."

_METRICS = by_name(
    Metric.seconds(
        "frame_latency_p50",
        "Median time of one frame from decoded pixels to final result, tracker included, of all "
        f"frames but the first of a sequence. {_SIDE_BY_SIDE} {_TURN}",
        optional=True,
        headline=True,
    ),
    Metric.seconds(
        "frame_latency_p95",
        f"95th percentile of the same times. {_TURN}",
        optional=True,
    ),
    Metric.seconds(
        "frame_inference_p50",
        "Median time from the network's input to its output arrays, both in host memory, of all "
        f"frames but the first of a sequence. {_TURN}",
        optional=True,
    ),
    Metric.seconds(
        "first_frame_latency_p50",
        "Median time of the first frame of a sequence from decoded pixels to final result, the "
        f"reset of state and tracker included. {_TURN}",
        optional=True,
    ),
    Metric.rate(
        "frame_throughput",
        "Frames per second through all stages, first frames included, of all sequences side by "
        f"side. {_TURN}",
        optional=True,
        headline=True,
    ),
)


class Frames(Workload):
    """The workload of this file."""

    class Options(OptionsModel):
        """How many sequences."""

        sequences: int = Field(
            1, ge=1, le=256, description="sequences side by side, each a row of the batch"
        )

    name = FRAMES
    orders = frozenset({True})
    columns = ("first_frame_latency", "frame_latency", "frame_inference", "frame_throughput")
    metrics = _METRICS
    measures = frozenset({PARITY, MEMORY_GROWTH})
    goal = "frame_latency_p50"

    @override
    def open(self, options: Any, context: WorkContext) -> _Work:
        """A session, and the stages around it.

        Raises:
            RuntimeFault: sequences have one frame, or their number is not the artifact's batch.
        """
        return _Work(options.sequences, context)


class _Work(Work):
    def __init__(self, sequences: int, context: WorkContext) -> None:
        self.session: InferenceSession = context.session()
        self._run = FrameRun(context.pipeline, self.session)
        self._check = context.check or OutputCheck(context.images)
        self._sequences = sequences
        length = self._check.length or len(context.images)
        if length < 2:
            raise RuntimeFault(
                "the longest sequence has 1 frame: a time of frames behind the first is not there",
                where="suite.data.validation",
                valid="sequences of 2 frames or more",
            )
        if self.session.fixed_batch not in {0, sequences}:
            raise RuntimeFault(
                f"sequences = {sequences} is set, and the artifact takes batches of "
                f"{self.session.fixed_batch}",
                where="workload.sequences",
                valid=str(self.session.fixed_batch),
            )
        self.columns = (
            "first_frame_latency",
            *["frame_latency", "frame_inference"] * (length - 1),
            "frame_throughput",
        )
        self.facts = {**self.session.facts, "sequences": sequences, "frames_of_a_turn": length}
        self._flush = context.flush(self.session)

    @override
    def sample(self, number: int) -> Sequence[float]:
        """The sequences of that number: seconds of the first frame, of each further frame and of
        its inference; and frames per second.
        """
        if self._flush is not None:
            self._flush()
        turns: list[FrameTurn] = []
        places = []
        for positions, images in self._check.frames(number, self._sequences):
            turns.append(self._run.step(images, begins=0 if turns else self._sequences))
            places.append(positions)
        first, *others = turns
        self._check.inspect_frames(
            number, places, [turn.outputs for turn in turns], sum(turn.inference for turn in turns)
        )
        times = itertools.chain.from_iterable((turn.seconds, turn.inference) for turn in others)
        whole = sum(turn.seconds for turn in turns)
        return first.seconds, *times, self._sequences * len(turns) / whole
