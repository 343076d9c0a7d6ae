"""Near-duplicates of a suite's splits: found once, kept by content, named as files are today."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytest_perfgate.building import near_duplicates
from pytest_perfgate.building.artifact_cache import ArtifactStore
from pytest_perfgate.building.near_duplicates import Likeness
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.errors import DataError
from pytest_perfgate.machine.processes import is_of_the_machine
from pytest_perfgate.records.near_duplicates import NearDuplicates
from pytest_perfgate.records.recipe import Suite, split_of
from pytest_perfgate.suite.reading import read

from tests.stats.test_stats_likeness import scenes

pytest.importorskip("sklearn", reason="python -m pip install 'pytest-perfgate[classification]'")

SUITE = """\
[suite]
task = "classification"
model = "toy:build"
{key}
[suite.data]
train      = {{ images = "train", labels = false }}
validation = {{ images = "validation", labels = false }}
[suite.data.sets]
night      = {{ images = "night", labels = false }}

[[recipe]]
name = "own"
runtime = "torch"
"""


def suite_of(root: Path, key: str = "") -> Suite:
    """A suite of five validation images, of which training has one as a smaller JPEG."""
    (root / "recipes.toml").write_text(SUITE.format(key=key))
    images = {"validation": scenes(5, 1), "train": scenes(9, 2), "night": scenes(4, 3)}
    for split, pictures in images.items():
        (root / split).mkdir(exist_ok=True)
        for row, picture in enumerate(pictures):
            Image.fromarray(picture).save(root / split / f"{row}.png")
    copy = Image.fromarray(images["validation"][3]).resize((60, 60))
    copy.save(root / "train" / "copy.jpg", quality=80)
    Image.fromarray(images["train"][2]).save(root / "night" / "2.jpg", quality=80)
    suite = read(root / "recipes.toml", root).suite
    assert suite is not None
    return suite


def compared(suite: Suite, notes: list[str], against: str = "validation") -> NearDuplicates:
    """The near-duplicates of the training data, as a worker of its own would find them."""
    store, watch = ArtifactStore(suite.root / "cache"), Watch(suite.root)
    data = SuiteData(suite)

    def progress(_: int, __: int, note: str) -> None:
        notes.append(note)

    return Likeness(suite, data, store, watch, progress).compare("train", against)


def test_a_comparison_is_made_once_and_names_files_as_they_are_today(tmp_path: Path) -> None:
    """The second worker makes no thumbnail; a renamed file has its new name."""
    suite, first, second = suite_of(tmp_path), list[str](), list[str]()
    near = compared(suite, first)
    assert (near.images, near.compared, near.others) == (1, 5, 10)
    assert [(pair.image, pair.other) for pair in near.pairs] == [
        ("validation/3.png", "train/copy.jpg")
    ]
    assert "making thumbnails of train images" in first
    (tmp_path / "train" / "copy.jpg").rename(tmp_path / "train" / "copied.jpg")
    again = compared(suite, second)
    assert [pair.other for pair in again.pairs] == ["train/copied.jpg"]
    assert not second
    (tmp_path / "train" / "copied.jpg").unlink()
    assert not compared(suite, second).images
    assert set(second) == {
        "making thumbnails of train images",
        "comparing train with validation images by likeness",
    }


def test_each_set_is_compared_too(tmp_path: Path) -> None:
    """Its images are named as those of the set."""
    near = compared(suite_of(tmp_path), [], split_of("night"))
    assert [(pair.image, pair.other) for pair in near.pairs] == [("night/2.jpg", "train/2.png")]
    assert "1 of 5 sets.night images has a near-duplicate among the train images" in str(near)


def test_near_duplicates_are_refused_where_the_suite_says_so(tmp_path: Path) -> None:
    """The same comparison, and an error with both files; words that the key does not know too."""
    suite = suite_of(tmp_path, 'near_duplicates = "error"')
    assert np.asarray(Image.open(tmp_path / "train" / "copy.jpg")).shape == (60, 60, 3)
    with pytest.raises(DataError, match=r"validation/3\.png and train/copy\.jpg"):
        compared(suite, [])
    (tmp_path / "recipes.toml").write_text(SUITE.format(key='near_duplicates = "ignore"'))
    [problem] = read(tmp_path / "recipes.toml", tmp_path).suite_problems
    assert "near_duplicates" in str(problem)


def test_a_full_disk_is_an_error_of_the_machine() -> None:
    """With its number, by which it is told in words; NumPy's own has none."""
    with pytest.raises(OSError, match="No space left") as caught:
        near_duplicates._save(Path("/dev/full"), np.zeros((64, 64), np.uint8))
    assert is_of_the_machine(caught.value)
