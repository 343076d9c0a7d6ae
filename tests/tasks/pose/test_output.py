"""Outputs of pose networks: detections with keypoints, and heat maps with places between cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.errors import DataError
from pytest_perfgate.tasks.pixels.geometry import Placed
from pytest_perfgate.tasks.pose import Pose
from pytest_perfgate.tasks.pose.data import Poses
from pytest_perfgate.tasks.pose.output import Output, Reading
from pytest_perfgate.tasks.pose.peaks import peaks

LETTERBOX = Placed(scale=(0.5, 0.5), original=(200, 300), network=(160, 160), offset=(5, 30))


def read(output: Any, place: Placed = LETTERBOX, **options: Any) -> Poses:
    """One image's poses."""
    (poses,) = Reading(Output(**options)).read((np.asarray(output, np.float32),), (place,))
    return poses


def ultralytics(rows: list[list[float]]) -> Any:
    """Rows of an export, (1, columns, A)."""
    return np.array(rows, np.float32).T[None]


FIRST = [60, 70, 40, 20, 0.9, 50, 65, 0.8, 70, 75, 0.6]
"""Centre, size, score, and two keypoints, in pixels of the input."""


def test_an_export_of_ultralytics_is_mapped_to_the_picture() -> None:
    """Boxes and keypoints; of overlapping boxes the better one stays with its own keypoints."""
    worse = [61, 70, 40, 20, 0.5, 10, 10, 0.1, 11, 11, 0.1]
    poses = read(ultralytics([worse, FIRST]))
    assert poses.scores.tolist() == [pytest.approx(0.9)]
    assert poses.points[0].tolist() == [
        pytest.approx([90, 70, 0.8]),
        pytest.approx([130, 90, 0.6]),
    ]
    assert poses.boxes[0].tolist() == pytest.approx([70, 60, 150, 100])


def test_classes_and_keypoints_are_told_apart_by_their_number() -> None:
    """Two classes stand before the keypoints; keypoints of two numbers have the score 1."""
    poses = read(
        ultralytics([[60, 70, 40, 20, 0.1, 0.9, 50, 65, 70, 75]]), class_count=2, keypoint_numbers=2
    )
    assert poses.categories.tolist() == [1]
    assert poses.points[0, :, 2].tolist() == [1, 1]
    with pytest.raises(DataError, match=r"\(1, 10, 1\), in which 5 columns are left for keypoints"):
        read(ultralytics([[60, 70, 40, 20, 0.1, 0.9, 50, 65, 70, 75]]))


def test_rows_with_suppression_inside_are_taken_as_they_are() -> None:
    """Corners, score, class, then the keypoints; rows without a score are unused."""
    row = [40, 60, 80, 80, 0.9, 0, *FIRST[5:]]
    output = np.array([[row, row, [0] * 12]], np.float32)
    poses = read(output, format="ultralytics_nms")
    assert len(poses.scores) == 2
    assert poses.points[0, 0].tolist() == pytest.approx([90, 70, 0.8])
    swapped = read(output, format="ultralytics_nms", keypoints=(1, 0))
    assert swapped.points[0].tolist() == poses.points[0, ::-1].tolist()
    with pytest.raises(DataError, match="the network has 2 keypoints, and no keypoint 5"):
        read(output, format="ultralytics_nms", keypoints=(5, 0))


def test_logits_are_no_scores() -> None:
    """Of detections, and of heat maps, with the option that reads them."""
    with pytest.raises(DataError, match="the scores go from"):
        read(ultralytics([[60, 70, 40, 20, 9.0, *FIRST[5:]]]))
    with pytest.raises(DataError, match=r'(?s)go up to 14.*activation = "sigmoid"'):
        read(np.full((1, 2, 8, 8), 14.0), format="heatmaps")
    logits = np.full((1, 1, 8, 8), -9.0)
    logits[0, 0, 3, 5] = 14.0
    poses = read(logits, format="heatmaps", activation="sigmoid", refine="none")
    assert poses.scores[0] == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("score", [1.2, -0.5, 75.0])
def test_scores_of_keypoints_are_scores(score: float) -> None:
    """Coordinates that stand in their place, as with another number of classes, are not; nor are
    logits. Rounding is allowed, and what is suppressed does not matter.
    """
    row = [*FIRST[:-1], score]
    with pytest.raises(DataError, match=f"scores of keypoints go from .* to {max(score, 0.8):.3g}"):
        read(ultralytics([row]))
    with pytest.raises(DataError, match="compare class_count"):
        read(np.array([[[40, 60, 80, 80, 0.9, 0, *row[5:]]]]), format="ultralytics_nms")
    assert len(read(ultralytics([[*FIRST[:-1], 1.0005]])).scores) == 1
    assert not len(read(ultralytics([[*row[:4], 0.01, *row[5:]]])).scores)


