"""What is evaluated is what the digest of the data says, also when files change meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.errors import DataError
from pytest_perfgate.suite.reading import read
from pytest_perfgate.tasks import kept_digests
from pytest_perfgate.tasks.classification.data import ClassificationData
from pytest_perfgate.tasks.image_files import ImageFiles
from pytest_perfgate.tasks.kept_pixels import VARIABLE
from pytest_perfgate.tasks.panoptic.data import PanopticData, Segment
from pytest_perfgate.tasks.panoptic.folder import MapFiles
from pytest_perfgate.tasks.segmentation.data import SegmentationData
from pytest_perfgate.tasks.segmentation.masks import MaskCode, MaskFiles

CHANGED = "changed while the session read it"


def draw(file: Path, level: int, mode: str = "RGB") -> None:
    """A picture of one level."""
    Image.new(mode, (6, 4), level if mode == "L" else (level, 0, 0)).save(file)


def of_folder(folder: Path) -> ClassificationData:
    """The pictures of a folder."""
    files = sorted(folder.glob("*.png"))
    return ClassificationData(ImageFiles(files), [0] * len(files), ["cat", "dog"])


@pytest.mark.parametrize("kept", ["cache and pixels", "cache", "nothing"])
def test_an_image_that_is_replaced_after_its_digest_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    """Its pixels would be evaluated under the digest of others. Pixels that are kept are those of
    the digest. An image that is written again with the same pixels is the same.
    """
    for variable, name in (("PERFGATE_CACHE", "cache"), (VARIABLE, "pixels")):
        (tmp_path / name).mkdir()
        monkeypatch.delenv(variable, raising=False)
        if name in kept:
            monkeypatch.setenv(variable, str(tmp_path / name))
    for index in range(3):
        draw(tmp_path / f"{index}.png", index)
    data = of_folder(tmp_path)
    assert len(data.digests) == 3
    draw(tmp_path / "0.png", 0)
    draw(tmp_path / "1.png", 9)
    assert data.images[0].max() == 0
    if kept == "cache and pixels":
        assert data.images[1].max() == 1
        (tmp_path / "pixels" / "pixels").write_bytes(b"x" * 216)  # no longer whole
    with pytest.raises(DataError, match=CHANGED) as caught:
        data.images[1]
    assert caught.value.where == str(tmp_path / "1.png")
    assert "run the session again" in caught.value.next_step
    assert data.part([2]).images[0].max() == 2
    with pytest.raises(DataError, match=CHANGED):
        data.part([0, 1]).images[1]
    assert of_folder(tmp_path).images[1].max() == 9


def test_an_image_that_is_replaced_before_its_digest_is_refused(tmp_path: Path) -> None:
    """What a slice or an example has read of it was of other pixels."""
    draw(tmp_path / "0.png", 1)
    data = of_folder(tmp_path)
    assert data.images[0].max() == 1
    draw(tmp_path / "0.png", 2)
    with pytest.raises(DataError, match=CHANGED):
        _ = data.digests


def test_a_digest_that_was_believed_wrongly_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change may be hidden from the identity of a file: the next session has no error."""
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("PERFGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kept_digests, "_identity", lambda _: [1, 2, 3, 4])
    draw(tmp_path / "0.png", 1)
    _ = of_folder(tmp_path).digests
    draw(tmp_path / "0.png", 2)
    data = of_folder(tmp_path)
    _ = data.digests
    with pytest.raises(DataError, match=CHANGED):
        data.images[0]
    again = of_folder(tmp_path)
    _ = again.digests
    assert again.images[0].max() == 2


def test_masks_and_maps_that_are_replaced_are_refused(tmp_path: Path) -> None:
    """Truth is read once for the digest, and again for the scores."""
    draw(tmp_path / "image.png", 1)
    images = ImageFiles([tmp_path / "image.png"])
    draw(tmp_path / "mask.png", 1, "L")
    draw(tmp_path / "map.png", 1)
    masks = MaskFiles([tmp_path / "mask.png"], MaskCode(["a", "b"], [0, 1], [255], [], []))
    segmentation = SegmentationData(images, masks, ["a", "b"])
    maps, segments = MapFiles([tmp_path / "map.png"]), [[Segment(1, 0)]]
    panoptic = PanopticData(images, maps, segments, ["a", "b"], [True, True])
    assert segmentation.digest != panoptic.digest
    assert segmentation.mask(0).max() == panoptic.numbers(0).max() == 1
    draw(tmp_path / "mask.png", 0, "L")
    with pytest.raises(DataError, match=CHANGED) as caught:
        segmentation.mask(0)
    assert caught.value.where == str(tmp_path / "mask.png")
    half = np.zeros((4, 6, 3), np.uint8)
    half[:2, :, 0] = 1
    Image.fromarray(half).save(tmp_path / "map.png")
    with pytest.raises(DataError, match=CHANGED):
        panoptic.numbers(0)


class Lazy(Sequence[Any]):
    """Pictures of a project's own code, whose levels a test changes."""

    def __init__(self) -> None:
        self.levels = [1, 2, 3]

    def __len__(self) -> int:
        return len(self.levels)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(3)[index]]
        return np.full((4, 6, 3), self.levels[index], np.uint8)


LAZY = Lazy()


def pictures() -> ClassificationData:
    """A data set of a project's own code."""
    return ClassificationData(LAZY, [0, 0, 1], ["cat", "dog"])


def test_an_image_that_own_code_reads_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it reads it from; all else of the data set is as it was."""
    (tmp_path / "recipes.toml").write_text(
        '[suite]\ntask = "classification"\nmodel = "a:b"\n[suite.data]\n'
        f'validation = "{__name__}:pictures"\n[[recipe]]\nname = "plain"\nruntime = "torch"\n'
    )
    suite = read(tmp_path / "recipes.toml", tmp_path).suite
    assert suite is not None
    data = SuiteData(suite).split("validation")
    assert data.digest == pictures().digest
    monkeypatch.setattr(LAZY, "levels", [1, 2, 9])
    assert data.images[1].max() == 2
    assert data.images.levels == [1, 2, 9]
    assert len(data.images[1:]) == 2
    with pytest.raises(DataError, match=f"image of the validation data 2 {CHANGED}"):
        data.images[np.int64(-1)]
