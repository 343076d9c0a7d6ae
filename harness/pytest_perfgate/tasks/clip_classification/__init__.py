"""Classification of clips: one class a clip, from its frames in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.errors import DataError
from pytest_perfgate.metric import Better, Metric, by_name
from pytest_perfgate.tasks.classification import ClassificationPipeline, ClassifyingTask
from pytest_perfgate.tasks.classification import Output as ClassOutput
from pytest_perfgate.tasks.classification.calibration import calibration_metrics
from pytest_perfgate.tasks.clip_classification.data import ClipData, ClipScores
from pytest_perfgate.tasks.pixels.input_options import Input

if TYPE_CHECKING:
    from pytest_perfgate.records.accuracy import Accuracy
    from pytest_perfgate.records.image_losses import SeenBox, WorseImage

_MACRO = "Mean over the classes in the data, all of equal weight."

METRICS = by_name(
    Metric.score("accuracy", "Share of validation clips whose top class is the true class."),
    Metric.score(
        "top5",
        "Share of validation clips whose true class is among the top five. Not measured with five "
        "classes or fewer.",
        optional=True,
    ),
    Metric.score(
        "precision",
        f"Of the clips predicted as a class, the share that truly belong to it. {_MACRO} A class "
        "without predictions has 0.",
    ),
    Metric.score(
        "recall",
        f"Of the clips that truly belong to a class, the share predicted as that class. {_MACRO}",
    ),
    Metric.score("f1", f"Harmonic mean of a class's precision and recall over clips. {_MACRO}"),
    Metric.score(
        "agreement",
        "Share of validation clips for which recipe and reference predict the same class. No "
        "labels are used.",
        against_reference=True,
    ),
    Metric.score(
        "score_shift",
        "Mean absolute difference between the scores that recipe and reference give to the class "
        "of a clip that the reference predicts. It changes when all scores collapse in the same "
        "order, accuracy does not.",
        Better.LOWER,
        against_reference=True,
    ),
    *calibration_metrics("clip"),
)


class Output(ClassOutput):
    """How outputs of a clip's frames become its scores: `[suite.output]`."""

    clip: Literal["last", "mean"] = Field(
        "last",
        description="scores of a clip: those of its last frame, or the mean over its frames",
    )


class ClipClassification(ClassifyingTask):
    """The task `clip_classification`."""

    name = "clip_classification"
    metrics = METRICS
    Data = ClipData
    in_order = True
    class_score = "F1"
    Output = Output
    requires = (
        registry.from_extra("sklearn", "classification"),
        registry.from_extra("PIL", "classification"),
    )

    @override
    def read(self, declared: Mapping[str, Any], folder: Path, root: Path) -> ClipData:
        """`{ clips = "folder" }`: `CLASS/CLIP/000001.jpg`."""
        from pytest_perfgate.tasks.clip_classification.folder import read_clips

        return read_clips(declared, folder, root)

    @override
    def pipeline(self, input_options: Any, output_options: Any) -> ClipPipeline:
        """The stages around inference."""
        return ClipPipeline(input_options, output_options)

    @override
    def evaluate(self, data: ClipData, predictions: Sequence[ClipScores]) -> Accuracy:
        """The metrics of the last prediction of each clip; the unit of uncertainty is the clip."""
        import numpy as np

        from pytest_perfgate.tasks.classification.scores import score_classes

        if len(predictions) != len(data.images):
            raise DataError(
                f"there are {len(predictions)} predictions for {len(data.images)} frames"
            )
        last = np.cumsum(data.sequences) - 1
        scores = np.stack([np.asarray(predictions[at].scores, np.float64) for at in last])
        accuracy = score_classes(scores, data.labels, data.classes, data.digest, data.notes)
        return accuracy.model_copy(update={"unit": "clip"})

    @override
    def score_at(
        self, data: ClipData, predictions: Sequence[ClipScores], output_options: Any
    ) -> Mapping[str, tuple[Any, Any]]:
        """Coverage and confidence of clips at the declared operating point."""
        if output_options.operating_point is None or not data.classes:
            return {}
        import numpy as np

        from pytest_perfgate.tasks.classification.calibration import ratios_at

        last = np.cumsum(data.sequences) - 1
        scores = np.stack([predictions[at].scores for at in last])
        return ratios_at(scores, data.labels, output_options.operating_point.score)

    @override
    def pack(self, predictions: Sequence[ClipScores]) -> dict[str, Any]:
        """Scores float32 (frames, C), and the number of each frame in its clip, (frames,)."""
        import numpy as np

        return {
            "scores": np.stack([one.scores for one in predictions]).astype(np.float32),
            "frame": np.array([one.frame for one in predictions], np.int64),
        }

    @override
    def compare(self, ours: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        """`agreement` and `score_shift`: numerator and denominator per clip."""
        import numpy as np

        from pytest_perfgate.tasks.classification.scores import compare

        last = np.append(other["frame"][1:] == 0, True)
        return compare(ours["scores"][last], other["scores"][last])

    @override
    def worse(
        self, data: ClipData, ours: Mapping[str, Any], other: Mapping[str, Any], most: int
    ) -> list[WorseImage] | None:
        """The last frames of the clips whose true class lost most of its score, see
        `Classification.worse`.
        """
        import numpy as np

        from pytest_perfgate.tasks.classification.losses import best_only, of_labels, worse_images

        if not data.classes:
            return None
        last = np.cumsum(data.sequences) - 1
        true = of_labels(data.labels, len(data.classes))
        after, before = (best_only(side["scores"][last]) for side in (ours, other))
        return worse_images(
            data.images, true, after, before, data.classes, most, rows=last.tolist()
        )

    @override
    def objects(self, data: ClipData, index: int) -> tuple[str, tuple[SeenBox, ...]]:
        """The file name of a frame, and the class of its clip."""
        from pytest_perfgate.tasks.classification.losses import of_labels, true_classes

        number, _ = data.sequence_of(index)
        (true,) = of_labels([data.labels[number]], len(data.classes))
        return true_classes(data.images, index, true, data.classes)


class ClipPipeline(ClassificationPipeline):
    """Pre-process and post-process as declared; scores are of the clip up to each frame."""

    def __init__(self, options: Input, wanted: Output) -> None:
        super().__init__(options, wanted)
        self._mean = wanted.clip == "mean"
        self._frame = 0
        self._sums: list[Any] = []

    @override
    def begin(self, sequences: int) -> None:
        """Forgets the frames of earlier clips."""
        self._frame, self._sums = 0, []

    @override
    def postprocess(self, outputs: tuple[Any, ...], meta: Any) -> list[Any]:
        """The network's first output, (N, C), to scores of each clip up to this frame."""
        scores = [one.scores for one in super().postprocess(outputs, meta)]
        frame, self._frame = self._frame, self._frame + 1
        if self._mean:
            pairs = zip(self._sums, scores, strict=True) if frame else ()
            self._sums = [total + one for total, one in pairs] if frame else scores
            scores = [total / (frame + 1) for total in self._sums]
        return [ClipScores(one, frame) for one in scores]