def gaussian(x: float, y: float, spread: float = 2.0, size: int = 32) -> Any:
    """A heat map (1, size, size) with its peak at x and y in cells."""
    rows, columns = np.indices((size, size))
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * spread**2))[None]


@settings(max_examples=60, deadline=None)
@given(st.floats(8, 24), st.floats(8, 24))
def test_dark_finds_the_peak_between_cells(x: float, y: float) -> None:
    """Of a Gaussian to a fiftieth of a cell; a quarter of a cell is the best that the neighbour's
    side says, and half a cell the error of the highest cell alone.
    """
    for refine, most in (("none", 0.5), ("quarter", 0.25), ("dark", 0.02)):
        places, heights = peaks(gaussian(x, y), refine, 11)  # type: ignore[arg-type]  # three literals
        assert np.abs(places[0] - (x, y)).max() <= most + 1e-6
        assert heights[0] > 0.8


def test_dark_is_the_authors_formula() -> None:
    """Written out from the paper for random maps: blur, logarithm, gradient and Hessian."""
    from scipy.ndimage import convolve

    random = np.random.default_rng(0)
    steps = np.arange(-5, 6)
    kernel = np.exp(-(steps**2) / 8.0)
    kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
    for _ in range(20):
        one = gaussian(*random.uniform(8, 24, 2))[0] + random.uniform(0, 0.1, (32, 32))
        smooth = convolve(one, kernel, mode="constant")
        log = np.log(np.maximum(smooth * one.max() / smooth.max(), 1e-10))
        row, column = np.unravel_index(one.argmax(), one.shape)
        dx = (log[row, column + 1] - log[row, column - 1]) / 2
        dy = (log[row + 1, column] - log[row - 1, column]) / 2
        dxx = (log[row, column + 2] - 2 * log[row, column] + log[row, column - 2]) / 4
        dyy = (log[row + 2, column] - 2 * log[row, column] + log[row - 2, column]) / 4
        dxy = (
            log[row + 1, column + 1]
            - log[row - 1, column + 1]
            - log[row + 1, column - 1]
            + log[row - 1, column - 1]
        ) / 4
        moved = -np.linalg.inv([[dxx, dxy], [dxy, dyy]]) @ [dx, dy]
        places, _ = peaks(one[None], "dark", 11)
        assert places[0] == pytest.approx([column + moved[0], row + moved[1]], abs=1e-8)


def test_a_quarter_goes_to_the_higher_neighbour() -> None:
    """Not at the rim of the map, and not between equal neighbours."""
    one = np.zeros((3, 9, 9))
    one[0, 4, 4], one[0, 4, 5], one[0, 3, 4] = 1.0, 0.5, 0.2
    one[1, 0, 4], one[1, 0, 5] = 1.0, 0.5
    one[2, 4, 4] = 1.0
    places, _ = peaks(one, "quarter", 11)
    assert places.tolist() == [[4.25, 3.75], [4, 0], [4, 4]]


@pytest.mark.parametrize(
    ("grid", "place"),
    [("edges", (20.0, 12.0)), ("centres", (22.0, 14.0)), ("corners", (5 * 127 / 31, 3 * 63 / 15))],
)
def test_a_cell_stands_for_a_pixel_of_the_input(grid: str, place: tuple[float, float]) -> None:
    """By the declared grid, for maps at a quarter of the size."""
    maps = np.zeros((1, 1, 16, 32))
    maps[0, 0, 3, 5] = 0.7
    plain = Placed(scale=(1.0, 1.0), original=(64, 128), network=(64, 128))
    poses = read(maps, plain, format="heatmaps", refine="none", grid=grid)
    assert poses.points[0, 0].tolist() == pytest.approx([*place, 0.7], abs=1e-4)


def test_ones_own_function_returns_points_scores_and_categories() -> None:
    """In any order of scores; something else is refused."""
    from pytest_perfgate.tasks.pose.data import as_poses

    points = np.arange(12.0).reshape(2, 2, 3)
    poses = as_poses((points, np.array([0.1, 0.9]), np.array([0, 1])))
    assert poses.scores.tolist() == pytest.approx([0.9, 0.1])
    assert poses.points[0].tolist() == points[1].tolist()
    with pytest.raises(DataError, match=r"shapes \(2, 2, 3\), \(3,\)"):
        as_poses((points, np.zeros(3), np.zeros(3, int)))


@pytest.mark.parametrize("options", [{"blur": 4}, {"keypoints": (1, 1)}])
def test_options_are_checked(options: dict[str, Any]) -> None:
    """When the suite is read."""
    with pytest.raises(ValueError, match=r"odd number|each once"):
        Pose().Output(**options)
