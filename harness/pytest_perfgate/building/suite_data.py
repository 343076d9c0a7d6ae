"""A suite's data and its pipeline, in a worker: splits loaded once, examples, inputs, leaks."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import IMPORT_PATH
from pytest_perfgate.errors import DataError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.recipe import VALIDATION, Recipe, Suite, split_of
from pytest_perfgate.registry import resolve
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.suite.fence import fence_of
from pytest_perfgate.tasks import Pipeline, Task
from pytest_perfgate.tasks.first_read import SteadyImages
from pytest_perfgate.tasks.image_files import Digested, ImageFiles
from pytest_perfgate.tasks.stateful import StatefulPipeline
from pytest_perfgate.workloads.frame_order import FrameRun, starts_of

DigestProgress = Callable[[int, int, str], None]


class SuiteData:
    """The splits of one suite, each loaded at first use and kept; `progress(done, total, note)` is
    called while images are digested.

    Attributes:
        declared: the pipeline as the suite declares it; steps build with it.
        pipeline: the same, with the fault that the suite has planted in it.
        fold: the split that is in folds, the rows that are trained on and those held out; None
            where the data is whole.
    """

    fold: tuple[str, Sequence[int], Sequence[int]] | None = None

    def __init__(self, suite: Suite, progress: DigestProgress = lambda *_: None) -> None:
        self._suite = suite
        self._progress = progress
        self._splits: dict[str, Any] = {}
        self._fence = fence_of(suite)
        self.task: Task = registry.find(registry.TASKS, suite.task)
        self.input = self.task.Input.model_validate(dict(suite.input))
        registry.require(self.task.requires_with(self.input), f"the task {suite.task!r}")
        declared = self.task.Output.model_validate(dict(suite.output))
        self.output = self.task.fit_output(declared, lambda: self.split(VALIDATION))
        own = self.task.pipeline(self.input, self.output)
        self.declared: Pipeline = StatefulPipeline(own, suite.state) if suite.state else own
        self.pipeline = self.declared
        if suite.planted is not None:  # no other process imports what plants faults
            from pytest_perfgate.proving.stages import plant_in_pipeline

            self.pipeline = plant_in_pipeline(self.declared, suite.planted)

    def split(self, name: str) -> Any:
        """The task's data object of a split, or of what an import path in a step's options names.

        Raises:
            DataError: the suite names no such split, or it cannot be used.
        """
        if name not in self._splits:
            named = IMPORT_PATH.fullmatch(name) is not None
            where = name if named else f"suite.data.{name}"
            source = name if named else self._suite.data.get(name)
            if source is None:
                raise DataError(
                    f"the suite {self._suite.name!r} names no {name!r} data",
                    where=where,
                    valid=", ".join(sorted(self._suite.data)),
                )
            raw = resolve(source, where) if isinstance(source, str) else self._located(source)
            data = _steady(self.task.load(raw, self._suite.folder, self._suite.root), name)
            if not len(data.images):
                raise DataError(
                    "there are no images",
                    where=where,
                    valid="one image or more",
                    next_step="add images, or leave the set out"
                    if name in map(split_of, self._suite.sets)
                    else "",
                )
            if isinstance(data, Digested):
                data.listen(lambda done, total: self._progress(done, total, f"reading {name}"))
            if self._suite.planted is not None:
                from pytest_perfgate.proving.data import plant_in_split

                data = plant_in_split(data, name, self._suite.planted)
            self._splits[name] = data
        return self._splits[name]

    def _located(self, source: Mapping[str, Any]) -> dict[str, Any]:
        """A declared data set with the absolute paths of what lies outside the project."""
        return {
            key: str(self._fence.place(value))
            if isinstance(value, str) and self._fence.is_elsewhere(value)
            else value
            for key, value in source.items()
        }

    def images(self, split: str, indices: Sequence[int]) -> list[Any]:
        """Some decoded images of a split, uint8 (H, W, 3), as arrays of their own in memory."""
        import numpy as np

        data = self.split(split)
        return [np.array(data.images[index]) for index in indices]

    def example(self, count: int) -> Inputs:
        """The network's inputs for `count` validation images of one size, in order; or for as many
        tiles. For one image, where a state is that of one sequence.
        """
        import numpy as np

        if not all(loop.by_sequence for loop in self._suite.state):
            count = 1
        data = self.split(VALIDATION)
        image = np.array(data.images[0])
        rows = [image]
        for index in range(1, min(len(data.images), 16 * count)):
            if len(rows) == count:
                break
            other = np.array(data.images[index])
            if other.shape == image.shape:
                rows.append(other)
        while len(rows) < count:
            rows.append(rows[-1])
        inputs = self.declared.preprocess(rows)[0]
        return inputs.take(range(count)) if self.declared.in_tiles else inputs

    def picture(self) -> Inputs:
        """The network's inputs for the first validation image: for all of its tiles."""
        import numpy as np

        return self.declared.preprocess([np.array(self.split(VALIDATION).images[0])])[0]

    def inputs(
        self, split: str, limit: int, session: InferenceSession | None = None
    ) -> Iterator[Inputs]:
        """Network inputs of the first `limit` images of a split, one by one, batch 1. With a
        `session`, which infers them, states are those that a frame has left to the next; without
        one, those of the first frame. Of tiles one of each image, from another place each time.
        """
        import numpy as np

        data = self.split(split)
        starts = starts_of(self.task, data)
        run = None if session is None else FrameRun(self.declared, session)
        for index in range(min(limit, len(data.images))):
            image = np.array(data.images[index])
            if run is None:
                alone = self.declared.preprocess([image])[0]
                yield alone.take([index % len(alone)]) if self.declared.in_tiles else alone
                continue
            if index in starts:
                run.begin()
            inputs, _ = run.prepare([image])
            yield inputs
            run.infer(inputs)

    def refuse_leak(self, split: str) -> None:
        """Check that no image of `split` is a validation image, or one of a set.

        Raises:
            DataError: names how many are, and the first.
        """
        digests = self.split(split).digests
        for judged in map(split_of, ("", *self._suite.sets)):
            places = {text: index for index, text in enumerate(self.split(judged).digests)}
            shared = [(index, places[text]) for index, text in enumerate(digests) if text in places]
            if shared:
                here, there = shared[0]
                raise DataError(
                    f"{len(shared)} of the {split} images are {judged} images too (the first: "
                    f"{split} image {here} is {judged} image {there}): accuracy would look better "
                    "than it is",
                    where=f"suite.data.{split}",
                    next_step="take these images out of one of the two splits",
                )

    def refuse_other_classes(self) -> None:
        """Check that each set has the classes of the validation images, in their order.

        Raises:
            DataError: names the set and the first class that differs.
        """
        names = self.task.class_names(self.split(VALIDATION))
        for split in map(split_of, self._suite.sets):
            others = self.task.class_names(self.split(split))
            if names and others and tuple(names) != tuple(others):
                longest = itertools.zip_longest(names, others)
                at = next(row for row, (one, other) in enumerate(longest) if one != other)
                ours, theirs = (
                    repr(given[at]) if at < len(given) else "missing" for given in (names, others)
                )
                raise DataError(
                    f"class {at} is {theirs}, and of the validation images it is {ours}",
                    where=f"suite.data.{split}",
                    valid=f"the {len(names)} classes of the validation images, in their order",
                    next_step="write the same categories into both files of annotations, or the "
                    "same folders",
                )


def _steady(data: Any, split: str) -> Any:
    """The data of a split, of which no image may change: neither files, which see to it, nor those
    that the data set's own code reads. Images in memory stay as they are.
    """
    import numpy as np

    images = getattr(data, "__dict__", {}).get("images")
    if images is None or isinstance(images, (ImageFiles, list, tuple)):
        return data
    if type(images) is np.ndarray:  # one that is mapped from a file is of a type of its own
        return data
    steady = copy.copy(data)
    steady.__dict__["images"] = SteadyImages(images, split)  # the data may be frozen
    return steady


def splits_used(recipe: Recipe) -> list[str]:
    """The splits that the steps of a recipe learn from."""
    used: set[str] = set()
    for spec in recipe.chain:
        step = registry.find(registry.STEPS, spec.name)
        used |= step.splits_with(step.Options.model_validate(dict(spec.options)))
    return sorted(used - {VALIDATION})
