"""The tables of `recipes.toml` as pydantic models, and pydantic's errors in our words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError

from pytest_perfgate import registry
from pytest_perfgate.errors import RecipeError, suggestion
from pytest_perfgate.suite.scope_tables import ShiftTable, SliceTable

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TABLE_TAG = "RegressionTable"
_UNION_TAGS = {"str", "int", "float", "dict[str,any]", "list[any]", _TABLE_TAG}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


Quantity = StrictStr | StrictInt | StrictFloat


class WhenTable(_Strict):
    """What a machine must have for a budget to apply."""

    cpu: str = Field("", description="a CPU feature, such as avx512_vnni")
    gpu: str = Field("", description="a pattern of the GPU's name, such as *A10*, in any case")
    cores: int = Field(0, ge=0, description="at least this many cores")
    memory: str = Field("", description='at least this much memory, such as "16 GB"')


class RegressionTable(_Strict):
    """How much worse a recipe may be, by what it is compared with."""

    base: Quantity = Field(description="compared with --perf-base, in the same launches")
    stored: Quantity = Field(
        description="compared with the stored baseline of an earlier session, so that changes of "
        "the machine count too"
    )


class PerClassTable(_Strict):
    """The limits on the score of each class."""

    max: Quantity | None = Field(
        None, description="upper limit of each class's `ece`, or of what else is better low"
    )
    min: Quantity | None = Field(None, description="lower limit of each class's score")
    drop: Quantity | None = Field(
        None, description="largest loss of each class's score against the reference's"
    )


class BudgetTable(_Strict):
    """The limits on one metric."""

    max: Quantity | None = Field(None, description="absolute upper limit, with its unit")
    min: Quantity | None = Field(None, description="absolute lower limit, with its unit")
    drop: Quantity | None = Field(
        None, description="largest loss of a score against the reference's"
    )
    speedup: Quantity | None = Field(
        None, description="lowest speed as a multiple of the reference's"
    )
    growth: Quantity | None = Field(
        None, description='largest increase over the reference, such as "10%"; negative: a decrease'
    )
    regression: Quantity | RegressionTable | None = Field(
        None,
        description="largest change for the worse against the stored baseline or --perf-base, "
        'such as "5%"; or { base = "5%", stored = "20%" }',
    )
    on: str | None = Field(
        None,
        description="the images of a score: a set, all sets one by one, the worst of them, or the "
        "slices of a name; default: the validation images",
    )
    per_class: PerClassTable | None = Field(
        None,
        description="limits on each class in the data, such as { drop = 0.05 }; the worst class is "
        "named",
    )
    when: WhenTable | None = Field(
        None, description="condition on the machine; elsewhere the budget is SKIPPED"
    )


class StateTable(_Strict):
    """One output of `[suite.state]` that is fed back; its input's name alone may stand for it."""

    model_config = ConfigDict(allow_inf_nan=False)

    input: str = Field(description="the input that takes it at the next frame")
    shape: list[StrictInt | Literal["N"]] | None = Field(
        None,
        min_length=1,
        description='shape of the input; a first "N": a state for each sequence of a batch; '
        "default: the file's",
    )
    value: float = Field(0.0, description="value of each element at the first frame of a sequence")
    dtype: Literal["float32", "float16", "int64", "int32"] | None = Field(
        None, description="type; default: the file's, else float32"
    )

    @field_validator("shape")
    @classmethod
    def _positive(cls, value: list[int | str] | None) -> list[int | str] | None:
        if value and any(isinstance(length, int) and not 1 <= length <= 65_536 for length in value):
            raise PydanticCustomError(
                "shape", "it is no shape", {"expected": "lengths from 1 to 65,536"}
            )
        return value


def _as_table(value: Any) -> Any:
    return {"input": value} if isinstance(value, str) else value


class SearchTable(_Strict):
    """How long to search for the values of a recipe's ranges."""

    trials: int = Field(ge=1, le=1_000_000, description="largest number of trials")
    seconds: str | None = Field(
        None, description='time after which no trial begins, such as "10 min"'
    )
    metric: str | None = Field(
        None,
        description="the time or rate to optimize, or a score of a further validation set, such as "
        "map@tuning; default: the workload's",
    )
    seed: int = Field(0, ge=0, description="seed of the search")


