"""Tracking: objects that keep their number from frame to frame, held to HOTA, IDF1 and MOTA."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.metric import Better, Metric, Rule, by_name
from pytest_perfgate.tasks import Pipeline, Task
from pytest_perfgate.tasks.class_names import with_decoder_indices
from pytest_perfgate.tasks.detection import Detection, DetectionPipeline
from pytest_perfgate.tasks.pixels.filters import required
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.tracking.data import TrackingData, Tracks
from pytest_perfgate.tasks.tracking.output import Output
from pytest_perfgate.units import Unit

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy
    from pytest_perfgate.records.image_losses import SeenBox, WorseImage

_ALPHAS = "Mean over overlaps (IoU) from 0.05 to 0.95."
_ALL = "Counts of all sequences and classes are added up."

METRICS = by_name(
    Metric.score(
        "hota",
        "Higher order tracking accuracy (Luiten et al. 2021): geometric mean of detection and "
        f"association accuracy. {_ALPHAS} {_ALL}",
    ),
    Metric.score(
        "deta",
        "Detection accuracy of HOTA: true positives, divided by these, the missed objects and the "
        f"false boxes. {_ALPHAS} {_ALL}",
    ),
    Metric.score(
        "assa",
        "Association accuracy of HOTA: mean, over true positives, of the share of boxes that their "
        f"object and their track have in common. {_ALPHAS} {_ALL}",
    ),
    Metric.score(
        "mota",
        "1 less the missed objects, false boxes and identity switches, divided by the objects "
        "(CLEAR MOT, Bernardin and Stiefelhagen 2008), at an IoU of 0.5. It may be below 0. "
        f"{_ALL}",
    ),
    Metric.score(
        "idf1",
        "Share of boxes with the right identity (Ristani et al. 2016), at an IoU of 0.5: F1 of the "
        f"assignment of one track to each object with the fewest errors. {_ALL}",
    ),
    Metric(
        "id_switches",
        Unit.COUNT,
        Better.LOWER,
        Rule.IMAGES,
        False,
        "How often an object is matched with another track than the last time (CLEAR MOT), in all "
        "validation sequences.",
    ),
    Metric.score(
        "agreement",
        "IDF1 of the recipe's tracks with the reference's as the truth: share of boxes of both "
        "that belong to one track in recipe and reference. No annotations are used.",
        against_reference=True,
    ),
    Metric.score(
        "score_shift",
        "Mean absolute difference between the scores of recipe and reference, over matched pairs "
        "of tracked boxes in which at least one score is 0.3 or more; such a box without a match "
        "counts with its whole score.",
        Better.LOWER,
        against_reference=True,
    ),
)


class Tracking(Task):
    """The task `tracking`."""

    name = "tracking"
    metrics = METRICS
    Data = TrackingData
    in_order = True
    class_score = "HOTA"
    Input = Input
    Output = Output
    requires = (registry.from_extra("PIL", "tracking"),)

    @override
    def read(self, declared: Mapping[str, Any], folder: Path, root: Path) -> TrackingData:
        """`{ sequences = "folder" }`: MOTChallenge's folders; or `{ images = "folder", annotations
        = "videos.json" }`: frames and a COCO-VID file.
        """
        if "sequences" in declared:
            from pytest_perfgate.tasks.tracking.motchallenge import read_mot

            return read_mot(declared, folder, root)
        from pytest_perfgate.tasks.tracking.coco_video import read_coco_video

        return read_coco_video(declared, folder, root)

    @override
    def requires_with(self, input_options: Any) -> tuple[registry.Requirement, ...]:
        """Also the package that resizes pictures."""
        return (*self.requires, *required(input_options))

    @override
    def fit_output(self, output_options: Any, data: Callable[[], TrackingData]) -> Any:
        """Names of the network's classes become indices."""
        return with_decoder_indices(output_options, lambda: data().classes)

    @override
    def check_together(self, input_options: Any, output_options: Any) -> None:
        """As of a detector."""
        Detection().check_together(input_options, output_options)

    @override
    def pipeline(self, input_options: Any, output_options: Any) -> TrackingPipeline:
        """The stages around inference, a tracker behind the detector."""
        return TrackingPipeline(input_options, output_options)

    @override
    def evaluate(self, data: TrackingData, predictions: Sequence[Tracks]) -> Accuracy:
        """The metrics of the tracks of every frame; the unit of uncertainty is the sequence."""
        from pytest_perfgate.tasks.tracking.scores import evaluate

        return evaluate(data, predictions)

    @override
    def part(self, data: TrackingData, rows: Sequence[int]) -> TrackingData | None:
        """Some sequences; None where `rows` are no whole ones."""
        return data.part(rows)

    @override
    def pack(self, predictions: Sequence[Tracks]) -> dict[str, Any]:
        """Tracks as arrays, see `tracking.agreement`."""
        from pytest_perfgate.tasks.tracking.agreement import pack

        return pack(predictions)

    @override
    def compare(self, ours: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        """`agreement` and `score_shift`: numerator and denominator per sequence."""
        from pytest_perfgate.tasks.tracking.agreement import compare, unpack

        return compare(unpack(ours), unpack(other))

    @override
    def worse(
        self, data: TrackingData, ours: Mapping[str, Any], other: Mapping[str, Any], most: int
    ) -> list[WorseImage] | None:
        """The frames in which most objects lost the track that stands for them."""
        from pytest_perfgate.tasks.tracking.agreement import unpack
        from pytest_perfgate.tasks.tracking.losses import worse_frames

        return worse_frames(data, unpack(ours), unpack(other), most) if data.annotated else None

    @override
    def objects(self, data: TrackingData, index: int) -> tuple[str, tuple[SeenBox, ...]]:
        """The place of a frame, and its objects with their numbers."""
        from pytest_perfgate.tasks.tracking.losses import object_boxes

        return data.place(index), object_boxes(data, index)


class TrackingPipeline(Pipeline):
    """A detector's stages, and behind them a tracker for each sequence."""

    def __init__(self, options: Input, wanted: Output) -> None:
        from pytest_perfgate.tasks.tracking.trackers import Trackers

        self._detector = DetectionPipeline(options, wanted)
        self.in_tiles = self._detector.in_tiles
        self.decoder = self._detector.decoder
        self.tracker = Trackers(wanted.tracker, wanted.tracker_options)

    @override
    def begin(self, sequences: int) -> None:
        """A tracker of its own for each sequence."""
        self.tracker.begin(sequences)

    @override
    def preprocess(self, images: Sequence[Any]) -> tuple[Inputs, Any]:
        """See `tasks.preprocessing`."""
        return self._detector.preprocess(images)

    @override
    def postprocess(self, outputs: tuple[Any, ...], meta: Any) -> list[Tracks]:
        """The network's outputs to the tracks of the next frame of each sequence."""
        return self.tracker.update(self._detector.postprocess(outputs, meta))
