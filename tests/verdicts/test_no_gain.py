"""A recipe that is pruned, quantized or exported for nothing is told."""

from __future__ import annotations

import pytest
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe_record import Failure, Link, RecipeRecord
from pytest_perfgate.verdicts.no_gain import without_gain


def record(name: str, times: list[float], *steps: str) -> RecipeRecord:
    """A recipe of the line of fp32 with one launch per time."""
    return RecipeRecord(
        name=name,
        reference="fp32",
        lineage=tuple(
            Link(step=step, options={}, effect={}, seconds=0.0, cached=True, key=step)
            for step in ("model", *steps)
        ),
        launches=tuple(
            Launch(
                index=index,
                core=0,
                started=0.0,
                load_time=0.1,
                preprocess=(0.0,) * 3,
                inference=(time, time * 1.01, time * 0.99),
                postprocess=(0.0,) * 3,
            )
            for index, time in enumerate(times)
        ),
    )


FP32 = record("fp32", [0.0100, 0.0101, 0.0099, 0.0100])


@pytest.mark.parametrize(
    ("times", "word"),
    [
        ([0.0100, 0.0101, 0.0099, 0.0100], "no faster"),
        ([0.0120, 0.0121, 0.0119, 0.0120], "slower"),
    ],
)
def test_a_step_without_gain_is_named(times: list[float], word: str) -> None:
    """What was done, and what it came to."""
    change = "+20.0 %" if word == "slower" else "+0.0 %"
    assert without_gain([FP32, record("sparse", times, "sparsify")]) == (
        f"sparse is {word} than fp32 (latency_p50 {change}): sparsify changed the model, "
        "not its speed here",
    )


@pytest.mark.parametrize(("ratio", "lines"), [(0.975, 0), (0.985, 1), (0.999, 1)])
def test_less_than_two_percent_is_no_gain(ratio: float, lines: int) -> None:
    """Launches of one time leave no doubt; two of them are enough."""
    steady = record("fp32", [0.01] * 2)
    assert len(without_gain([steady, record("one", [0.01 * ratio] * 2, "prune")])) == lines


def test_a_recipe_that_is_left_out_ends_no_list() -> None:
    """Those behind it are looked at: one failed, has no reference, steps or launches, or
    is faster.
    """
    out = [
        record("broken", [0.01] * 4, "prune").model_copy(
            update={"failure": Failure(stage="measure", problem="it died")}
        ),
        record("lost", [0.01] * 4, "prune").model_copy(update={"reference": "gone"}),
        record("plain", [0.01] * 4),
        record("once", [0.01], "prune"),
        record("fast", [0.005] * 4, "prune"),
    ]
    last = record("sparse", [0.012] * 4, "sparsify")
    for one in out:
        (line,) = without_gain([FP32, one, last])
        assert line.startswith("sparse is slower")


def test_a_reference_that_failed_is_beside_nothing() -> None:
    """Its launches say nothing of others."""
    failed = FP32.model_copy(update={"failure": Failure(stage="measure", problem="it died")})
    assert not without_gain([failed, record("sparse", [0.012] * 4, "sparsify")])


def test_a_gain_is_no_note() -> None:
    """Half the time: nothing to say. Nor when launches differ so much that it may be faster."""
    assert not without_gain([FP32, record("fast", [0.005] * 4, "prune")])
    assert not without_gain([FP32, record("unsure", [0.006, 0.014, 0.008, 0.012], "prune")])


def test_what_was_not_measured_says_nothing() -> None:
    """A recipe that failed, one launch, a recipe without steps, and the reference itself."""
    failed = record("broken", [0.01] * 4, "prune").model_copy(
        update={"failure": Failure(stage="measure", problem="it died")}
    )
    once = record("once", [0.01], "prune")
    other_runtime = record("other", [0.01] * 4)
    assert not without_gain([FP32, failed, once, other_runtime])
