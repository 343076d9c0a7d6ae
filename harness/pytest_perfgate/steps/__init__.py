"""Steps: one optimization each, in a file of its own, found by entry point.

Frameworks are imported inside functions only: this package is read by the pytest process too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pytest_perfgate.artifact import Artifact, OptionsModel
from pytest_perfgate.errors import BuildError, NoEffect
from pytest_perfgate.registry import Requirement
from pytest_perfgate.steps.training import Checkpoints


@dataclass(frozen=True)
class Applied:
    """The outcome of a step.

    Attributes:
        artifact: what it produced.
        effect: what it changed, in numbers: `{"macs_before": 3.1e8, "macs": 1.2e8}`.
        structure: for a step that changes a torch module's structure, plain JSON data from which
            `Step.restore` repeats the change on a freshly built module, before weights are loaded.
        model: for a step that puts another model in place of the chain's, the import path of the
            function that builds it; what earlier steps did to the structure is over then.
    """

    artifact: Artifact
    effect: Mapping[str, Any]
    structure: Any = None
    model: str = ""


def _no_score(artifact: Artifact, split: str) -> float:
    raise BuildError(f"{artifact.kind} cannot be scored on {split} images here")


def _no_model(path: str) -> Any:
    raise BuildError(f"{path} cannot be built here")


@dataclass(frozen=True)
class BuildContext:
    """What the suite offers to a step, in the worker that builds.

    Attributes:
        folder: an empty folder of this step's own; files of the artifact are written here.
        example: `example(n)` is a float32 network input of batch n, shape (n, 3, H, W).
        inputs: `inputs(split, limit)` yields pre-processed network inputs, one image each, shape
            (1, 3, H, W), from "train", "calibration", or the data that an import path names.
        data: `data(split)` is the task's data object of that split, or of an import path.
        trainer: the suite's training function, or None when the suite names none; `train` in
            `steps.training` calls it.
        seed: for everything random.
        threads: threads that the build may use.
        progress: `progress(done, total, note)` may be called as often as wanted.
        score: `score(artifact, split)` is the task's first metric of an artifact over the images
            of "train" or "calibration"; never of validation images.
        model: `model(import_path)` is a new torch module in eval mode, built by that function.
        checkpoints: where a training is kept while it runs, None when it need not be continued.
        cache: a folder that outlives the build, for what makes the next one faster; None when
            nothing is to be kept.
    """

    folder: Path
    example: Callable[[int], Any]
    inputs: Callable[[str, int], Any]
    data: Callable[[str], Any]
    trainer: Callable[..., Any] | None
    seed: int
    threads: int
    progress: Callable[[int, int, str], None] = field(default=lambda *_: None)
    score: Callable[[Artifact, str], float] = field(default=_no_score)
    model: Callable[[str], Any] = field(default=_no_model)
    checkpoints: Checkpoints | None = None
    cache: Path | None = None


class Step(Protocol):
    """One optimization.

    Attributes:
        name: the key that names it in a suite file: `{ quantize = "static", ... }`.
        argument: the option that the value of that key sets ("method").
        Options: its options, checked before any work starts.
        accepts, produces: kinds of artifact.
        requires: packages it imports; where that depends on the options, these have a property
            of that name, see `registry.requires_of`.
        splits: data splits it needs ("calibration", "train"); where that depends on the options,
            these have a property of that name, see `splits_of`.
        trains: whether it needs the suite's trainer; where that depends on the options, these have
            a property of that name, see `trains_with`.

    A step may have `not_after`: names of steps that it makes no sense after, each with the reason.
    It may have `machine(options)`: what its artifact depends on of the machine that builds it, as
    plain JSON data, see `machine_of`.
    """

    name: str
    argument: str
    Options: type[OptionsModel]
    accepts: frozenset[str]
    produces: str
    requires: tuple[Requirement, ...]
    splits: frozenset[str]
    trains: bool

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """The step's work. May change `artifact.module` in place.

        Raises:
            BuildError: it could not be applied.
        """
        ...

    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """Nothing, when `effect` shows that the step changed what it promises to change.

        Raises:
            NoEffect: it did not.
        """
        ...

    def restore(self, module: Any, structure: Any, options: Any) -> Any:
        """The structural change of `Applied.structure`, repeated on a freshly built module."""
        ...


def splits_of(step: Step, options: Any) -> frozenset[str]:
    """The data splits that a step needs with these options."""
    found: frozenset[str] = getattr(options, "splits", step.splits)
    return found


def trains_with(step: Step, options: Any) -> bool:
    """Whether a step needs the suite's trainer with these options."""
    found: bool = getattr(options, "trains", step.trains)
    return found


def machine_of(step: Step, options: Any) -> Any:
    """What a step's artifact depends on of this machine: part of its key in the cache, so that
    another machine, driver or version builds its own. None for what runs anywhere.
    """
    ask = getattr(step, "machine", None)
    return None if ask is None else ask(options)


def expect(holds: bool, step: str, what: str) -> None:
    """Nothing, when `holds`; the one way a `prove` fails.

    Raises:
        NoEffect: with the step's name and what was expected.
    """
    if not holds:
        raise NoEffect(f"step {step!r} had no effect: {what}")
