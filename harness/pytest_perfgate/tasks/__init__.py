"""Tasks: data and metrics of a kind of vision work, in a file of its own each.

Frameworks are imported inside functions only: this package is read by the pytest process too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pytest_perfgate.metric import Metric
from pytest_perfgate.registry import Requirement

if TYPE_CHECKING:
    from pytest_perfgate.artifact import OptionsModel
    from pytest_perfgate.records.accuracy import Accuracy
    from pytest_perfgate.records.image_losses import SeenBox, WorseImage


class Pipeline(Protocol):
    """The two stages around inference, for one suite's declared input and output."""

    def preprocess(self, images: Sequence[Any]) -> tuple[Any, Any]:
        """Decoded images, uint8 (H, W, 3) RGB each, to a network input float32 (N, 3, h, w) and
        what `postprocess` needs to map results back.
        """
        ...

    def postprocess(self, outputs: tuple[Any, ...], meta: Any) -> list[Any]:
        """The network's output arrays to one prediction per image."""
        ...


class Task(Protocol):
    """A kind of vision work.

    Attributes:
        name: as written in a suite file.
        metrics: its metrics of accuracy, by name.
        Input, Output: options of a suite's `[suite.input]` and `[suite.output]`.
        requires: packages that evaluation imports.
    """

    name: str
    metrics: Mapping[str, Metric]
    Input: type[OptionsModel]
    Output: type[OptionsModel]
    requires: tuple[Requirement, ...]

    def load(self, source: Callable[[], Any] | Mapping[str, Any], folder: Path, root: Path) -> Any:
        """A split: what the suite's function returns, or a declared data set (paths relative to
        `folder`, kept inside `root`). It has `images` (a sequence of uint8 (H, W, 3) RGB arrays),
        `digests` (one text per image, equal only for equal pixels) and `digest` (one text for all
        images and what is known of them).

        Raises:
            DataError: it cannot be used; names the file and the value.
        """
        ...

    def pipeline(self, input_options: Any, output_options: Any) -> Pipeline:
        """The stages around inference."""
        ...

    def evaluate(self, data: Any, predictions: Sequence[Any]) -> Accuracy:
        """The metrics of accuracy for one prediction per image of `data`, in its order.

        Raises:
            DataError: an evaluator gave no valid score.
        """
        ...

    def pack(self, predictions: Sequence[Any]) -> dict[str, Any]:
        """Predictions as named numpy arrays, to be kept and compared."""
        ...

    def compare(self, mine: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        """The metrics that are `beside` the reference, of two packed predictions for the same
        images: name to numerator and denominator per image, float (images,) each. Empty for a task
        without such metrics.
        """
        ...


@runtime_checkable
class ShowsImages(Protocol):
    """What a task has besides, when it can say in which images a recipe is worse."""

    def worse(
        self, data: Any, mine: Mapping[str, Any], other: Mapping[str, Any], most: int
    ) -> list[WorseImage]:
        """The images of `data` in which one packed prediction, `mine`, lost most beside `other`,
        its reference's; worst first, at most `most`.
        """
        ...

    def objects(self, data: Any, index: int) -> tuple[str, tuple[SeenBox, ...]]:
        """The file name of an image of `data`, "" for none, and its ground truth."""
        ...
