"""Which name a misspelt one was meant to be."""

from __future__ import annotations

import pytest
from pytest_perfgate.errors import suggestion

METRICS = "batch_latency_p50", "latency_p50", "latency_p95", "latency_p99", "map"


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("latency_p5O", "latency_p50"),  # as many letters in common with latency_p95
        ("latancy_p99", "latency_p99"),
        ("batch_latency", "batch_latency_p50"),
    ],
)
def test_the_closest_name_is_offered(value: str, meant: str) -> None:
    """Of equally close ones that which begins as the misspelt one does."""
    assert suggestion(value, METRICS).endswith(f"; did you mean {meant!r}?")


def test_nothing_is_offered_for_a_name_like_none() -> None:
    """What is valid is listed all the same."""
    assert suggestion("zzz", METRICS) == ", ".join(METRICS)


def test_of_many_names_the_close_ones_are_listed() -> None:
    """A name that is close to none of them gets them all: nobody knows which was meant."""
    many = [*METRICS, *(f"other_{number}" for number in range(90))]
    told = suggestion("latency_p5O", many)
    assert "latency_p95" in told
    assert "other_7" not in told
    assert f"and {len(many) - 4} others" in told
    assert told.endswith("; did you mean 'latency_p50'?")
    assert suggestion("zzz", many) == ", ".join(sorted(many))


def test_of_very_many_names_the_first_are_listed_and_those_that_begin_alike_compared() -> None:
    """Two thousand misspelt names in a file of two thousand are two thousand short messages."""
    many = [f"recipe_{number:04}" for number in range(2_000)]
    assert suggestion("zzz", many).endswith("recipe_0199 and 1,800 others")
    assert suggestion("recipe_10177", many).endswith("others; did you mean 'recipe_1017'?")
