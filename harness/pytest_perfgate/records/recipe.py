"""What was asked for: suites, recipes, steps, runtimes and budgets, as frozen data.

Reading them from `recipes.toml` is `pytest_perfgate.suite.reading`'s work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pytest_perfgate.metric import ALL_SETS, WORST_SET, Over, Scope
from pytest_perfgate.records.built_links import BuiltLinks
from pytest_perfgate.records.code_tree import CodeTree
from pytest_perfgate.records.location import Fetched, Locked
from pytest_perfgate.state import Feedback

ROTATE, FLUSH = "rotate", "flush_l2"
"""What lies between two samples: the next image, or that and a flush of the device's L2 cache."""

ALTERNATE, BLOCKED = "alternate", "blocked"
"""How arms that are compared take turns: at every inference, or at every visit of several."""

OUTPUT_TOLERANCE = 0.02
"""How far a timed output may be from the evaluated one, as a share of its channel's largest value.
Threads and processors sum in other orders, and a code of an 8-bit layer may then be its neighbour.
"""


WORKING_TREE, FORBID = "working-tree", "forbid"
"""Where the base's model and data come from when git does not hold them, or that it is an error."""

WARN, REFUSE = "warn", "error"
"""What near-duplicates of validation images in another split are."""


VALIDATION = "validation"
"""The split that recipes are judged on, and its name beside those of sets."""

_SETS = "sets."


def split_of(name: str) -> str:
    """The key in `Suite.data` of a set by its name, of the validation images for ""."""
    return f"{_SETS}{name}" if name else VALIDATION


def sets_of(data: Iterable[str]) -> tuple[str, ...]:
    """Names of the sets whose keys are among those of `Suite.data`."""
    return tuple(key.removeprefix(_SETS) for key in data if key.startswith(_SETS))


class LimitKind(StrEnum):
    """What a limit compares the measured value with."""

    MAX = "max"  # absolute, upper
    MIN = "min"  # absolute, lower
    DROP = "drop"  # against the reference: a score may be lower by this much
    SPEEDUP = "speedup"  # against the reference: at least this many times faster
    GROWTH = "growth"  # against the reference: at most this much more (negative: less)
    REGRESSION = "regression"  # against the baseline: worse by this much at the most
    CLASS_MAX = "per_class.max"  # of the error of each class: absolute, upper
    CLASS_MIN = "per_class.min"  # of the score of each class: absolute, lower
    CLASS_DROP = "per_class.drop"  # of the score of each class: against the reference's


@dataclass(frozen=True)
class StepSpec:
    """One link of a chain as the suite file has it: `{ quantize = "static", weights = "int8" }`."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        listed = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}({listed})"


@dataclass(frozen=True)
class ModelSpec:
    """What a chain begins with: `"suites.digits.model:build"`, `"detector.onnx"`, or
    `{ name = "timm:resnet18", num_classes = 10 }`.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        listed = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}({listed})" if listed else self.name


