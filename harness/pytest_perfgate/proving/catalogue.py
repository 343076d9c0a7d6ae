"""The faults that `pytest-perfgate prove` plants, as frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pytest_perfgate.errors import PerfgateError

MAIN = "main score"
"""In `Fault.metrics`: the first metric of the task (map, accuracy, miou)."""

REFUSED = "the fault does not apply: "
"""How the message of a `DoesNotApply` begins, also behind the wall."""


class DoesNotApply(PerfgateError):
    """A fault that a suite cannot have: there is no calibration, there are no boxes."""

    def __init__(self, why: str) -> None:
        super().__init__(REFUSED + why)


class Place(StrEnum):
    """Where a fault is planted."""

    SESSION = "session"  # around the runtime's session
    STAGE = "stage"  # in pre-processing or post-processing
    PICTURE = "picture"  # in the decoded image, before pre-processing
    INPUT = "input"  # in the network's input, after pre-processing
    PREDICTION = "prediction"  # in what post-processing gives
    DATA = "data"  # in the calibration images
    RECIPE = "recipe"  # in the chain, the runtime's options or the data that the suite names


class Size(StrEnum):
    """How large a fault is."""

    ONE = "one size"
    LIMIT = "the smallest slowdown that a budget on time claims to see"
    SHARE = "a share of the latency"
    FIRST = "as long as loading and the first inference"
    LOAD = "as long as loading"
    MEMORY = "a share of the peak memory"


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: as `--fault` takes it.
        what: what it does, a sentence without a period.
        place: where it is planted.
        metrics: those that can see it, the best first; `MAIN` for the task's main score.
        evaluated: whether it changes what evaluation gives; else its arm is a copy of the recipe's.
        timed: whether launches are needed to see it.
        size: how large it is.
        share: of the latency or of the memory, for a size that is a share.
    """

    name: str
    what: str
    place: Place
    metrics: tuple[str, ...]
    evaluated: bool = True
    timed: bool = False
    size: Size = Size.ONE
    share: float = 0.0


_SHIFT = "score_shift"
_SCORES = (MAIN, "map50", "agreement", _SHIFT, "f1")
_PIXELS = (MAIN, "map75", "agreement", _SHIFT)
_LATENCY = ("latency_p50",)


def _timed(
    name: str,
    what: str,
    place: Place,
    *metrics: str,
    size: Size = Size.ONE,
    share: float = 0.0,
    evaluated: bool = False,
) -> Fault:
    return Fault(name, what, place, metrics, evaluated, True, size, share)


_STAGES = {
    "preprocess": ("pre-processing", Place.STAGE),
    "inference": ("inference", Place.SESSION),
    "postprocess": ("post-processing", Place.STAGE),
}

