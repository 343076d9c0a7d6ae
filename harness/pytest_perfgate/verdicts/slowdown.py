"""Why one recipe is slower than another: its stages, its operators, its graph, its surroundings.

The stages were measured side by side; the operators were profiled one after the other, and a
profiler costs time of its own. So stages say how much, and operators say where.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest

from pytest_perfgate.metric import PERFORMANCE, Metric, Rule
from pytest_perfgate.records.launch_values import level
from pytest_perfgate.records.profile import Operator, Profile
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.units import Unit, show

STAGES = ("preprocess", "inference", "postprocess")

_ALIKE = 0.5
"""Operators of two runtimes are compared by their names when those that both have take this share
of the time on one side at least."""
_NAMED = 3  # operators in a line
_INSIDE = 0.5  # of what inference is slower by, else the operators do not explain it
_ENOUGH = 0.9  # of a difference, explained

_FAMILIES = {
    "convolution": "conv conv1d conv2d conv3d convolution fusedconv qlinearconv convinteger "
    "mkldnn_convolution _convolution groupconvolution",
    "transposed convolution": "convtranspose convtranspose2d convolutionbackpropdata",
    "matrix product": "gemm matmul linear addmm mm bmm fullyconnected qlinearmatmul matmulinteger "
    "fusedmatmul fusedgemm",
    "activation": "relu relu6 leakyrelu sigmoid silu swish hardswish gelu softmax clamp clip "
    "hardsigmoid prelu tanh quickgelu",
    "normalization": "batchnorm2d batchnormalization layernorm mvn groupnorm",
    "pooling": "maxpool maxpool2d avgpool averagepool globalaveragepool pooling adaptiveavgpool2d "
    "qlinearglobalaveragepool",
    "resize": "upsample resize interpolate upsample_nearest2d upsample_bilinear2d",
    "quantization": "quantizelinear dequantizelinear fakequantize dynamicquantizelinear "
    "quantize_per_tensor dequantize_per_tensor quantize dequantize",
    "conversion of type or layout": "cast convert reorder reorderinput reorderoutput to _to_copy "
    "transpose permute contiguous copy_ clone",
    "element by element": "add sub mul div eltwise subgraph add_ mul_",
}
_FAMILY = {kind: family for family, kinds in _FAMILIES.items() for kind in kinds.split()}


@dataclass(frozen=True)
class Difference:
    """One operator, or all of one kind, on both sides: seconds per inference, None: not there."""

    name: str
    kind: str
    ours: float | None
    other: float | None

    @property
    def seconds(self) -> float:
        """By how much it is slower."""
        return (self.ours or 0.0) - (self.other or 0.0)


@dataclass(frozen=True)
class Slower:
    """A recipe laid beside another.

    Attributes:
        other: what it is laid beside, in words.
        stages: name, seconds of the recipe and of the other (medians, side by side).
        by: "operator" in one runtime and where the names are the same, else "kind".
        rows: the operators, those that are slower by most first.
        total: by how much the operators are slower in all.
        graph: kinds whose number of operators differs, in words.
        facts: what the runtimes say of themselves and differs, in words.
        tools: the profilers, in words.
        problem: why there are no rows, "" when there are.
    """

    other: str
    stages: tuple[tuple[str, float, float], ...]
    by: str
    rows: tuple[Difference, ...]
    total: float
    graph: tuple[str, ...]
    facts: tuple[str, ...]
    tools: str
    problem: str

    def lines(self) -> tuple[str, ...]:
        """Two lines: the stages, and the operators with what else differs."""
        parts = [f"{name} {signed(ours - other)}" for name, ours, other in self.stages]
        first = f"beside {self.other}: {', '.join(parts)}" if parts else f"beside {self.other}"
        if self.problem:
            return first, f"operators: {self.problem}"
        second = self._operators()
        took = {name: ours - other for name, ours, other in self.stages}.get("inference", 0.0)
        if took > 0 and self.total < _INSIDE * took:
            second += "; most of the slowdown of inference is outside its operators"
        if self.graph:
            second += f"; graph: {', '.join(self.graph[:_NAMED])}"
        if self.facts:
            second += f"; differs: {', '.join(self.facts)}"
        return first, second

    def _operators(self) -> str:
        if self.total <= 0:
            slowest = sorted(self.rows, key=lambda row: -(row.ours or 0.0))[:_NAMED]
            spent = sum(row.ours or 0.0 for row in self.rows)
            named = [f"{_named(row)} {show(row.ours, Unit.SECONDS)}" for row in slowest if row.ours]
            return (
                f"operators: not slower in all ({signed(self.total)} when profiled); of "
                f"{show(spent, Unit.SECONDS)} most is in {', '.join(named)}"
            )
        terms, explained = [], 0.0
        for row in self.rows[:_NAMED]:
            if row.seconds <= 0 or explained >= _ENOUGH * self.total:
                break
            terms.append(f"{_named(row)} {signed(row.seconds)}")
            explained += row.seconds
        return f"operators: {', '.join(terms)}, of {signed(self.total)} in all"


def is_of_time(metric: Metric) -> bool:
    """Whether the operators can account for it: inference is a part of what it times."""
    timed = metric.unit in {Unit.SECONDS, Unit.IMAGES_PER_SECOND}
    outside = {"load_time", "preprocess_p50", "postprocess_p50"}
    return timed and metric.rule is Rule.LAUNCHES and metric.name not in outside


def alone(record: RecipeRecord) -> tuple[str, ...]:
    """Two lines on a recipe that there is nothing to lay beside: where its time goes."""
    times = {stage: level(record, PERFORMANCE[f"{stage}_p50"]) for stage in STAGES}
    parts = [f"{stage} {show(took, Unit.SECONDS)}" for stage, took in times.items()]
    first = f"{', '.join(parts)}; nothing to compare with: --perf-base REF measures another version"
    if record.profile is None or record.profile.problem:
        return first, f"operators: {_problem(record.profile)}"
    spent = sum(operator.seconds for operator in record.profile.operators)
    named = [
        f"{operator.name} ({operator.kind}) {show(operator.seconds, Unit.SECONDS)}"
        for operator in record.profile.operators[:_NAMED]
    ]
    return first, f"operators: of {show(spent, Unit.SECONDS)} most is in {', '.join(named)}"


def beside(record: RecipeRecord, other: RecipeRecord, name: str) -> Slower:
    """The recipe laid beside another, which `name` says in words."""
    stages = []
    for stage in STAGES:
        metric = PERFORMANCE[f"{stage}_p50"]
        here, there = level(record, metric), level(other, metric)
        if here is not None and there is not None:
            stages.append((stage, here, there))
    profiles = [side.profile for side in (record, other)]
    problem = next((_problem(profile) for profile in profiles if _problem(profile)), "")
    one = record.profile.operators if record.profile and not problem else ()
    two = other.profile.operators if other.profile and not problem else ()
    by, rows = _rows(one, two, _runtime(record) == _runtime(other))
    return Slower(
        other=name,
        stages=tuple(stages),
        by=by,
        rows=rows,
        total=sum(row.seconds for row in rows),
        graph=_graph(one, two),
        facts=_facts(record, other),
        tools=" and ".join(
            dict.fromkeys(profile.tool for profile in profiles if profile and profile.tool)
        ),
        problem=problem,
    )


def _problem(profile: Profile | None) -> str:
    if profile is None:
        return "not profiled"
    return f"not profiled: {profile.problem}" if profile.problem else ""


def _rows(
    ours: tuple[Operator, ...], other: tuple[Operator, ...], same_runtime: bool
) -> tuple[str, tuple[Difference, ...]]:
    here = {(operator.name, operator.kind): operator.seconds for operator in ours}
    there = {(operator.name, operator.kind): operator.seconds for operator in other}
    both = here.keys() & there.keys()
    alike = same_runtime or any(
        sum(side[key] for key in both) >= _ALIKE * sum(side.values()) for side in (here, there)
    )
    if alike:
        by, rows = "operator", _by_name(here, there)
    else:
        by = "kind"
        here, there = _by_family(ours), _by_family(other)
        rows = [Difference(*key, here.get(key), there.get(key)) for key in {**here, **there}]
    return by, tuple(sorted(rows, key=lambda row: (-row.seconds, row.name)))


def _by_name(
    here: dict[tuple[str, str], float], there: dict[tuple[str, str], float]
) -> list[Difference]:
    """Operators of one name side by side. A change of the graph renames others with it: of those
    that are left, operators of one kind are laid side by side, the slowest first.
    """
    rows = [Difference(*key, here[key], there[key]) for key in here if key in there]
    left = {key: seconds for key, seconds in here.items() if key not in there}
    gone = {key: seconds for key, seconds in there.items() if key not in here}
    for kind in dict.fromkeys(kind for _, kind in (*left, *gone)):
        new, old = (
            sorted((key for key in side if key[1] == kind), key=lambda key: -side[key])
            for side in (left, gone)
        )
        for one, two in zip_longest(new, old):
            name = (one or two or ("", ""))[0]
            ours, other = left[one] if one else None, gone[two] if two else None
            rows.append(Difference(name, kind, ours, other))
    return rows


def _by_family(operators: tuple[Operator, ...]) -> dict[tuple[str, str], float]:
    seconds: dict[tuple[str, str], float] = {}
    for operator in operators:
        family = family_of(operator.kind)
        seconds[family, ""] = seconds.get((family, ""), 0.0) + operator.seconds
    return seconds


def family_of(kind: str) -> str:
    """What operators that are called differently by different runtimes have in common."""
    plain = kind.lower().removeprefix("aten::")
    return _FAMILY.get(plain, kind)


def _graph(ours: tuple[Operator, ...], other: tuple[Operator, ...]) -> tuple[str, ...]:
    """Kinds of operators of which there are more or fewer, the largest change first."""
    here, there = (Counter(operator.kind for operator in side) for side in (ours, other))
    changed = [kind for kind in {**here, **there} if here[kind] != there[kind]]
    changed.sort(key=lambda kind: (-abs(here[kind] - there[kind]), kind))
    return tuple(f"{kind} {there[kind]} → {here[kind]}" for kind in changed)


def _runtime(record: RecipeRecord) -> str:
    return str((record.spec.get("runtime") or {}).get("name", ""))


def _facts(ours: RecipeRecord, other: RecipeRecord) -> tuple[str, ...]:
    """What the runtimes say of themselves and is not the same: versions, threads, precision."""
    here, there = (dict(side.runtime_facts) for side in (ours, other))
    for facts, record in ((here, ours), (there, other)):
        if _runtime(record):
            facts["runtime"] = _runtime(record)
    if here.get("runtime") != there.get("runtime"):
        both = {"runtime", "threads"}  # others are called differently
        here = {key: value for key, value in here.items() if key in both}
    return tuple(
        f"{key} {there[key]} → {value}"
        for key, value in here.items()
        if key in there and there[key] != value
    )


def _named(row: Difference) -> str:
    return f"{row.name} ({row.kind})" if row.kind and row.kind != row.name else row.name


def signed(seconds: float) -> str:
    """A difference in time for people, with its sign."""
    if not seconds:
        return "unchanged"
    text = show(abs(seconds), Unit.SECONDS)
    return f"{'-' if seconds < 0 else '+'}{text}"
