"""Pose: the keypoints of objects, held to COCO's mean average precision by their similarity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import OptionsModel
from pytest_perfgate.corruptions import STILL
from pytest_perfgate.errors import DataError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.metric import Metric, by_name
from pytest_perfgate.tasks import Pipeline, Task
from pytest_perfgate.tasks.pixels.filters import required
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.own_functions import OwnPredictions
from pytest_perfgate.tasks.pixels.preprocessing import Preprocessing
from pytest_perfgate.tasks.pose.data import PoseData, as_poses
from pytest_perfgate.tasks.pose.output import Output, Reading
from pytest_perfgate.tasks.score_metrics import by_size, score_shift

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy, Doubt
    from pytest_perfgate.records.image_losses import SeenBox, WorseImage
    from pytest_perfgate.tasks.pose.data import Poses

METRICS = by_name(
    Metric.score(
        "oks_map",
        "COCO mean average precision by object keypoint similarity (OKS): mean over categories and "
        "an OKS from 0.50 to 0.95, at most 20 detections per image. Crowds and objects without a "
        "labelled keypoint are ignored.",
        by_class=True,
    ),
    Metric.score("oks_map50", "oks_map at an OKS of 0.50.", by_class=True),
    Metric.score("oks_map75", "oks_map at an OKS of 0.75.", by_class=True),
    *by_size("oks_map", "medium", "large"),
    Metric.score(
        "agreement",
        "Share of keypoints that recipe and reference place alike: twice the number of keypoints "
        "within 0.05 of the square root of the box's area of each other, divided by all keypoints "
        "of detections of both with a score of at least 0.3. Detections are matched by an "
        "intersection over union (IoU) of their boxes of at least 0.5. No annotations are used.",
        against_reference=True,
    ),
    score_shift("oks_map", "detection"),
)


def _checked(model: type[OptionsModel], table: Any) -> Any:
    """A table of a data set as its model.

    Raises:
        DataError: a key is unknown, or its value is none of it.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(("crop", *map(str, first["loc"])))
        raise DataError(
            f"{key} is {first['input']!r}: {first['msg']}",
            valid="crop = { padding = 1.25, aspect = 0.75 }",
        ) from None


class Pose(Task):
    """The task `pose`."""

    name = "pose"
    metrics = METRICS
    Data = PoseData
    class_score = "average precision"
    corruptions = STILL
    Input = Input
    Output = Output
    requires = (
        registry.from_extra("faster_coco_eval", "detection"),
        registry.from_extra("PIL", "detection"),
    )

    def read(self, declared: Mapping[str, Any], folder: Path, root: Path) -> PoseData:
        """`{ images = "folder", annotations = "person_keypoints.json" }`: COCO's instances with
        keypoints; or with `labels` and `classes` YOLO's. Without either the images alone. With
        `crop` an image for each object.
        """
        from pytest_perfgate.tasks.coco.files import read_coco
        from pytest_perfgate.tasks.pose.crops import Crop, one_object_each

        sigmas, crop = declared.get("sigmas", ()), declared.get("crop")
        if not isinstance(sigmas, (list, tuple)):
            raise DataError(f"sigmas is {sigmas!r}", valid="a number for each keypoint")
        cut = None if crop is None else _checked(Crop, crop)
        data = read_coco(
            declared,
            folder,
            root,
            lambda images, coco, annotated: PoseData(images, coco, tuple(sigmas), annotated),
            ("sigmas", "crop"),
            "keypoints",
        )
        if cut is None:
            return data
        if not data.annotated:
            raise DataError(
                "crop cuts pictures around annotated objects, and there are no annotations",
                next_step="name annotations, or cut the pictures beforehand",
            )
        return one_object_each(data, cut)

    @override
    def requires_with(self, input_options: Any) -> tuple[registry.Requirement, ...]:
        """Also the package that resizes pictures."""
        return (*self.requires, *required(input_options))

    def pipeline(self, input_options: Any, output_options: Any) -> PosePipeline:
        """The stages around inference."""
        return PosePipeline(input_options, output_options)

    def evaluate(self, data: PoseData, predictions: Sequence[Poses]) -> Accuracy:
        """COCO's metrics of one prediction per image."""
        from pytest_perfgate.tasks.pose.scores import evaluate

        return evaluate(data, predictions)

    def doubt(
        self,
        data: PoseData,
        predictions: Sequence[Poses],
        accuracy: Accuracy,
        output_options: Any,
    ) -> Doubt | None:
        """See `tasks.pose.doubts.doubt_poses`."""
        from pytest_perfgate.tasks.pose.doubts import doubt_poses

        return doubt_poses(data, predictions, accuracy, output_options.keypoints)

    def alternatives(
        self, input_options: Any, output_options: Any
    ) -> Iterator[tuple[str, Any, Any]]:
        """Other ways to prepare pixels."""
        from pytest_perfgate.tasks.pixels.other_inputs import other_inputs

        for text, pixels in other_inputs(input_options):
            yield text, pixels, output_options

    @override
    def part(self, data: PoseData, rows: Sequence[int]) -> PoseData:
        """Some images and their annotations."""
        return data.part(rows)

    def pack(self, predictions: Sequence[Poses]) -> dict[str, Any]:
        """Predictions as arrays, to be kept."""
        from pytest_perfgate.tasks.pose.agreement import pack

        return pack(predictions)

    def compare(self, ours: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        """`agreement` and `score_shift`: numerator and denominator per image."""
        from pytest_perfgate.tasks.pose.agreement import compare, unpack

        return compare(unpack(ours), unpack(other))

    def worse(
        self, data: PoseData, ours: Mapping[str, Any], other: Mapping[str, Any], most: int
    ) -> list[WorseImage] | None:
        """The images whose keypoints moved most from their objects."""
        from pytest_perfgate.tasks.pose.agreement import unpack
        from pytest_perfgate.tasks.pose.losses import losses, truth

        if not data.annotated:
            return None
        return losses(data).worse_images(
            truth(data), unpack(ours), unpack(other), data.instances.categories, most
        )

    def objects(self, data: PoseData, index: int) -> tuple[str, tuple[SeenBox, ...]]:
        """The file name of an image, and its annotated objects."""
        from pytest_perfgate.tasks.pose.losses import losses, truth

        name = data.instances.files[index]
        if not data.annotated:
            return name, ()
        return name, losses(data).objects(truth(data)[index], data.instances.categories)


class PosePipeline(Pipeline):
    """Pre-process and post-process as declared."""

    def __init__(self, options: Input, wanted: Output) -> None:
        self._pixels = Preprocessing(options, placed=not wanted.postprocess)
        self._reading = Reading(wanted)
        self._own = OwnPredictions(wanted.postprocess, as_poses) if wanted.postprocess else None

    def preprocess(self, images: Sequence[Any]) -> tuple[Inputs, Any]:
        """See `tasks.preprocessing`."""
        return self._pixels.read(images)

    def postprocess(self, outputs: tuple[Any, ...], meta: Any) -> list[Poses]:
        """The network's outputs to one prediction per image, in pixels of the original image."""
        return (self._own or self._reading).read(outputs, meta)
