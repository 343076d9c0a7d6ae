"""Masks as runs: what pycocotools makes of the same pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.tasks.masks.runs import Masks, encoded, lengths_of, text_of

pytest.importorskip("faster_coco_eval", reason="pip install 'pytest-perfgate[detection]'")


@settings(max_examples=150, deadline=None)
@given(
    sides=st.tuples(*[st.integers(1, 40)] * 2),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**16),
)
def test_a_part_of_an_image_is_encoded_as_pycocotools_encodes_all_of_it(
    sides: tuple[int, int], share: float, seed: int
) -> None:
    """Also where runs go from the foot of a column to the head of the next; and back to pixels."""
    mask = pytest.importorskip("pycocotools.mask", reason="pip install 'pytest-perfgate[test]'")
    random = np.random.default_rng(seed)
    rows, columns = (int(random.integers(1, side + 1)) for side in sides)
    top, left = (
        int(random.integers(sides[0] - rows + 1)),
        int(random.integers(sides[1] - columns + 1)),
    )
    part = random.random((rows, columns)) < share
    whole = np.zeros(sides, dtype=np.uint8)
    whole[top : top + rows, left : left + columns] = part
    text = encoded(part, top, left, sides)
    assert text == mask.encode(np.asfortranarray(whole))["counts"]
    masks = Masks(sides, (text,))
    np.testing.assert_array_equal(masks.pixels(0), whole)
    assert masks.areas().tolist() == [whole.sum()]
    lengths = lengths_of(text)
    assert text_of(lengths, sides) == text
    assert lengths.sum() == whole.size


@pytest.mark.parametrize("text", [b"~", b"0P", b"!", b"PPPPPPPPPPPPPP0"])
def test_a_text_that_is_none_is_refused(text: bytes) -> None:
    """The evaluator reads some of them as if they were masks."""
    with pytest.raises(ValueError, match=r"run-length|60 bits"):
        lengths_of(text)


def test_overlaps_are_of_the_mask_itself_for_a_crowd() -> None:
    """A third of the crowd's pixels, and all of the mask's."""
    size = (6, 6)
    crowd = Masks(size, (encoded(np.ones((6, 3), bool), 0, 0, size),))
    ours = Masks(size, (encoded(np.ones((2, 3), bool), 0, 0, size),))
    assert ours.overlaps(crowd).tolist() == [[pytest.approx(1 / 3)]]
    assert ours.overlaps(crowd, np.array([True])).tolist() == [[1.0]]
    assert ours.overlaps(Masks(size)).shape == (1, 0)
