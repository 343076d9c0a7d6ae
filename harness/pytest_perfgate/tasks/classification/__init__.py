"""Classification: one class an image, held to accuracy, precision, recall and F1."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.corruptions import NAMES
from pytest_perfgate.errors import DataError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.metric import Better, Metric, by_name
from pytest_perfgate.tasks import Pipeline, Task
from pytest_perfgate.tasks.class_names import ClassOptions, with_indices
from pytest_perfgate.tasks.classification.calibration import OperatingPoint, calibration_metrics
from pytest_perfgate.tasks.classification.data import Called, ClassificationData, as_called
from pytest_perfgate.tasks.output_options import OutputOptions
from pytest_perfgate.tasks.pixels.filters import required
from pytest_perfgate.tasks.pixels.input_options import Input
from pytest_perfgate.tasks.pixels.own_functions import OwnPredictions
from pytest_perfgate.tasks.pixels.preprocessing import Preprocessing

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy, Doubt
    from pytest_perfgate.records.image_losses import SeenBox, WorseImage

_MACRO = "Mean over the classes in the data, all of equal weight."

METRICS = by_name(
    Metric.score(
        "accuracy", "Share of validation images whose top class is the true class.", by_image=True
    ),
    Metric.score(
        "top5",
        "Share of validation images whose true class is among the top five. Not measured with five "
        "classes or fewer.",
        optional=True,
        by_image=True,
    ),
    Metric.score(
        "precision",
        f"Of the images predicted as a class, the share that truly belong to it. {_MACRO} A class "
        "without predictions has 0.",
    ),
    Metric.score(
        "recall",
        f"Of the images that truly belong to a class, the share predicted as that class. {_MACRO}",
    ),
    Metric.score("f1", f"Harmonic mean of a class's precision and recall. {_MACRO}"),
    Metric.score(
        "agreement",
        "Share of validation images for which recipe and reference predict the same class. No "
        "labels are used.",
        against_reference=True,
    ),
    Metric.score(
        "score_shift",
        "Mean absolute difference between the scores that recipe and reference give to the class "
        "that the reference predicts. It changes when all scores collapse in the same order, "
        "accuracy does not.",
        Better.LOWER,
        against_reference=True,
    ),
    *calibration_metrics("image"),
)


class ScoresOutput(ClassOptions, OutputOptions):
    """How the network's first output becomes scores of classes or labels."""

    activation: Literal["softmax", "sigmoid", "none"] = Field(
        "softmax",
        description="activation from the network's output (N, C) to scores; none: the "
        "output is scores",
    )


class Output(ScoresOutput):
    """How the network's first output becomes scores: `[suite.output]`."""

    operating_point: OperatingPoint | None = Field(
        None,
        description="`{ score = 0.5 }`: where coverage and confidence are measured. Default: "
        "nowhere",
    )

    @override
    def _replaced(self) -> list[str]:
        """Scores from the project's own function have an operating point, too."""
        return [name for name in super()._replaced() if name != "operating_point"]


class ClassifyingTask(Task):
    """What tasks whose networks give a score for each class have in common."""

    Input = Input

    @override
    def requires_with(self, input_options: Any) -> tuple[registry.Requirement, ...]:
        """Also the package that resizes pictures."""
        return (*self.requires, *required(input_options))

    @override
    def fit_output(self, output_options: Any, data: Callable[[], Any]) -> Any:
        """Names of the network's classes become indices."""
        return with_indices(output_options, lambda: data().classes)

    @override
    def doubt_outputs(
        self, samples: Sequence[tuple[tuple[Any, ...], Any]], output_options: Any
    ) -> Doubt | None:
        """Scores are no input of an activation; None for the project's own function."""
        if output_options.postprocess:
            return None
        from pytest_perfgate.tasks.activations import doubt_applied_twice

        return doubt_applied_twice(samples, output_options.activation)

    @override
    def part(self, data: Any, rows: Sequence[int]) -> Any:
        """Some images and their labels."""
        return data.part(rows)

    @override
    def pipeline(self, input_options: Any, output_options: Any) -> ClassificationPipeline:
        """The stages around inference."""
        return ClassificationPipeline(input_options, output_options)