@dataclass(frozen=True)
class RuntimeSpec:
    """What ends a chain: `"onnxruntime"` or `{ name = "onnxruntime", threads = 2 }`."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkloadSpec:
    """What a recipe is measured by: `"images"`, or `{ name = "training", steps = 100 }`."""

    name: str = "images"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Limit:
    """One limit of a budget; `value` is in the metric's base unit or a plain ratio.

    `text` is what the user wrote. `stored` takes its place against a stored baseline, where the
    user asked for another limit there.
    """

    kind: LimitKind
    value: float
    text: str
    stored: Limit | None = None

    def __str__(self) -> str:
        return f"{self.text}, stored {self.stored.text}" if self.stored else self.text


@dataclass(frozen=True)
class Condition:
    """What a machine must have for a budget to apply; empty fields ask for nothing."""

    cpu: str = ""  # a CPU feature ("avx512_vnni")
    gpu: str = ""  # a pattern of the GPU's name ("*A10*")
    cores: int = 0  # at least this many
    memory: float = 0.0  # at least this many bytes


@dataclass(frozen=True)
class Budget:
    """The limits on one metric of one recipe."""

    metric: str
    limits: tuple[Limit, ...]
    when: Condition | None = None


@dataclass(frozen=True)
class Range:
    """What stands in place of an option's value: `{ search = { low = 0.1, high = 0.8 } }`.

    Attributes:
        place: the option in the recipe's own table: "steps[0].pruning_ratio".
        low, high, step, log: of numbers; `step` None: any number between, or any whole one where
            both ends are written as whole numbers.
        choices: values to choose from, in place of numbers.
    """

    place: str
    low: int | float = 0
    high: int | float = 0
    step: int | float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class SearchSpec:
    """How the values of a recipe are looked for, and the ranges that they come from.

    `metric` is what becomes as good as it can; `seconds` the time after which no trial begins, None
    for as long as it takes.
    """

    ranges: tuple[Range, ...]
    trials: int
    metric: str = "latency_p50"
    seconds: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class FoldSpec:
    """Cross-validation of a recipe: `folds = 5`, or `{ count = 5, by = "module:function" }`.

    Attributes:
        count: models, each trained without one of as many parts.
        split: the data that are taken apart, those that the recipe's steps train with.
        by: import path of the function that gives the group of each image, "" for none.
    """

    count: int
    split: str
    by: str = ""


@dataclass(frozen=True)
class PlantedFault:
    """A fault that `pytest-perfgate prove` plants in one recipe of a suite.

    Attributes:
        name: of the fault (`pytest_perfgate.proving.catalogue`).
        recipe: whose session and predictions have it.
        size: in seconds or bytes, as the fault counts; 0 for a fault of one size.
    """

    name: str
    recipe: str
    size: float = 0.0


@dataclass(frozen=True)
class Corruptions:
    """How validation images are corrupted, `[suite.corruptions]`.

    Attributes:
        names: the corruptions, in the order of `pytest_perfgate.corruptions.NAMES`.
        severities: of each, from 1 to 5.
        seed: of all draws.
        images: how many validation images, evenly spaced; 0: all.
    """

    names: tuple[str, ...]
    severities: tuple[int, ...]
    seed: int = 0
    images: int = 0


@dataclass(frozen=True)
class Recipe:
    """One recipe with everything it inherits resolved.

    Attributes:
        parent: the recipe it is derived from, "" for a reference.
        reference: the root of its line; its own name for a reference.
        chain: every step from the model on, the inherited ones first.
        own_steps: how many of `chain`, from its end, the recipe added itself.
        workload: what an arm does in its turn; of one kind in a whole line.
        folds: its cross-validation, None for none.
        search: the ranges that stand in it, None for none; it is built only once values are in
            their places, until then the first value of each stands there.
        output_tolerance: see `OUTPUT_TOLERANCE`.
        runtime_tolerance: the largest difference of the runtime's outputs to ONNX Runtime's,
            relative to an output's largest value; None for the usual one.
        built: the first links of `chain`, from another machine; None for none.
    """

    name: str
    parent: str
    reference: str
    chain: tuple[StepSpec, ...]
    own_steps: int
    runtime: RuntimeSpec
    budgets: tuple[Budget, ...]
    workload: WorkloadSpec = WorkloadSpec()
    search: SearchSpec | None = None
    folds: FoldSpec | None = None
    output_tolerance: float = OUTPUT_TOLERANCE
    runtime_tolerance: float | None = None
    built: BuiltLinks | None = None

    @property
    def is_reference(self) -> bool:
        """Whether this recipe is the root that others are compared with."""
        return not self.parent


@dataclass(frozen=True)
class SliceSpec:
    """How the images of a set are told apart.

    Attributes:
        by: an attribute of images or of their annotations.
        sliced: the set, "" for the validation images.
        edges: where slices of numbers begin; none: quarters of equally many images.
        file: a CSV file with the attribute; "": the data have it.
        least: images below which a slice is not judged.
    """

    by: str
    sliced: str = ""
    edges: tuple[float, ...] = ()
    file: str = ""
    least: int = 30


@dataclass(frozen=True)
class Shift:
    """The sets that a recipe which learns from data is judged on, "" for the validation images."""

    source: str
    target: str


def title_of(suite: str, target: str) -> str:
    """A suite's name on a target, "" for none: no suite's name has the sign between both."""
    return f"{suite}@{target}" if target else suite


@dataclass(frozen=True)
class Suite:
    """A model, its data and its recipes.

    Attributes:
        folder: the folder of `recipes.toml`.
        root: the project's root; import paths and data paths are resolved from `folder` and `root`.
        data: split name ("train", "calibration", "validation", "sets.NAME") to an import path
            ("package.module:function") or to a table of a declared data set.
        trainer: import path of the function that `finetune` and `distil` train with, or "".
        input, output: the task's declared pre- and post-processing options.
        batch: images in a batch for `throughput`.
        threads: threads that an arm may use, unless its runtime says otherwise.
        between_samples: `ROTATE` or `FLUSH`.
        turns: `ALTERNATE` or `BLOCKED`.
        recipes: the readable recipes, in the file's order.
        require: runtimes, steps, workloads, "gpu", CPU features or the suite's name: a strict
            session must measure a budget of the suite for each.
        targets: kinds of machines that it is measured on, each a series of its own; () for the
            machine of the session.
        untracked: `WORKING_TREE` or `FORBID`.
        near_duplicates: `WARN` or `REFUSE`.
        import_path: folders of the working tree that modules are imported from, besides `root`.
        tree: the version of the code that `root` is of, None for the working tree.
        allow_outside: whether paths may leave the project.
        mounts: name to a folder outside of the project.
        locations: URL to what the lock file says of it, of all that the suite names.
        fetched: locations as the suite names them, once their files are in the cache.
        state: outputs of the network that are inputs of the next frame.
        corruptions: how validation images are corrupted; None: not at all.
        slices: how images of sets are told apart, by a name.
        shift: the source and the target of recipes that adapt; None for none.
        planted: the fault of a candidate of `pytest-perfgate prove`; None everywhere else.
        target: the one of `targets` that it is measured on, "" for none, or before that is known.
    """

    name: str
    file: Path
    root: Path
    task: str
    model: ModelSpec
    data: Mapping[str, str | Mapping[str, Any]]
    trainer: str
    input: Mapping[str, Any]
    output: Mapping[str, Any]
    batch: int
    threads: int
    recipes: Mapping[str, Recipe]
    between_samples: str = ROTATE
    turns: str = ALTERNATE
    require: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    untracked: str = WORKING_TREE
    near_duplicates: str = WARN
    import_path: tuple[Path, ...] = ()
    tree: CodeTree | None = None
    allow_outside: bool = False
    mounts: Mapping[str, str] = field(default_factory=dict)
    locations: Mapping[str, Locked] = field(default_factory=dict)
    fetched: Mapping[str, Fetched] = field(default_factory=dict)
    state: tuple[Feedback, ...] = ()
    corruptions: Corruptions | None = None
    slices: Mapping[str, SliceSpec] = field(default_factory=dict)
    shift: Shift | None = None
    planted: PlantedFault | None = None
    target: str = ""

    @property
    def title(self) -> str:
        """What its baselines and its history are kept by, `digits@jetson` on a target."""
        return title_of(self.name, self.target)

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles that it has on all of its targets."""
        return tuple(title_of(self.name, target) for target in self.targets or ("",))

    @property
    def folder(self) -> Path:
        """The folder that holds the suite file."""
        return self.file.parent

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the further validation sets."""
        return sets_of(self.data)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """What scores may be over besides the validation images."""
        return scopes_of(self.sets, self.slices)


def scopes_of(sets: Sequence[str], slices: Mapping[str, SliceSpec]) -> tuple[Scope, ...]:
    """The sets, all and the worst of them where there are any, and the slices."""
    together = (Scope(ALL_SETS, Over.ALL), Scope(WORST_SET, Over.WORST)) if sets else ()
    cut = (Scope(name, Over.SLICES, spec.sliced) for name, spec in slices.items())
    return (*(Scope(name) for name in sets), *together, *cut)
