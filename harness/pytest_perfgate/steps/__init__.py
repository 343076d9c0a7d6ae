"""Steps: one optimization per file, registered by entry point.

Frameworks are imported inside functions only: this package is read by the pytest process too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.artifact import Artifact, NoOptions, OptionsModel
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.registry import Requirement
from pytest_perfgate.steps.training_checkpoints import Checkpoints
from pytest_perfgate.steps.training_peers import Peers


@dataclass(frozen=True)
class Applied:
    """The result of a step.

    Attributes:
        artifact: the artifact that it produced.
        effect: the change in numbers, plain JSON data: `{"macs_before": 3.1e8, "macs": 1.2e8}`.
        structure: for a step that changes a torch module's structure, plain JSON data from which
            `Step.restore` repeats the change on a freshly built module, before weights are loaded.
        model: for a step that replaces the chain's model, the import path of the function that
            builds the new one; structural changes of earlier steps end there.
    """

    artifact: Artifact
    effect: Mapping[str, Any]
    structure: Any = None
    model: str = ""


def _no_score(artifact: Artifact, split: str) -> float:
    raise BuildError(f"{artifact.kind} cannot be scored on {split} images in this context")


def _no_model(path: str) -> Any:
    raise BuildError(f"{path} cannot be built here")


@dataclass(frozen=True)
class BuildContext:
    """Data, functions and folders for a step, in the worker that builds.

    Attributes:
        folder: an empty folder of this step's own; files of the artifact are written here.
        example: `example(n)` are the network's inputs for a batch of n images.
        inputs: `inputs(split, limit)` yields the network's inputs for one image each, from "train",
            "calibration", or the data that an import path names.
        data: `data(split)` is the task's data object of that split, or of an import path.
        trainer: the suite's training function, or None when the suite names none; `train` in
            `steps.training` calls it.
        seed: for everything random.
        threads: threads that the build may use.
        progress: `progress(done, total, note)` shows progress; it may be called at any rate.
        score: `score(artifact, split)` is the task's first metric of an artifact over the images
            of "train" or "calibration", whichever `Step.scores_with` gives; never of validation
            images.
        model: `model(import_path)` is a new torch module in eval mode, built by that function.
        checkpoints: the store of a running training; None for a training that is not resumed.
        peers: the processes that train together, None where one trains alone.
        cache: a folder that outlives the build, for data that speeds up the next one; None when
            nothing is kept.
    """

    folder: Path
    example: Callable[[int], Inputs]
    inputs: Callable[[str, int], Iterator[Inputs]]
    data: Callable[[str], Any]
    trainer: Callable[..., Any] | None
    seed: int
    threads: int
    progress: Callable[[int, int, str], None] = field(default=lambda *_: None)
    score: Callable[[Artifact, str], float] = field(default=_no_score)
    model: Callable[[str], Any] = field(default=_no_model)
    checkpoints: Checkpoints | None = None
    peers: Peers | None = None
    cache: Path | None = None


class Step(registry.Extension, ABC):
    """One optimization: takes an artifact, gives a changed one, and proves the change.

    Example:
        The step `dropless` takes dropout layers out of a torch module.

            from pytest_perfgate.artifact import Artifact, OptionsModel
            from pytest_perfgate.registry import from_extra
            from pytest_perfgate.steps import Applied, Step, expect


            class Dropless(Step):
                name, argument = "dropless", "enabled"
                accepts, produces = frozenset({"torch"}), "torch"
                requires = (from_extra("torch", "torch"),)

                class Options(OptionsModel):
                    enabled: bool = True

                def apply(self, artifact, options, context):
                    layers = list(artifact.module.modules())
                    count = sum("Dropout" in type(layer).__name__ for layer in layers)
                    module = self.restore(artifact.module, None, options)
                    result = Artifact("torch", module=module)
                    return Applied(result, {"removed": count}, structure={})

                def prove(self, effect, options):
                    expect(effect["removed"] > 0, self.name, "the model has no dropout layer")

                def restore(self, module, structure, options):
                    import torch

                    for parent in list(module.modules()):
                        for name, child in parent.named_children():
                            if "Dropout" in type(child).__name__:
                                setattr(parent, name, torch.nn.Identity())
                    return module

    Attributes:
        name: the key in a suite file: `{ quantize = "static", ... }`.
        argument: the option that the value of that key sets ("method").
        accepts: kinds of artifact that it takes (`pytest_perfgate.artifact`).
        produces: the kind of artifact that it gives.
        Options: its options, checked before any work starts. Default: none.
        requires: packages that it imports. Default: none.
        splits: data splits that it reads ("calibration", "train"). Default: none.
        trains: whether it calls the suite's trainer. Default: no.
        not_after: names of earlier steps that rule it out, each with the reason. Default: none.
    """

    group = registry.STEPS
    needed = ("name", "argument", "accepts", "produces")

    name: str
    argument: str
    accepts: frozenset[str]
    produces: str
    requires: tuple[Requirement, ...] = ()
    splits: frozenset[str] = frozenset()
    trains: bool = False
    not_after: Mapping[str, str] = MappingProxyType({})

    Options: type[OptionsModel] = NoOptions

    @abstractmethod
    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """The step's work. It may change `artifact.module` in place.

        Raises:
            BuildError: the step cannot be applied.
        """

    @abstractmethod
    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """Check that `effect` (that of `Applied`) shows the promised change, see `expect`.

        Raises:
            NoEffect: it does not.
        """

    def restore(self, module: Any, structure: Any, options: Any) -> Any:
        """The structural change of `Applied.structure`, repeated on a freshly built module, before
        its weights are loaded. Default: none.
        """
        return module

    def requires_with(self, options: Any) -> tuple[Requirement, ...]:
        """Packages that it imports with these options. Default: `requires`."""
        return self.requires

    def splits_with(self, options: Any) -> frozenset[str]:
        """Data that it reads with these options: splits, or import paths. Default: `splits`."""
        return self.splits

    def scores_with(self, options: Any) -> frozenset[str]:
        """Splits whose images it scores with these options, by `BuildContext.score`; they are among
        those of `splits_with`. What makes a score of outputs is a part of its artifact's key.
        Default: none.
        """
        return frozenset()

    def trains_with(self, options: Any) -> bool:
        """Whether it calls the suite's trainer with these options. Default: `trains`."""
        return self.trains

    def sources_with(self, options: Any) -> tuple[str, ...]:
        """Names of sources that build a part of its artifact with these options: their code is a
        part of the artifact's key, their modules are imported early. Default: none.
        """
        return ()

    def machine(self, options: Any) -> Any:
        """Properties of this machine that the artifact depends on, as plain JSON data. They are a
        part of the artifact's key in the cache: another machine, driver or version builds its own.
        Default: None, the artifact runs anywhere.
        """
        return None

    def is_portable(self, options: Any) -> bool:
        """Whether the artifact runs anywhere, known also where `machine` could not say it because
        what the artifact is for is missing. A target takes a portable one from the session's host.
        Default: whether `machine` is that of this class.
        """
        return type(self).machine is Step.machine


def expect(holds: bool, step: str, what: str) -> None:
    """Check that `holds`: the way in which a `Step.prove` fails.

    Raises:
        NoEffect: with the step's name, and `what` was seen instead of an effect.
    """
    if not holds:
        raise NoEffect(f"step {step!r} had no effect: {what}")