_ALL = (
    *(
        _timed(
            f"slow_{stage}",
            f"{words} takes longer, by the smallest slowdown that a budget on time claims to see",
            place,
            "latency_p50",
            f"{stage}_p50",
            size=Size.LIMIT,
        )
        for stage, (words, place) in _STAGES.items()
    ),
    *(
        _timed(
            f"slow_{stage}_5_percent",
            f"{words} takes longer, by 5 % of the latency",
            place,
            "latency_p50",
            f"{stage}_p50",
            size=Size.SHARE,
            share=0.05,
        )
        for stage, (words, place) in _STAGES.items()
    ),
    _timed(
        "one_in_twenty_slow",
        "one inference in twenty takes four times the latency longer",
        Place.SESSION,
        "latency_tail",
        "latency_p99",
        "latency_p95",
        "throughput",
        size=Size.SHARE,
        share=4.0,
    ),
    Fault(
        "first_inference_slow",
        "the first inference takes as long again as loading and the first inference",
        Place.SESSION,
        ("load_time_cold",),
        size=Size.FIRST,
    ),
    _timed(
        "load_slow",
        "loading takes twice as long",
        Place.SESSION,
        "load_time",
        size=Size.LOAD,
    ),
    _timed(
        "leak",
        "every inference keeps a copy of its input",
        Place.SESSION,
        "memory_growth",
        "peak_memory",
    ),
    _timed(
        "memory_20_percent",
        "the session holds 20 % more memory",
        Place.SESSION,
        "peak_memory",
        size=Size.MEMORY,
        share=0.2,
    ),
    _timed(
        "provider_lost",
        "the runtime works on the CPU in place of its device",
        Place.RECIPE,
        "latency_p50",
        "throughput",
        evaluated=True,
    ),
    _timed(
        "threads_doubled",
        "the runtime starts twice the threads, on as many cores as before",
        Place.RECIPE,
        "latency_p50",
        "latency_p95",
    ),
    _timed(
        "frozen_batch",
        "the artifact takes one image at a time only",
        Place.SESSION,
        "throughput",
    ),
    Fault(
        "swapped_channels",
        "the network sees blue in place of red",
        Place.PICTURE,
        _SCORES,
    ),
    Fault(
        "wrong_mean",
        "the mean of the network's input is off by 32 of 255",
        Place.INPUT,
        _SCORES,
    ),
    Fault("wrong_scale", "the network's input is twice as large", Place.INPUT, _SCORES),
    Fault(
        "wrong_resize",
        "pictures lose half of their resolution, by nearest neighbour",
        Place.PICTURE,
        _PIXELS,
    ),
    Fault("mirrored", "pictures are mirrored", Place.PICTURE, _SCORES),
    Fault("upside_down", "pictures stand upside down", Place.PICTURE, _SCORES),
    Fault("grey", "pictures lose their colours", Place.PICTURE, _SCORES),
    Fault("cropped", "an eighth of each side of a picture is black", Place.PICTURE, _SCORES),
    Fault("scores_halved", "every score is half of what it was", Place.PREDICTION, (_SHIFT, "f1")),
    Fault(
        "scores_rounded",
        "scores are rounded to one decimal",
        Place.PREDICTION,
        (MAIN, _SHIFT, "f1"),
    ),
    Fault(
        "boxes_shifted", "boxes, or masks, lie two pixels too far right", Place.PREDICTION, _PIXELS
    ),
    Fault("boxes_wide", "boxes are a tenth wider", Place.PREDICTION, _PIXELS),
    Fault("class_dropped", "the first class is never predicted", Place.PREDICTION, _SCORES),
    Fault("classes_swapped", "the first two classes are swapped", Place.PREDICTION, _SCORES),
    Fault(
        "best_only",
        "only the best detection of each picture is kept",
        Place.PREDICTION,
        (MAIN, "agreement", "recall"),
    ),
    Fault(
        "duplicates",
        "every detection is there twice, as without suppression",
        Place.PREDICTION,
        ("agreement", _SHIFT, MAIN, "precision", "f1"),
    ),
    Fault(
        "calibration_noise",
        "half of the calibration images are noise",
        Place.DATA,
        (MAIN, "agreement", _SHIFT),
    ),
    Fault(
        "calibration_on_validation",
        "calibration reads the validation images",
        Place.RECIPE,
        (MAIN,),
    ),
    _timed(
        "answers_cached",
        "answers are kept by their inputs",
        Place.SESSION,
        "latency_p50",
    ),
    _timed(
        "stale_answers",
        "an answer is that of the inference before",
        Place.SESSION,
        "latency_p50",
    ),
    _timed(
        "step_without_effect",
        "one step of the chain changes nothing",
        Place.RECIPE,
        "artifact_size",
        "latency_p50",
        "peak_memory",
        evaluated=True,
    ),
    Fault(
        "older_weights",
        "weights are 10 % of a layer's spread off, as those of an older commit",
        Place.SESSION,
        (MAIN, "agreement", _SHIFT),
    ),
    Fault(
        "not_finite",
        "the outputs of one image are not finite",
        Place.SESSION,
        (MAIN, "agreement", _SHIFT, "parity"),
    ),
)

FAULTS: Mapping[str, Fault] = MappingProxyType({fault.name: fault for fault in _ALL})
"""Every fault by its name, in the order of the matrix."""
