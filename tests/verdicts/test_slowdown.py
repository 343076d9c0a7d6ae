"""Why a recipe is slower: what two records tell, in two lines and a table."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.profile import Operator, Profile
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.verdicts.slowdown import alone, beside, family_of, is_of_time


def row(name: str, kind: str, milliseconds: float) -> Operator:
    """An operator that is called once."""
    return Operator(name=name, kind=kind, calls=1, seconds=milliseconds * 1e-3)


def record(
    name: str, *rows: Operator, inference: float = 10.0, problem: str = "", **facts: Any
) -> RecipeRecord:
    """A recipe with a profile and one launch; times in milliseconds."""
    launch = Launch(
        index=0,
        core=0,
        started=0.0,
        load_time=0.1,
        preprocess=(0.001,) * 5,
        inference=(inference * 1e-3,) * 5,
        postprocess=(0.002,) * 5,
    )
    profile = Profile(tool="tool", inferences=5, seconds=0.01, operators=rows, problem=problem)
    return RecipeRecord(
        name=name,
        reference="fp32",
        spec={"runtime": {"name": facts.pop("runtime", "torch"), "options": {}}},
        runtime_facts=facts,
        launches=(launch,),
        profile=profile,
    )


def test_two_lines_say_how_much_and_where() -> None:
    """The stages as they were measured, then the operators, the graph and the surroundings."""
    ours = record(
        "new",
        row("head", "Busy", 5.0),
        row("stem", "Conv2d", 4.1),
        row("more", "Busy", 1.0),
        inference=16.0,
        threads=1,
    )
    other = record("old", row("stem", "Conv2d", 4.0), row("head", "Busy", 0.5), threads=2)
    stages, operators = beside(ours, other, "the code of main").lines()
    assert stages == (
        "beside the code of main: preprocess unchanged, inference +6.00 ms, postprocess unchanged"
    )
    assert operators == (
        "operators: head (Busy) +4.50 ms, more (Busy) +1.00 ms, of +5.60 ms in all; "
        "graph: Busy 1 → 2; differs: threads 2 → 1"
    )


def test_other_names_are_compared_by_what_they_compute() -> None:
    """Two runtimes name their operators differently; convolutions stay convolutions."""
    ours = record("onnx", row("a_nchwc", "Conv", 9.0), row("r", "ReorderInput", 1.0), runtime="ort")
    other = record("fp32", row("stem", "Conv2d", 6.0))
    result = beside(ours, other, "fp32")
    assert result.by == "kind"
    assert [(row.name, round(row.seconds * 1e3, 6)) for row in result.rows] == [
        ("convolution", 3.0),
        ("conversion of type or layout", 1.0),
    ]
    assert result.facts == ("runtime torch → ort",)


def test_operators_that_a_change_renamed_are_no_difference() -> None:
    """An operator that came in gives others new numbers: these stay what they are."""
    other = record("old", row("conv", "Conv", 3.0), row("Relu_1", "Relu", 1.0))
    ours = record(
        "new", row("conv_nchwc", "Conv", 3.0), row("planted", "Conv", 9.0), row("Relu_2", "Relu", 1)
    )
    result = beside(ours, other, "old")
    assert [(row.name, round(row.seconds * 1e3, 6)) for row in result.rows] == [
        ("planted", 6.0),
        ("conv_nchwc", 3.0),
        ("Relu_2", 0.0),
    ]
    assert result.graph == ("Conv 1 → 2",)


def test_what_is_faster_in_all_names_where_its_time_goes() -> None:
    """A recipe that misses a speed-up is not slower: the line says what is left."""
    ours = record("int8", row("stem", "Conv", 3.0), row("q", "QuantizeLinear", 2.0))
    other = record("fp32", row("stem", "Conv", 9.0))
    _, operators = beside(ours, other, "fp32").lines()
    assert operators.startswith(
        "operators: not slower in all (-4.00 ms when profiled); of 5.00 ms most is in "
        "stem (Conv) 3.00 ms, q (QuantizeLinear) 2.00 ms"
    )


def test_time_outside_the_operators_is_said_to_be_there() -> None:
    """Inference is slower and no operator is: the line does not leave that open."""
    same = row("stem", "Conv", 3.0)
    slow, fine = record("new", same, inference=14.0), record("old", same)
    assert "is outside its operators" in beside(slow, fine, "old").lines()[1]
    worse = record("new", row("stem", "Conv", 7.0), inference=14.0)
    assert "outside" not in beside(worse, fine, "old").lines()[1]


def test_what_was_not_profiled_is_said() -> None:
    """A profiler that is missing or failed on one side leaves no table, and never an empty one."""
    fine = record("fp32", row("stem", "Conv", 9.0))
    for other in (record("x", problem="it crashed"), fine.model_copy(update={"profile": None})):
        for result in (beside(fine, other, "x"), beside(other, fine, "x")):
            assert result.rows == ()
            assert "not profiled" in result.lines()[1]


def test_a_recipe_alone_says_where_its_time_goes() -> None:
    """Without anything to lay it beside there is still a profile."""
    stages, operators = alone(record("fp32", row("stem", "Conv", 9.0), row("r", "Relu", 1.0)))
    assert "--perf-base" in stages
    assert operators == "operators: of 10.0 ms most is in stem (Conv) 9.00 ms, r (Relu) 1.00 ms"


def test_only_budgets_that_time_inference_are_explained() -> None:
    """Memory, sizes and the stages around inference have no operators."""
    assert {name for name, metric in PERFORMANCE.items() if is_of_time(metric)} == {
        "device_time_p50",
        "latency_p50",
        "latency_p95",
        "latency_p99",
        "latency_tail",
        "inference_p50",
        "inference_p95",
        "throughput",
    }


def test_families_join_what_runtimes_call_differently() -> None:
    """Of one family, or left as it is."""
    names = ("Conv2d", "QLinearConv", "Convolution", "aten::conv2d")
    assert {family_of(name) for name in names} == {"convolution"}
    assert family_of("MyOwnKernel") == "MyOwnKernel"


OPERATORS = st.lists(
    st.builds(row, st.sampled_from("abc"), st.sampled_from(["Conv", "Relu"]), st.floats(0, 100)),
    max_size=6,
    unique_by=lambda operator: (operator.name, operator.kind),
)


@given(OPERATORS, OPERATORS)
def test_rows_add_up_to_the_difference(mine: list[Operator], other: list[Operator]) -> None:
    """Whatever is compared with whatever: no second is lost or counted twice."""
    result = beside(record("new", *mine), record("old", *other), "old")
    total = sum(operator.seconds for operator in mine) - sum(operator.seconds for operator in other)
    assert abs(result.total - total) < 1e-9
    assert list(result.rows) == sorted(
        result.rows, key=lambda operator: (-operator.seconds, operator.name)
    )
    assert len(result.lines()) == 2
