"""Multi-label classification: any number of labels an image, held to mean average precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.corruptions import NAMES
from pytest_perfgate.metric import Better, Metric, by_name
from pytest_perfgate.records.accuracy import Doubt
from pytest_perfgate.tasks.classification import ClassifyingTask, ScoresOutput
from pytest_perfgate.tasks.multilabel.data import MultilabelData

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy
    from pytest_perfgate.records.image_losses import SeenBox, WorseImage
    from pytest_perfgate.tasks.classification.data import Called

METRICS = by_name(
    Metric.score(
        "map",
        "Mean average precision over labels. A label's average precision is the mean, over the "
        "validation images with the label, of the precision at their score, without "
        "interpolation. Labels that no image has are left out; the report names them.",
    ),
    Metric.score(
        "agreement",
        "Share of labels with a score of at least 0.5 that recipe and reference have in common: "
        "twice their number, divided by those of both. No labels of the data are used.",
        against_reference=True,
    ),
    Metric.score(
        "score_shift",
        "Mean absolute difference between the scores of recipe and reference, over labels with a "
        "score of at least 0.5 in either. It changes when all scores collapse in the same order, "
        "map does not.",
        Better.LOWER,
        against_reference=True,
    ),
)


class Output(ScoresOutput):
    """How the network's first output becomes scores of labels: `[suite.output]`."""

    activation: Literal["softmax", "sigmoid", "none"] = Field(
        "sigmoid", description=str(ScoresOutput.model_fields["activation"].description)
    )


class Multilabel(ClassifyingTask):
    """The task `multilabel`."""

    name = "multilabel"
    metrics = METRICS
    Data = MultilabelData
    class_score = "average precision"
    corruptions = NAMES
    Output = Output
    requires = (registry.from_extra("PIL", "classification"),)

    @override
    def read(self, declared: Mapping[str, Any], folder: Path, root: Path) -> MultilabelData:
        """`{ images = "folder", labels = "labels.csv" }`; see `multilabel_data.read_labels`."""
        from pytest_perfgate.tasks.multilabel.data import read_labels

        return read_labels(declared, folder, root)

    def evaluate(self, data: MultilabelData, predictions: Sequence[Called]) -> Accuracy:
        """The metrics of one prediction per image."""
        from pytest_perfgate.tasks.multilabel.scores import evaluate

        return evaluate(data, predictions)

    @override
    def doubt(
        self,
        data: MultilabelData,
        predictions: Sequence[Called],
        accuracy: Accuracy,
        output_options: Any,
    ) -> Doubt | None:
        """No better than scores that have nothing to do with the images: these reach the share of
        images that have a label.
        """
        if not data.labelled:
            return None
        shares = [
            sum(int(row[label]) for row in data.labels) / len(data.labels)
            for label in range(len(data.classes))
        ]
        present = [share for share in shares if share]
        guessed = sum(present) / len(present)
        if accuracy.values["map"] > guessed:
            return None
        return Doubt(
            problem=f"map is {accuracy.values['map']:.4f}, and guessing reaches {guessed:.4f}"
        )

    @override
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

    @override
    def compare(self, ours: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        """`agreement` and `score_shift`: numerator and denominator per image."""
        from pytest_perfgate.tasks.multilabel.scores import compare

        return dict(compare(ours["scores"], other["scores"]))

    @override
    def worse(
        self, data: MultilabelData, ours: Mapping[str, Any], other: Mapping[str, Any], most: int
    ) -> list[WorseImage] | None:
        """The images whose labels lost most of their scores, all of it below 0.5; None without
        labels.
        """
        import numpy as np

        from pytest_perfgate.tasks.classification.losses import worse_images
        from pytest_perfgate.tasks.multilabel.scores import CONFIDENT

        if not data.labelled:
            return None
        after, before = ((side["scores"], side["scores"] >= CONFIDENT) for side in (ours, other))
        true = np.array(data.labels).astype(bool)
        return worse_images(data.images, true, after, before, data.classes, most)

    @override
    def objects(self, data: MultilabelData, index: int) -> tuple[str, tuple[SeenBox, ...]]:
        """The file name of an image, and its labels."""
        import numpy as np

        from pytest_perfgate.tasks.classification.losses import true_classes

        true = np.array(data.labels[index]).astype(bool)
        return true_classes(data.images, index, true, data.classes)