class NumbersTable(_Strict):
    """A range of numbers in place of an option's value."""

    model_config = ConfigDict(allow_inf_nan=False)

    low: StrictInt | StrictFloat = Field(description="lower end, included")
    high: StrictInt | StrictFloat = Field(description="upper end, included")
    step: StrictInt | StrictFloat | None = Field(
        None, gt=0, description="distance between two values"
    )
    log: bool = Field(False, description="sample on a logarithmic scale")


class ChoicesTable(_Strict):
    """Values to choose from in place of an option's value."""

    choices: list[Any] = Field(min_length=2, description="values")


class FoldsTable(_Strict):
    """The cross-validation of a recipe; its count alone may stand for it."""

    count: int = Field(ge=2, le=50, description="models, each trained without one part of the data")
    by: str = Field(
        "", description='"package.module:function" that gives the group of each image of the data'
    )


class RecipeTable(_Strict):
    """One `[[recipe]]`."""

    name: str = Field(description="letters, digits, '.', '_', '-'")
    parent: str = Field("", alias="from", description="the recipe that this one is derived from")
    steps: list[dict[str, Any]] = Field(
        default_factory=list, description="further steps; the first key names the step"
    )
    runtime: str | dict[str, Any] | list[Any] | None = Field(
        None, description="the runtime; default: the parent's; a list makes a recipe of each"
    )
    runtime_tolerance: float | None = Field(
        None,
        ge=0,
        le=2,
        description="largest difference between the runtime's outputs and ONNX Runtime's, relative "
        "to the output; default: the parent's, or 0.001, with 8 or 16 bits 0.1",
    )
    workload: str | dict[str, Any] | None = Field(
        None, description="the workload; missing options are the parent's"
    )
    folds: Annotated[StrictInt, Field(ge=2, le=50)] | FoldsTable | None = Field(
        None,
        description="cross-validation: models by the same steps, each trained without one part of "
        "the training data and tested on it; or a table",
    )
    search: SearchTable | None = Field(
        None, description="limits of the search for values of its ranges"
    )
    output_tolerance: float | None = Field(
        None,
        ge=0,
        le=10,
        description="how far a timed output may be from the evaluated one, as a share of the "
        "largest value of its channel; default: the parent's, else 0.02",
    )
    budgets: dict[str, BudgetTable] = Field(default_factory=dict, description="by metric")


class CorruptionsTable(_Strict):
    """How validation images are corrupted, to hold recipes to `robustness`."""

    names: list[str] | None = Field(
        None, min_length=1, description="the corruptions; default: all that the task takes"
    )
    severities: list[StrictInt] = Field(
        [3], min_length=1, description="severities of each, from 1 to 5"
    )
    images: int = Field(
        0, ge=0, description="how many validation images, evenly spaced; default: all"
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, description="seed of all draws")


