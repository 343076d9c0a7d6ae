"""Panoptic segmentation: a segment for every pixel, held to the panoptic quality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.corruptions import STILL
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.metric import Better, Metric, by_name
from pytest_perfgate.tasks import Pipeline, Task
from pytest_perfgate.tasks.panoptic.data import PanopticData, as_panoptic
from pytest_perfgate.tasks.panoptic.output import Output, Reading
from pytest_perfgate.tasks.pixels.filters import required
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.own_functions import OwnPredictions
from pytest_perfgate.tasks.pixels.preprocessing import Preprocessing

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy, Doubt
    from pytest_perfgate.records.image_losses import SeenBox, WorseImage
    from pytest_perfgate.tasks.panoptic.data import Panoptic

_OF_CLASS = {
    "pq": "Panoptic quality. Segments of one class match when their intersection over union (IoU) "
    "is above 0.5. A class's quality is the sum of its matches' IoU over the matches and half of "
    "the segments without one, of all validation images; the metric is the mean over classes "
    "(Kirillov et al. 2019).",
    "sq": "Segmentation quality: the mean IoU of a class's matches, mean over classes.",
    "rq": "Recognition quality: a class's matches over the matches and half of the segments "
    "without one, mean over classes.",
}

METRICS = by_name(
    *(Metric.score(name, meaning) for name, meaning in _OF_CLASS.items()),
    *(
        Metric.score(
            f"{name}_{kind}",
            f"{name} over the classes of {kind}. Not measured without such segments.",
            optional=True,
        )
        for kind in ("things", "stuff")
        for name in _OF_CLASS
    ),
    Metric.score(
        "agreement",
        "Share of segments that recipe and reference have in common: twice the number of matches, "
        "divided by all segments of both. Two segments match when they have the same class and an "
        "IoU above 0.5. No annotations are used.",
        against_reference=True,
    ),
    Metric.score(
        "score_shift",
        "Mean absolute difference between the scores of recipe and reference, over matches of "
        "their segments; a segment without a match counts with its whole score. It changes when "
        "all scores collapse in the same order. Not measured for outputs without scores.",
        Better.LOWER,
        against_reference=True,
        optional=True,
    ),
)


class PanopticSegmentation(Task):
    """The task `panoptic`."""

    name = "panoptic"
    metrics = METRICS
    Data = PanopticData
    class_score = "panoptic quality"
    corruptions = STILL
    Input = Input
    Output = Output
    requires = (registry.from_extra("PIL", "segmentation"),)

    def read(self, declared: Mapping[str, Any], folder: Path, root: Path) -> PanopticData:
        """`{ images = "folder", annotations = "panoptic.json", maps = "folder" }`: COCO's panoptic
        segments. Without `annotations` the images alone.
        """
        from pytest_perfgate.tasks.panoptic.folder import read_folder

        return read_folder(declared, folder, root)

    @override
    def requires_with(self, input_options: Any) -> tuple[registry.Requirement, ...]:
        """Also the package that resizes pictures."""
        return (*self.requires, *required(input_options))

    def pipeline(self, input_options: Any, output_options: Any) -> PanopticPipeline:
        """The stages around inference."""
        return PanopticPipeline(input_options, output_options)

    def evaluate(self, data: PanopticData, predictions: Sequence[Panoptic]) -> Accuracy:
        """The metrics of one prediction per image."""
        from pytest_perfgate.tasks.panoptic.scores import evaluate

        return evaluate(data, predictions)

    def doubt(
        self,
        data: PanopticData,
        predictions: Sequence[Panoptic],
        accuracy: Accuracy,
        output_options: Any,
    ) -> Doubt | None:
        """See `panoptic.doubts.doubt_segments`."""
        from pytest_perfgate.tasks.panoptic.doubts import doubt_segments

        return doubt_segments(data, predictions, accuracy, output_options.classes)

    def alternatives(
        self, input_options: Any, output_options: Any
    ) -> Iterator[tuple[str, Any, Any]]:
        """Other ways to prepare pixels."""
        from pytest_perfgate.tasks.pixels.other_inputs import other_inputs

        for text, pixels in other_inputs(input_options):
            yield text, pixels, output_options

    @override
    def part(self, data: PanopticData, rows: Sequence[int]) -> PanopticData:
        """Some images and their segments."""
        return data.part(rows)

    def pack(self, predictions: Sequence[Panoptic]) -> dict[str, Any]:
        """Predictions as arrays, maps as runs."""
        from pytest_perfgate.tasks.panoptic.scores import pack

        return pack(predictions)

    def compare(self, ours: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        """`agreement` and `score_shift`: numerator and denominator per image."""
        from pytest_perfgate.tasks.panoptic.scores import compare

        return compare(ours, other)

    def worse(
        self, data: PanopticData, ours: Mapping[str, Any], other: Mapping[str, Any], most: int
    ) -> list[WorseImage] | None:
        """The images whose segments lost most of their intersection over union."""
        from pytest_perfgate.tasks.panoptic.losses import worse_images

        return worse_images(data, ours, other, most)

    def objects(self, data: PanopticData, index: int) -> tuple[str, tuple[SeenBox, ...]]:
        """The file name of an image, and the box around each of its segments."""
        from pytest_perfgate.tasks.image_files import ImageFiles
        from pytest_perfgate.tasks.panoptic.losses import segment_boxes

        images = data.images
        name = images.file(index).name if isinstance(images, ImageFiles) else ""
        return name, segment_boxes(data, index)


class PanopticPipeline(Pipeline):
    """Pre-process and post-process as declared."""

    def __init__(self, options: Input, wanted: Output) -> None:
        self._pixels = Preprocessing(options, placed=not wanted.postprocess)
        self._reading = Reading(wanted)
        self._own = OwnPredictions(wanted.postprocess, as_panoptic) if wanted.postprocess else None

    def preprocess(self, images: Sequence[Any]) -> tuple[Inputs, Any]:
        """See `tasks.preprocessing`."""
        return self._pixels.read(images)

    def postprocess(self, outputs: tuple[Any, ...], meta: Any) -> list[Panoptic]:
        """The network's outputs to a segment for each pixel of the original images."""
        return (self._own or self._reading).read(outputs, meta)
