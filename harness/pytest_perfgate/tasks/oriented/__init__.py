"""Oriented boxes: rotated rectangles of some classes, held to DOTA's average precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.corruptions import STILL
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.metric import Metric, by_name
from pytest_perfgate.tasks import Pipeline, Task
from pytest_perfgate.tasks.class_names import with_indices
from pytest_perfgate.tasks.oriented.data import OrientedData, as_oriented
from pytest_perfgate.tasks.oriented.output import Output, Reading, merged
from pytest_perfgate.tasks.pixels.filters import required
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.own_functions import OwnPredictions
from pytest_perfgate.tasks.pixels.preprocessing import Preprocessing
from pytest_perfgate.tasks.pixels.tiles import TILES
from pytest_perfgate.tasks.score_metrics import score_shift

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy, Doubt
    from pytest_perfgate.records.image_losses import SeenBox, WorseImage
    from pytest_perfgate.tasks.oriented.data import Oriented

METRICS = by_name(
    Metric.score(
        "map50",
        "Mean over classes of the average precision at an intersection over union (IoU) of the "
        "quadrilaterals above 0.50, over all validation images: the area under the curve of "
        "precision over recall, as DOTA and PASCAL VOC (since 2010) have it. Difficult objects are "
        "ignored.",
        by_class=True,
    ),
    Metric.score("map75", "map50 at an IoU above 0.75.", by_class=True),
    Metric.score("map", "Mean of map50 over IoUs from 0.50 to 0.95.", by_class=True),
    Metric.score(
        "agreement",
        "Share of detections that recipe and reference have in common: twice the number of matched "
        "pairs, divided by all detections of both with a score of at least 0.3. Two detections "
        "match when they have the same class and an IoU of at least 0.5. No labels are used.",
        against_reference=True,
    ),
    score_shift("map50", "detection"),
)


class OrientedBoxes(Task):
    """The task `oriented`."""

    name = "oriented"
    metrics = METRICS
    Data = OrientedData
    class_score = "average precision at an IoU of 0.50"
    corruptions = STILL
    merges_tiles = True
    Input = Input
    Output = Output
    requires = (registry.from_extra("PIL", "detection"),)

    def read(self, declared: Mapping[str, Any], folder: Path, root: Path) -> OrientedData:
        """`{ images = "folder", labels = "folder", classes = [...] }`: DOTA's label files. Without
        `labels` the images alone.
        """
        from pytest_perfgate.tasks.oriented.folder import read_folder

        return read_folder(declared, folder, root)

    @override
    def requires_with(self, input_options: Any) -> tuple[registry.Requirement, ...]:
        """Also the package that resizes pictures."""
        return (*self.requires, *required(input_options))

    @override
    def fit_output(self, output_options: Any, data: Callable[[], OrientedData]) -> Any:
        """Names of the network's classes become indices."""
        return with_indices(output_options, lambda: data().classes)

    def pipeline(self, input_options: Any, output_options: Any) -> OrientedPipeline:
        """The stages around inference."""
        return OrientedPipeline(input_options, output_options)

    def evaluate(self, data: OrientedData, predictions: Sequence[Oriented]) -> Accuracy:
        """DOTA's metrics of one prediction per image."""
        from pytest_perfgate.tasks.oriented.scores import evaluate

        return evaluate(data, predictions)

    def doubt(
        self,
        data: OrientedData,
        predictions: Sequence[Oriented],
        accuracy: Accuracy,
        output_options: Any,
    ) -> Doubt | None:
        """See `tasks.oriented.doubts.doubt_oriented`."""
        from pytest_perfgate.tasks.oriented.doubts import doubt_oriented

        return doubt_oriented(data, predictions, accuracy, output_options.classes)

    def alternatives(
        self, input_options: Any, output_options: Any
    ) -> Iterator[tuple[str, Any, Any]]:
        """The other unit of angles, and other ways to prepare pixels."""
        from pytest_perfgate.tasks.pixels.other_inputs import other_inputs

        if output_options.angle == "radians" and not output_options.postprocess:
            other = output_options.model_copy(update={"angle": "degrees"})
            yield '[suite.output] angle = "degrees"', input_options, other
        for text, pixels in other_inputs(input_options):
            yield text, pixels, output_options

    @override
    def part(self, data: OrientedData, rows: Sequence[int]) -> OrientedData:
        """Some images and their objects."""
        return data.part(rows)

    def pack(self, predictions: Sequence[Oriented]) -> dict[str, Any]:
        """Predictions as arrays, to be kept."""
        from pytest_perfgate.tasks.oriented.agreement import pack

        return pack(predictions)

    def compare(self, ours: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        """`agreement` and `score_shift`: numerator and denominator per image."""
        from pytest_perfgate.tasks.oriented.agreement import compare, unpack

        return compare(unpack(ours), unpack(other))

    def worse(
        self, data: OrientedData, ours: Mapping[str, Any], other: Mapping[str, Any], most: int
    ) -> list[WorseImage] | None:
        """The images whose objects lost most of their scores."""
        from pytest_perfgate.tasks.oriented.agreement import unpack
        from pytest_perfgate.tasks.oriented.losses import LOSSES, truth

        if not data.annotated:
            return None
        return LOSSES.worse_images(truth(data), unpack(ours), unpack(other), data.classes, most)

    def objects(self, data: OrientedData, index: int) -> tuple[str, tuple[SeenBox, ...]]:
        """The file name of an image, and its objects that are to be found."""
        from pytest_perfgate.tasks.image_files import ImageFiles
        from pytest_perfgate.tasks.oriented.losses import LOSSES, truth

        images = data.images
        name = images.file(index).name if isinstance(images, ImageFiles) else ""
        if not data.annotated:
            return name, ()
        return name, LOSSES.objects(truth(data)[index], data.classes)


class OrientedPipeline(Pipeline):
    """Pre-process and post-process as declared."""

    def __init__(self, options: Input, wanted: Output) -> None:
        self._pixels = Preprocessing(options, placed=not wanted.postprocess)
        self._reading = Reading(wanted)
        self._wanted = wanted
        self.in_tiles = options.resize == TILES
        self._own = OwnPredictions(wanted.postprocess, as_oriented) if wanted.postprocess else None

    def preprocess(self, images: Sequence[Any]) -> tuple[Inputs, Any]:
        """See `tasks.preprocessing`."""
        return self._pixels.read(images)

    def postprocess(self, outputs: tuple[Any, ...], meta: Any) -> list[Oriented]:
        """The network's outputs to one prediction per image, in pixels of the original image."""
        read = (self._own or self._reading).read(outputs, meta)
        return merged(read, meta, self._wanted) if self.in_tiles else read
