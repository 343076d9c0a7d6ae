"""Average precision and its bootstrap: their laws, their care for small samples, their speed."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.stats import image_bootstrap
from pytest_perfgate.stats.average_precision import Ranked, Table, mean_average_precision
from pytest_perfgate.stats.image_bootstrap import Estimate, Resampled, bootstrap, paired_bootstrap

BITS = tuple(range(10))


def average_precision(table: Table, weights: Any = None) -> Any:
    """Average precision (categories, thresholds), every image counted once or `weights` times."""
    once = np.ones(len(table.truth), dtype=np.int64) if weights is None else weights
    return Ranked(table, BITS).score(once[:, None])[:, :, 0]


def random_table(
    seed: int, images: int = 40, categories: int = 3, detections: int = 200, ties: bool = False
) -> Table:
    """Detections with hits at a prefix of ten thresholds, in no order."""
    random = np.random.default_rng(seed)
    image = random.integers(0, images, detections)
    category = random.integers(0, categories, detections)
    score = random.random(detections)
    hits = (1 << random.integers(0, 11, detections)) - 1
    hits[random.random(detections) < 0.2] = 0
    truth = (random.random((images, categories)) < 0.1).astype(np.int32)
    np.add.at(truth, (image, category), hits > 0)
    return Table(
        image=image.astype(np.int32),
        category=category.astype(np.int16),
        score=np.round(score, 1 if ties else 9).astype(np.float32 if ties else np.float64),
        hits=hits.astype(np.uint16),
        truth=truth,
        thresholds=10,
    )


def rescored(table: Table, seed: int, by: float = 0.2) -> Table:
    """The same hits, ranked a little differently."""
    noise = np.random.default_rng(seed).normal(0, by, len(table.score))
    return Table(
        table.image, table.category, table.score + noise, table.hits, table.truth, table.thresholds
    )


@pytest.mark.parametrize(("found", "recalls"), [(29, 30), (35, 35), (100, 101)])
def test_reads_recall_at_the_floats_that_coco_reads(found: int, recalls: int) -> None:
    """35 of 100 objects do not reach the recall 0.35, whose float is above; 29 reach 0.29."""
    zero = np.zeros(found, dtype=int)
    table = Table(zero, zero, np.linspace(1, 0, found), zero + 1, np.array([[100]]), 1)
    assert mean_average_precision(table) == pytest.approx(recalls / 101, abs=1e-12)


@given(seed=st.integers(0, 10_000), draw=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_weight_is_that_many_copies_of_the_image(seed: int, draw: int) -> None:
    """Precision under weights equals precision of a table with every image copied that often."""
    table = random_table(seed, images=12, detections=60)
    weights = np.random.default_rng(draw).integers(0, 4, 12)
    weights[0] = 1 + weights[0]
    copies = np.repeat(np.arange(12), weights)
    rows = [np.flatnonzero(table.image == image) for image in copies]
    at = np.concatenate(rows)
    copied = Table(
        np.repeat(np.arange(len(copies)), [len(row) for row in rows]),
        table.category[at],
        table.score[at],
        table.hits[at],
        table.truth[copies],
        10,
    )
    np.testing.assert_allclose(average_precision(table, weights), average_precision(copied))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_and_the_scale_of_scores_do_not_matter(seed: int) -> None:
    """Shuffled rows and scores on another increasing scale give the same precision."""
    table = random_table(seed)
    order = np.random.default_rng(seed).permutation(len(table.score))
    other = Table(
        table.image[order],
        table.category[order],
        np.exp(3 * table.score[order]) - 100,
        table.hits[order],
        table.truth,
        10,
    )
    np.testing.assert_allclose(average_precision(table), average_precision(other), atol=1e-12)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_a_false_detection_never_helps_and_a_missed_object_costs(seed: int) -> None:
    """One more false positive cannot raise map; one more object to find lowers it."""
    table = random_table(seed)
    worse = Table(
        np.append(table.image, 0),
        np.append(table.category, 0),
        np.append(table.score, 0.5),
        np.append(table.hits, 0),
        table.truth,
        10,
    )
    assert mean_average_precision(worse) <= mean_average_precision(table) + 1e-12
    more = table.truth.copy()
    more[0] += 3
    missed = Table(table.image, table.category, table.score, table.hits, more, 10)
    assert mean_average_precision(missed) < mean_average_precision(table)


def test_equal_tables_differ_by_exactly_nothing_and_nothing_is_drawn() -> None:
    """The difference of a table and its copy is 0 with bounds 0 and 0 draws, at any alpha."""
    result = paired_bootstrap(random_table(1), random_table(1))
    assert (result.value, result.error, result.draws) == (0.0, 0.0, 0)
    assert result.bounds(1e-6) == (0.0, 0.0)


def test_tables_that_ignore_other_detections_are_not_equal() -> None:
    """A wrong detection that lies on a crowd costs nothing: two tables of the same rows differ."""
    table = random_table(1)
    ignored = np.zeros_like(table.hits)
    assert dataclasses.replace(table, ignored=ignored).equals(table)
    assert table.equals(dataclasses.replace(table, ignored=ignored))
    ignored[0] = 1
    assert not dataclasses.replace(table, ignored=ignored).equals(table)


def test_the_bootstrap_repeats_and_another_seed_moves_it_little() -> None:
    """One seed gives one result; another gives a standard error within a tenth."""
    table = random_table(2)
    first, again, other = bootstrap(table), bootstrap(table), bootstrap(table, seed=1)
    assert first == again
    assert first.draws == 2000
    assert first.error != other.error
    assert first.error == pytest.approx(other.error, rel=0.1)


@pytest.mark.parametrize("metric", ["map", "map50", "map75"])
def test_swapping_the_sides_mirrors_the_difference(metric: str) -> None:
    """The two orders have opposite bounds, and the value is that of the two single metrics."""
    one = random_table(3)
    other = Table(one.image, one.category, one.score[::-1], one.hits, one.truth, 10)
    there = paired_bootstrap(one, other, metric, draws=200)
    back = paired_bootstrap(other, one, metric, draws=200)
    assert there.value == pytest.approx(
        mean_average_precision(one, metric) - mean_average_precision(other, metric)
    )
    assert back.value == pytest.approx(-there.value)
    low, high = there.bounds(0.01)
    assert back.bounds(0.01) == pytest.approx((-high, -low))


def test_bounds_widen_as_alpha_falls_and_pairing_narrows_them() -> None:
    """A smaller alpha never gives a narrower interval; what both sides share cancels."""
    one = random_table(4, images=100, detections=600)
    other = rescored(one, 4)
    result = paired_bootstrap(one, other, draws=300)
    widths = [high - low for low, high in map(result.bounds, (0.2, 0.05, 0.01, 1e-4, 1e-7))]
    assert widths == sorted(widths)
    assert widths[0] > 0
    assert result.error < 0.7 * math.hypot(
        bootstrap(one, draws=300).error, bootstrap(other, draws=300).error
    )


def perfect(images: int, score: float = 0.9) -> Table:
    """One object in each image, found at all thresholds."""
    zero = np.zeros(images, dtype=np.int32)
    return Table(
        np.arange(images), zero, np.full(images, score), zero + 1023, zero[:, None] + 1, 10
    )


def test_few_perfect_images_do_not_prove_perfection() -> None:
    """Five images without a fault leave room below 1; five hundred leave little."""
    assert bootstrap(perfect(5)).value == 1.0
    assert bootstrap(perfect(500)).freedom < 3  # the one image that was added carries it all
    assert bootstrap(perfect(5)).bounds(0.05)[0] < 0.5
    assert bootstrap(perfect(500)).bounds(0.05)[0] > 0.99


def test_few_images_do_not_prove_that_two_recipes_agree() -> None:
    """Tables that differ, with equal scores on eight images, are not equal within 0.006."""
    result = paired_bootstrap(perfect(8, 0.9), perfect(8, 0.8))
    assert result.value == 0.0
    assert result.bounds(0.1)[0] < -0.006
    assert (
        paired_bootstrap(perfect(2000, 0.9), perfect(2000, 0.8), draws=50).bounds(0.1)[0] > -0.006
    )


def test_a_result_that_rests_on_three_images_has_few_degrees_of_freedom() -> None:
    """A difference made by 3 of 300 images has few degrees of freedom, by all of them has many."""
    one = perfect(300)
    hits = one.hits.copy()
    hits[:3] = 0
    few = paired_bootstrap(one, Table(one.image, one.category, one.score, hits, one.truth, 10))
    assert few.freedom < 12
    assert bootstrap(random_table(5, images=300, detections=1500)).freedom > 60


def test_one_image_says_nothing_about_images() -> None:
    """With a single image the bounds are infinite."""
    low, high = bootstrap(perfect(1)).bounds(0.05)
    assert (low, high) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"score": np.array([math.nan, 0.1])}, "finite"),
        ({"score": np.array([0.1])}, "one length"),
        ({"image": np.array([0, 2])}, "image must be in"),
        ({"category": np.array([0, -1])}, "category must be in"),
        ({"hits": np.array([0, 1024])}, "hits must be in"),
        ({"truth": np.zeros((0, 3), dtype=int)}, "there must be some"),
        ({"truth": np.array([[-1], [2]])}, "fewer than no objects"),
        ({"image": np.array([0, 0]), "hits": np.array([1, 1])}, "more hits than objects"),
        ({"thresholds": 0}, "thresholds"),
    ],
)
def test_a_table_that_cannot_be_is_refused(changed: dict[str, Any], message: str) -> None:
    """Non-finite scores, lengths that differ and indices out of range raise ValueError."""
    good: dict[str, Any] = {
        "image": np.array([0, 1]),
        "category": np.array([0, 0]),
        "score": np.array([0.5, 0.6]),
        "hits": np.array([1, 0]),
        "truth": np.ones((2, 1), dtype=int),
        "thresholds": 10,
    }
    Table(**good)
    with pytest.raises(ValueError, match=message):
        Table(**{**good, **changed})


def test_what_cannot_be_scored_is_refused() -> None:
    """No objects, an unknown metric, other images or alpha raise ValueError."""
    table = random_table(6)
    nothing = Table(table.image, table.category, table.score, table.hits * 0, table.truth * 0, 10)
    for ask in (mean_average_precision, bootstrap):
        with pytest.raises(ValueError, match="no object"):
            ask(nothing)
        with pytest.raises(ValueError, match="map50"):
            ask(table, "mAP")
        with pytest.raises(ValueError, match="thresholds"):
            ask(table, (10,))
    with pytest.raises(ValueError, match="no object"):
        paired_bootstrap(nothing, nothing)
    with pytest.raises(ValueError, match="same images"):
        paired_bootstrap(table, nothing)
    with pytest.raises(ValueError, match="two draws"):
        bootstrap(table, draws=1)
    with pytest.raises(ValueError, match="alpha"):
        Estimate(0.5, 0.1).bounds(0.0)


def test_without_detections_precision_is_zero() -> None:
    """A model that finds nothing scores 0, not an error and not NaN."""
    nothing = np.zeros(0, dtype=np.int32)
    table = Table(nothing, nothing, nothing, nothing, np.ones((20, 2), dtype=int), 10)
    assert mean_average_precision(table) == 0.0
    assert bootstrap(table, draws=50).value == 0.0


def test_two_thousand_draws_of_five_hundred_images_take_seconds() -> None:
    """500 images, 10 categories, 4000 detections, 2000 draws: under 3 s of one core."""
    table = random_table(7, images=500, categories=10, detections=4000)
    began = time.process_time()
    result = bootstrap(table)
    taken = time.process_time() - began
    assert result.draws == 2000
    assert taken < 3.0


def test_a_table_in_many_comparisons_is_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its draws serve every metric and every other table, by threads or without, and give the
    numbers of a comparison of its own. Tables of other seeds are no pair.
    """
    monkeypatch.setattr(image_bootstrap, "_WORTH_A_THREAD", 1)
    table = random_table(8, images=30)
    tables = [table, rescored(table, 1)]
    sides = [Resampled(table, threads=2) for table in tables]
    asked: list[int] = []
    score = Ranked.score
    monkeypatch.setattr(
        Ranked, "score", lambda ranked, weights: (asked.append(1), score(ranked, weights))[1]
    )
    for metric in ("map", "map50"):
        alone = paired_bootstrap(*tables, metric, draws=250)
        assert paired_bootstrap(*sides, metric, draws=250) == alone
        asked.clear()
        paired_bootstrap(sides[1], sides[0], metric, draws=150)
        bootstrap(sides[0], metric, draws=50)
        assert len(asked) == 3  # the scores of the images as they are
    with pytest.raises(ValueError, match="seeds"):
        paired_bootstrap(sides[0], Resampled(tables[1], seed=1))
