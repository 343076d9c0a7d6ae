"""The distribution of a number per image, in a bounded size."""

import numpy as np
import pytest
from pytest_perfgate.records.accuracy import Accuracy, Packed, Sketch


def test_few_values_are_kept_and_many_become_quantiles():
    """Up to 128 values stay; of more, shares of images are right within the resolution."""
    few = Sketch.of(np.array([3.0, 1.0, 2.0]))
    assert few.quantiles.array().tolist() == [1, 2, 3]
    assert few.resolution == 0
    values = np.random.default_rng(0).gamma(2.0, size=5000)
    many = Sketch.of(values)
    kept = many.quantiles.array()
    assert (many.count, len(kept)) == (5000, 128)
    assert len(many.model_dump_json()) < 1_000
    for level in np.linspace(0, 8, 50):
        assert abs((kept <= level).mean() - (values <= level).mean()) <= many.resolution


@pytest.mark.parametrize(
    ("count", "values"),
    [(2, [2.0, 1.0]), (3, [1.0, 2.0]), (1, [np.nan]), (500, [1.0] * 127), (1, [[1.0]])],
)
def test_a_damaged_sketch_is_refused(count, values):
    """Quantiles ascend, are finite, and as many as the images ask for."""
    packed = Packed.of(np.array(values, np.float32))
    with pytest.raises(ValueError, match="quantiles"):
        Sketch(count=count, quantiles=packed).check()


def test_a_baseline_keeps_no_sketch_and_a_damaged_one_is_met_at_reading():
    """They follow from the images, which a baseline knows by their digest."""
    packed = Packed.of(np.array([2.0, 1.0], np.float32))
    damaged = Sketch(count=2, quantiles=packed)
    accuracy = Accuracy(
        values={}, images=2, data_digest="d", predictions_digest="p", inputs={"width": damaged}
    )
    assert accuracy.to_keep().inputs == {}
    with pytest.raises(ValueError, match="ascending"):
        accuracy.check()
