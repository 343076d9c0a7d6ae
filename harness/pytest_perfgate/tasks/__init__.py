"""Tasks: data and metrics of a kind of vision work per file, registered by entry point.

Frameworks are imported inside functions only: this package is read by the pytest process too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import NoOptions, OptionsModel
from pytest_perfgate.errors import DataError
from pytest_perfgate.metric import Metric
from pytest_perfgate.registry import Requirement

if TYPE_CHECKING:
    from pytest_perfgate.inputs import Inputs, Tensor
    from pytest_perfgate.records.accuracy import Accuracy, Doubt
    from pytest_perfgate.records.image_losses import SeenBox, WorseImage


class Pipeline(ABC):
    """The two stages around inference, for one suite's declared input and output. See `Task` for
    an example.
    """

    in_tiles: bool = False
    """Whether an image has several inputs: images then never share an inference."""

    @abstractmethod
    def preprocess(self, images: Sequence[Any]) -> tuple[Inputs, Any]:
        """Decoded images, uint8 (H, W, 3) RGB each, to the network's inputs and the data that
        `postprocess` needs to map results back.

        Raises:
            SeveralSizes: the images' inputs have different sizes.
        """

    @abstractmethod
    def postprocess(self, outputs: tuple[Any, ...], meta: Any) -> list[Any]:
        """The network's output arrays to one prediction per image."""

    def begin(self, sequences: int) -> None:
        """New sequences begin, so many side by side: forget what earlier frames have left. Row i of
        each batch up to the next `begin` is the next frame of sequence i. Default: nothing.
        """
        return

    def carried(self, outputs: tuple[Any, ...], inputs: Inputs) -> Mapping[str, Any]:
        """What the next frame's inputs take from a frame with these inputs and outputs, by the
        names of `Inputs.others`. Default: nothing.

        Raises:
            InputError: outputs and inputs do not fit.
        """
        return {}