class Classification(ClassifyingTask):
    """The task `classification`."""

    name = "classification"
    metrics = METRICS
    Data = ClassificationData
    class_score = "F1"
    corruptions = NAMES
    Output = Output
    requires = (
        registry.from_extra("sklearn", "classification"),
        registry.from_extra("PIL", "classification"),
    )

    def read(self, declared: Mapping[str, Any], folder: Path, root: Path) -> ClassificationData:
        """`{ images = "folder" }`: a folder of images per class, in the order of their names; or
        with `labels` the classes that a file has.
        """
        from pytest_perfgate.tasks.classification.folder import read_folder

        return read_folder(declared, folder, root)

    def evaluate(self, data: ClassificationData, predictions: Sequence[Called]) -> Accuracy:
        """The metrics of one prediction per image."""
        from pytest_perfgate.tasks.classification.scores import evaluate

        return evaluate(data, predictions)

    @override
    def score_at(
        self, data: ClassificationData, predictions: Sequence[Called], output_options: Any
    ) -> Mapping[str, tuple[Any, Any]]:
        """Coverage and confidence at the declared operating point."""
        if output_options.operating_point is None or not data.labelled:
            return {}
        import numpy as np

        from pytest_perfgate.tasks.classification.calibration import ratios_at

        scores = np.stack([prediction.scores for prediction in predictions])
        return ratios_at(scores, data.labels, output_options.operating_point.score)

    def doubt(
        self,
        data: ClassificationData,
        predictions: Sequence[Called],
        accuracy: Accuracy,
        output_options: Any,
    ) -> Doubt | None:
        """See `tasks.classification.doubts.doubt_classes`."""
        from pytest_perfgate.tasks.classification.doubts import doubt_classes

        return doubt_classes(data, predictions, accuracy, output_options.classes)

    def alternatives(
        self, input_options: Any, output_options: Any
    ) -> Iterator[tuple[str, Any, Any]]:
        """Other ways to prepare pixels."""
        from pytest_perfgate.tasks.pixels.other_inputs import other_inputs

        for text, pixels in other_inputs(input_options):
            yield text, pixels, output_options

    def pack(self, predictions: Sequence[Called]) -> dict[str, Any]:
        """Predictions as one array, scores float32 (images, C)."""
        import numpy as np

        return {
            "scores": np.stack([prediction.scores for prediction in predictions]).astype(np.float32)
        }

    def compare(self, ours: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        """`agreement` and `score_shift`: numerator and denominator per image."""
        from pytest_perfgate.tasks.classification.scores import compare

        return compare(ours["scores"], other["scores"])

    @override
    def worse(
        self, data: ClassificationData, ours: Mapping[str, Any], other: Mapping[str, Any], most: int
    ) -> list[WorseImage] | None:
        """The images whose true class lost most of its score, all of it where another class is the
        best one now; None without labels.
        """
        from pytest_perfgate.tasks.classification.losses import best_only, of_labels, worse_images

        if not data.labelled:
            return None
        true = of_labels(data.labels, len(data.classes))
        after, before = best_only(ours["scores"]), best_only(other["scores"])
        return worse_images(data.images, true, after, before, data.classes, most)

    @override
    def objects(self, data: ClassificationData, index: int) -> tuple[str, tuple[SeenBox, ...]]:
        """The file name of an image, and its true class."""
        from pytest_perfgate.tasks.classification.losses import of_labels, true_classes

        (true,) = of_labels([data.labels[index]], len(data.classes))
        return true_classes(data.images, index, true, data.classes)


class ClassificationPipeline(Pipeline):
    """Pre-process and post-process as declared."""

    def __init__(self, options: Input, wanted: Output) -> None:
        self._pixels = Preprocessing(options, placed=False)
        self._wanted = wanted
        self._own = OwnPredictions(wanted.postprocess, as_called) if wanted.postprocess else None

    def preprocess(self, images: Sequence[Any]) -> tuple[Inputs, Any]:
        """See `tasks.preprocessing`."""
        return self._pixels.read(images)

    def postprocess(self, outputs: tuple[Any, ...], meta: Any) -> list[Called]:
        """The network's first output, (N, C), to scores."""
        if self._own is not None:
            return self._own.read(outputs, meta)
        import numpy as np
        from scipy.special import expit, softmax

        given = np.asarray(outputs[0], dtype=np.float32)
        if given.ndim != 2 or given.shape[0] != len(meta):
            raise DataError(
                f"the output has shape {given.shape}",
                where="suite.output",
                valid=f"(N, C), and N = {len(meta)}",
            )
        how = self._wanted.activation
        scores = softmax(given, axis=1) if how == "softmax" else given
        scores = expit(given) if how == "sigmoid" else scores
        order = self._wanted.network_classes(given.shape[1])
        if order is not None:
            scores = scores[:, order]
        return [Called(row) for row in scores]
