"""Budgets of a suite file: the limits that are taken, and those that are refused."""

import pytest
from pytest_perfgate.records.recipe import LimitKind

from tests.suite.texts import FP32, ONNX, SUITE, budget, problem, read


def test_the_tolerance_of_timed_outputs_is_inherited_and_has_bounds(tmp_path):
    """A derived recipe has its parent's unless it says otherwise."""
    loose = '[[recipe]]\nname = "loose"\nfrom = "onnx"\noutput_tolerance = 0.5\n'
    found = read(tmp_path, SUITE + FP32 + "output_tolerance = 0.1\n" + ONNX + loose)
    assert found.suite is not None
    tolerances = {name: recipe.output_tolerance for name, recipe in found.suite.recipes.items()}
    assert tolerances == {"fp32": 0.1, "onnx": 0.1, "loose": 0.5}
    found = read(tmp_path, SUITE + FP32 + ONNX + "output_tolerance = -1\n")
    assert found.suite.recipes["fp32"].output_tolerance == 0.02
    assert "output_tolerance" in problem(found, "onnx")


def test_a_tolerance_of_the_runtime_is_inherited(tmp_path):
    """None is the usual one; a declared one holds for the recipes derived from it."""
    child = '[[recipe]]\nname = "child"\nfrom = "onnx"\n'
    found = read(tmp_path, SUITE + FP32 + ONNX + "runtime_tolerance = 0.3\n" + child)
    assert found.suite is not None
    tolerances = {name: recipe.runtime_tolerance for name, recipe in found.suite.recipes.items()}
    assert tolerances == {"fp32": None, "onnx": 0.3, "child": 0.3}
    found = read(tmp_path, SUITE + FP32 + ONNX + "runtime_tolerance = 3\n")
    assert "runtime_tolerance" in problem(found, "onnx")


def test_budgets_are_read_in_base_units_and_not_inherited(tmp_path):
    """A limit is kept in the base unit, and a derived recipe has its own budgets only."""
    found = read(
        tmp_path,
        SUITE + FP32 + '[recipe.budgets]\nlatency_p95 = { max = "60 ms", regression = "5%" }\n'
        'peak_memory = { max = "1 GB", when = { memory = "16 GB", cores = 2, '
        'cpu = "AVX512_VNNI" } }\n' + ONNX,
    )
    assert not found.problems
    latency, memory = found.suite.recipes["fp32"].budgets
    assert [(limit.kind, limit.value) for limit in latency.limits] == [
        (LimitKind.MAX, pytest.approx(0.06)),
        (LimitKind.REGRESSION, pytest.approx(0.05)),
    ]
    assert (memory.when.memory, memory.when.cores) == (16e9, 2)
    assert memory.when.cpu == "avx512_vnni"
    assert found.suite.recipes["onnx"].budgets == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('latnecy_p95 = { max = "1 s" }', "did you mean 'latency_p95'?"),
        ('latency_p95 = { mxa = "1 s" }', "did you mean 'max'?"),
        ('latency_p95 = { min = "1 s" }', "min does not fit latency_p95"),
        ("map = { max = 0.5 }", "max does not fit map"),
        ('latency_p95 = { drop = "1 s" }', "drop does not fit"),
        (
            'build_time = { regression = "5%" }',
            "regression does not fit build_time (this metric is never compared",
        ),
        (
            'load_time_cold = { growth = "5%" }',
            "growth does not fit load_time_cold (this metric is never compared",
        ),
        ("map = { speedup = 2 }", "speedup does not fit"),
        ('throughput = { growth = "5%" }', "growth does not fit"),
        ("latency_p95 = { max = 60 }", "has no unit"),
        ('latency_p95 = { max = "60 MB" }', "not a unit that fits"),
        ('latency_p95 = { max = "-1 s" }', "too small"),
        ("map = { min = nan }", "not a finite number"),
        ("latency_p95 = {}", "the budget has no limit"),
        ("map = { drop = 0.1 }", "is the reference"),
        ("latency_p95 = { speedup = 2 }", "is the reference"),
        ('latency_p95 = { growth = "1%" }', "is the reference"),
        ('latency_p95 = { max = "1 s", when = { memory = "16" } }', "when.memory"),
        ('latency_p95 = { max = "1 s", when = { cpus = 1 } }', "did you mean 'cpu'?"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(tmp_path, line, said):
    """A budget's problem names file, recipe and metric."""
    text = budget(tmp_path, line)
    assert said in text
    assert text.startswith("suites/demo/recipes.toml: recipe 'fp32': budgets.")


@pytest.mark.parametrize("line", ["latency_p95 = { speedup = 0 }", 'peak_memory={growth="-100%"}'])
def test_a_comparison_that_holds_always_or_never_is_refused(tmp_path, line):
    """Speed-up and growth have a floor."""
    assert "too small" in budget(tmp_path, line, ONNX, "onnx")


@pytest.mark.parametrize(
    "line",
    ["latency_p95 = { regression = 5 }", "artifact_size = { growth = 10 }"],
)
def test_a_percent_is_written_as_one(tmp_path, line):
    """`regression = 5` is not taken for 500 percent."""
    budget(tmp_path, line, ONNX, "onnx")


def test_a_speedup_is_not_a_percent(tmp_path):
    """`speedup = "20%"` is not taken for a fifth of the reference's speed."""
    budget(tmp_path, 'latency_p95 = { speedup = "20%" }', ONNX, "onnx")


def test_a_truth_value_is_not_a_quantity(tmp_path):
    """`min = true` is not taken for 1."""
    budget(tmp_path, "map = { min = true }")


def test_a_regression_may_have_two_limits(tmp_path):
    """One beside the base, one against what is stored; both are read, and both are checked."""

    def budget(text):
        return FP32 + f"[recipe.budgets]\nlatency_p50 = {{ regression = {text} }}\n"

    found = read(tmp_path, SUITE + budget('{ base = "5%", stored = "20%" }'))
    (limit,) = found.suite.recipes["fp32"].budgets[0].limits
    assert (limit.value, limit.stored.value) == (0.05, 0.2)
    assert str(limit) == "5%, stored 20%"
    said = problem(read(tmp_path, SUITE + budget('{ base = "5%", stored = 20 }')), "fp32")
    assert "regression.stored" in said
    assert "'20%'" in said or "percentage" in said
    said = problem(read(tmp_path, SUITE + budget('{ base = "5%" }')), "fp32")
    assert "'stored' is missing" in said
    said = problem(
        read(tmp_path, SUITE + budget('{ base = "5%", store = "9%", stored = "9%" }')), "fp32"
    )
    assert "'store' is not a key" in said
    assert "stored" in said