class SuiteTable(_Strict):
    """The `[suite]` table."""

    name: str = Field("", description="default: the folder's name")
    task: str = Field(description="the task, such as detection")
    model: str | dict[str, Any] = Field(
        description='"package.module:function", a file that a runtime takes, by path or URL, or '
        '"source:name"; or a table of such a name and its options'
    )
    data: dict[str, str | dict[str, Any]] = Field(
        description="train, calibration, validation; and sets, a table of further validation sets"
    )
    slices: dict[str, SliceTable] = Field(
        default_factory=dict, description="slices of a set, by a name for budgets"
    )
    shift: ShiftTable | None = Field(
        None, description="the source and the target set of recipes that adapt"
    )
    trainer: str = Field("", description='"package.module:function" for the steps that train')
    batch: int = Field(8, ge=1, le=65_536, description="images in a batch for throughput")
    threads: int = Field(1, ge=1, le=4_096, description="threads that a recipe may use")
    between_samples: Literal["rotate", "flush_l2"] = Field(
        "rotate",
        description="between two samples: take the next image, or also flush the device's L2 cache",
    )
    turns: Literal["alternate", "blocked"] = Field(
        "alternate", description="compared arms alternate at every inference, or at every visit"
    )
    require: list[str] = Field(
        default_factory=list,
        description="what must be measured where this suite is a merge gate: runtimes, steps, "
        "workloads, gpu, CPU features, or the suite's own name; --perf-strict fails without. Any "
        "target that measures it is enough",
    )
    targets: list[str] = Field(
        default_factory=list,
        description="the kinds of machines that it is measured on, each named in perfgate.toml; "
        "default: the machine that runs pytest",
    )
    untracked: Literal["working-tree", "forbid"] = Field(
        "working-tree",
        description="model and data that git does not hold, for --perf-base: those of the working "
        "tree, or an error",
    )
    near_duplicates: Literal["warn", "error"] = Field(
        "warn",
        description="re-encoded, resized, brightened or cropped copies of validation images in the "
        "training or calibration data: a warning with their count, or an error",
    )
    allow_outside: bool = Field(
        False, description="paths of the model, its weights and the data may leave the project"
    )
    mounts: dict[str, str] = Field(
        default_factory=dict,
        description='folders outside the project by name, { models = "/mnt/models" }, for paths '
        "such as mount://models/detector.onnx",
    )
    input: dict[str, Any] = Field(default_factory=dict, description="the task's pre-processing")
    state: dict[str, Annotated[StateTable, BeforeValidator(_as_table)]] = Field(
        default_factory=dict,
        description="outputs of a recurrent network that are inputs of the next frame: output name "
        "to input name, or to a table",
    )
    output: dict[str, Any] = Field(default_factory=dict, description="the task's post-processing")
    corruptions: CorruptionsTable | None = Field(
        None, description="corruptions of validation images, for `robustness`; default: none"
    )


Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Place:
    """A suite file, relative to the project's root: each error names it and the key."""

    file: str

    def error(self, problem: str, key: str, *, valid: str = "", next_step: str = "") -> RecipeError:
        """The problem of one key, to be raised."""
        return RecipeError(problem, where=f"{self.file}: {key}", valid=valid, next_step=next_step)

    def find(self, group: str, name: str, key: str) -> Any:
        """What is registered under a name that stands at `key`.

        Raises:
            RecipeError: there is none.
        """
        try:
            return registry.find(group, name)
        except RecipeError as error:
            raise error.at(f"{self.file}: {key}") from None

    def validate(self, model: type[Model], data: Any, key: str) -> Model:
        """What stands at `key`, checked.

        Raises:
            RecipeError: names the first key that is wrong.
        """
        try:
            return model.model_validate(data)
        except RecipeError as error:  # of keys that contradict each other: they name their table
            raise error.at(self.file) from None
        except ValidationError as error:
            raise self._translated(error, model, key) from None

    def _translated(self, error: ValidationError, model: type[BaseModel], key: str) -> RecipeError:
        """Pydantic's first error in this project's words."""
        first = _first(error)
        # pydantic names the member of a union that did not fit; a file has no such key.
        keys = tuple(part for part in first["loc"] if part not in _UNION_TAGS)
        path = "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in keys
        ).lstrip(".")
        place = (
            f"{key}: {path}"
            if path and not key.startswith("suite")
            else f"{key}.{path}".rstrip(".")
        )
        last = str(first["loc"][-1]) if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            known = _keys_at(model, first["loc"][:-1])
            return self.error(f"{last!r} is not a key", place, valid=suggestion(last, known))
        if first["type"] == "missing":
            return self.error(f"{last!r} is missing", place)
        expected = first.get("ctx", {}).get("expected", "")
        words = first["msg"].removeprefix("Value error, ")
        if first["type"] == "value_error" and isinstance(first["input"], Mapping):
            return self.error(words, place)  # of keys that do not fit together, not of the table
        problem = f"{first['input']!r}: {words[:1].lower()}{words[1:]}"
        return self.error(problem, place, valid=str(expected))


def _first(error: ValidationError) -> Any:
    """Its first finding; of a table where a quantity might stand, what is wrong in the table."""
    errors = error.errors()
    loc = errors[0]["loc"]
    if loc and loc[-1] in _UNION_TAGS and isinstance(errors[0]["input"], dict):
        table = (*loc[:-1], _TABLE_TAG)
        return next(
            (candidate for candidate in errors if candidate["loc"][: len(table)] == table),
            errors[0],
        )
    return errors[0]


def _keys_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys that `model` knows at a place inside it."""
    if not path:
        return [info.alias or name for name, info in model.model_fields.items()]
    if model is SuiteTable and path == ("corruptions",):
        return list(CorruptionsTable.model_fields)
    if model is RecipeTable and path[0] == "budgets":
        tables: dict[str, type[BaseModel]] = {
            "when": WhenTable,
            "per_class": PerClassTable,
            _TABLE_TAG: RegressionTable,
        }
        return list(tables.get(str(path[-1]), BudgetTable).model_fields)
    return []