class Task(registry.Extension, ABC):
    """A kind of vision work: its data, its two stages around inference, its metrics.

    Example:
        The task `brightness`: the network estimates an image's mean pixel, a number from 0 to 1.

            import hashlib
            from dataclasses import dataclass

            import numpy as np
            from pytest_perfgate.inputs import Inputs, Tensor
            from pytest_perfgate.metric import Better, Metric, by_name
            from pytest_perfgate.records.accuracy import Accuracy, Packed, Ratio
            from pytest_perfgate.tasks import Pipeline, Task


            @dataclass
            class Photographs:
                images: list  # uint8 (H, W, 3) RGB each

                @property
                def digests(self):
                    return [hashlib.sha256(image.tobytes()).hexdigest() for image in self.images]

                @property
                def digest(self):
                    return hashlib.sha256("".join(self.digests).encode()).hexdigest()


            class Brightness(Task):
                name = "brightness"
                Data = Photographs
                metrics = by_name(
                    Metric.score("error", "Mean absolute error of the estimate.", Better.LOWER)
                )

                def pipeline(self, input_options, output_options):
                    return BrightnessPipeline()

                def evaluate(self, data, predictions):
                    truth = np.array([image.mean() / 255 for image in data.images])
                    errors = np.abs(truth - np.array(predictions))
                    ratio = Ratio(
                        numerator=Packed.of(errors), denominator=Packed.of(np.ones(len(errors)))
                    )
                    return Accuracy(
                        values={"error": float(errors.mean())},
                        images=len(errors),
                        data_digest=data.digest,
                        predictions_digest=hashlib.sha256(errors.tobytes()).hexdigest(),
                        ratios={"error": ratio},
                    )

                def pack(self, predictions):
                    return {"estimates": np.array(predictions)}


            class BrightnessPipeline(Pipeline):
                def preprocess(self, images):
                    batch = np.stack(images).astype(np.float32) / 255
                    return Inputs(np.ascontiguousarray(batch.transpose(0, 3, 1, 2))), None

                def postprocess(self, outputs, meta):
                    return [float(row.mean()) for row in outputs[0]]

    Attributes:
        name: as written in a suite file.
        metrics: its metrics of accuracy, by name.
        Data: the type of a split. It has `images` (a sequence of uint8 (H, W, 3) RGB arrays),
            `digests` (one text per image, equal only for equal pixels) and `digest` (one text for
            all images and their annotations).
        in_order: whether images are frames of sequences, to be taken in order. `Data` then has
            `sequences` too, the lengths of the sequences that `images` consists of. Default: no.
        class_score: name of the score of each class in `Accuracy.per_category`, as the page has it.
        decoders: the entry-point group of its decoders, for an `Output` with the key `decode`.
        Input, Output: options of a suite's `[suite.input]` and `[suite.output]`. Default: none.
        requires: packages that evaluation imports. Default: none.
        merges_tiles: whether its pipeline merges predictions of tiles. Default: no.
        corruptions: names of the corruptions that its images may have, of
            `pytest_perfgate.corruptions`; its first metric is then compared under them. Those that
            move objects are none where the truth has places. Default: none.
    """

    group = registry.TASKS
    needed = ("name", "metrics", "Data")

    name: str
    metrics: Mapping[str, Metric]
    Data: type[Any]
    requires: tuple[Requirement, ...] = ()
    in_order: bool = False
    class_score: str = "score"
    merges_tiles: bool = False
    corruptions: tuple[str, ...] = ()
    decoders: str = registry.DECODERS

    Input: type[OptionsModel] = NoOptions
    Output: type[OptionsModel] = NoOptions

    def load(self, source: Callable[[], Any] | Mapping[str, Any], folder: Path, root: Path) -> Any:
        """A split: the result of the suite's function, or a declared data set (see `read`).

        Raises:
            DataError: the function returned something else than `Data`, or the data set is wrong.
        """
        if not callable(source):
            return self._declared(source, folder, root)
        data = source()
        if not isinstance(data, self.Data):
            name = f"{source.__module__}:{source.__qualname__}"
            raise DataError(
                f"{name} returned {type(data).__name__}",
                valid=f"a {self.Data.__module__}.{self.Data.__name__}",
            )
        return data

    def _declared(self, source: Mapping[str, Any], folder: Path, root: Path) -> Any:
        """A declared data set, with its key `alpha`, which all tasks have whose images are files.

        Raises:
            DataError: the data set is wrong, or its images are no files of pictures.
        """
        data = self.read({key: source[key] for key in source if key != "alpha"}, folder, root)
        if "alpha" in source:
            from pytest_perfgate.tasks.alpha import alpha_of
            from pytest_perfgate.tasks.image_files import ImageFiles

            if not isinstance(data.images, ImageFiles):
                raise DataError(
                    f"the task {self.name!r} reads its images itself, and knows no key 'alpha'",
                    next_step="leave alpha out",
                )
            data.images.alpha = alpha_of(source["alpha"])
        return data

    def read(self, declared: Mapping[str, Any], folder: Path, root: Path) -> Any:
        """A data set that a suite file declares: paths are relative to `folder`, and may not leave
        `root`. Default: the task has no such form.

        Raises:
            DataError: the data set is wrong; names the file and the value.
        """
        raise DataError(
            f"the task {self.name!r} reads no declared data set ({', '.join(sorted(declared))})",
            valid='"package.module:function"',
        )

    def requires_with(self, input_options: Any) -> tuple[Requirement, ...]:
        """Packages that its stages and its evaluation import with these options of `[suite.input]`.
        Default: `requires`.
        """
        return self.requires

    def fit_input(self, input_options: Any, taken: Sequence[Tensor]) -> Mapping[str, Any]:
        """Keys of `[suite.input]` that a model's file says and the suite leaves out. Default: those
        of `tasks.network_options`, for a task whose `Input` has them.

        Raises:
            RecipeError: the network takes something else than is declared; names both.
        """
        from pytest_perfgate.tasks.pixels.fitted_inputs import fitted, refuse_others

        own = {"layout", "dtype", "codes", "others"} <= self.Input.model_fields.keys()
        return fitted(input_options, taken) if own else refuse_others(taken)

    def fit_output(self, output_options: Any, data: Callable[[], Any]) -> Any:
        """Options of output with what follows from the validation data, which `data` loads: indices
        in place of names of classes. Default: the options as they are.

        Raises:
            DataError: the two do not fit.
        """
        return output_options

    @abstractmethod
    def pipeline(self, input_options: Any, output_options: Any) -> Pipeline:
        """The stages around inference."""

    @abstractmethod
    def evaluate(self, data: Any, predictions: Sequence[Any]) -> Accuracy:
        """The metrics of accuracy for one prediction per image of `data`, in its order.

        Raises:
            DataError: an evaluator gave no valid score.
        """

    def score_at(
        self, data: Any, predictions: Sequence[Any], output_options: Any
    ) -> Mapping[str, tuple[Any, Any]]:
        """Scores that depend on options of output, such as a threshold: numerator and denominator
        per image, float64 (images,) each; a score is the ratio of their sums. Default: none.
        """
        return {}

    def doubt(
        self, data: Any, predictions: Sequence[Any], accuracy: Accuracy, output_options: Any
    ) -> Doubt | None:
        """Why this accuracy of a reference cannot be that of a working model: nothing is found,
        classes stand in another order. Default: None, it can be.
        """
        return None

    def doubt_outputs(
        self, samples: Sequence[tuple[tuple[Any, ...], Any]], output_options: Any
    ) -> Doubt | None:
        """Why outputs of a reference cannot be read as `output_options` declare, whatever the truth
        is. `samples` are outputs of some images with what `preprocess` gave beside their input.
        Default: None, they can be.
        """
        return None

    def odd_outputs(
        self, samples: Sequence[tuple[tuple[Any, ...], Any]], output_options: Any
    ) -> str:
        """What is odd about outputs of a reference, though no proof that they are read wrongly:
        `alternatives` are tried then. `samples` as in `doubt_outputs`. Default: "", nothing is.
        """
        return ""

    def alternatives(
        self, input_options: Any, output_options: Any
    ) -> Iterator[tuple[str, Any, Any]]:
        """Other options of input and output to try when an accuracy is in doubt, each with the
        line of a suite file that asks for it. Default: none.
        """
        yield from ()

    def part(self, data: Any, rows: Sequence[int]) -> Any | None:
        """The split of some images of `data` alone, in the order of `rows`, on which alternatives
        are scored. Default: None, they are scored on the whole split.
        """
        return None

    def class_names(self, data: Any) -> Sequence[str]:
        """The classes of a split in their order, none where it names none: each set of a suite must
        have those of the validation images. Default: what the data say (`Digested.class_names`).
        """
        from pytest_perfgate.tasks.image_files import Digested

        return data.class_names if isinstance(data, Digested) else ()

    def check_together(self, input_options: Any, output_options: Any) -> None:
        """Check options of input and output against each other. Default: all fit.

        Raises:
            RecipeError: they contradict each other; names what to write.
        """

    @abstractmethod
    def pack(self, predictions: Sequence[Any]) -> dict[str, Any]:
        """Predictions as named numpy arrays, to be kept and compared."""

    def compare(self, ours: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        """The metrics with `against_reference`, for two packed predictions of the same images:
        name to numerator and denominator per image, float64 (images,) each. Default: none.
        """
        return {}

    def worse(
        self, data: Any, ours: Mapping[str, Any], other: Mapping[str, Any], most: int
    ) -> list[WorseImage] | None:
        """The images of `data` for which the packed prediction `ours` lost most against `other`,
        the reference's; worst first, at most `most`. The page shows them. None: nothing is known of
        that, and the page says nothing of it. Default: None.
        """
        return None

    def objects(self, data: Any, index: int) -> tuple[str, tuple[SeenBox, ...]]:
        """For an image of `worse`: its file name ("" for none), and its true objects. Default:
        neither.
        """
        return "", ()
