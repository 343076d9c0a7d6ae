"""Images are decoded once for all recipes of a session, and what is kept is never believed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.tasks import image_files
from pytest_perfgate.tasks.image_files import ImageFiles
from pytest_perfgate.tasks.kept_pixels import VARIABLE, KeptPixels, digest


def pictures(count: int) -> list[np.ndarray[Any, Any]]:
    """Pictures of several sizes."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (4 + n % 3, 6, 3), np.uint8) for n in range(count)]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names of the files that were decoded, in a session that keeps pixels and digests."""
    names: list[str] = []
    decode = image_files.decode

    def counting(file: Path, alpha: Any = "drop") -> Any:
        names.append(file.name)
        return decode(file, alpha)

    monkeypatch.setattr(image_files, "decode", counting)
    for variable, name in ((VARIABLE, "pixels"), ("PERFGATE_CACHE", "cache")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    return names


def written(folder: Path, count: int) -> list[Path]:
    """Pictures as files."""
    files = []
    for number, picture in enumerate(pictures(count)):
        files.append(folder / f"{number}.png")
        Image.fromarray(picture).save(files[-1])
    return files


def test_an_image_is_decoded_once_for_all_recipes(tmp_path: Path, decoded: list[str]) -> None:
    """The digests decode it, and every evaluation reads its pixels; they are those of the file, and
    cannot be written to. Without a digest it is decoded as before.
    """
    files = written(tmp_path, 5)
    for _ in range(3):
        images = ImageFiles(files)
        images.known(lambda *_: None)
        for image, picture in zip(images, pictures(5), strict=True):
            np.testing.assert_array_equal(image, picture)
            assert not image.flags.writeable
        # What was written just now has no digest that is kept: each session of digests decodes it.
        assert sorted(decoded) == [file.name for file in files]
        decoded.clear()
    ImageFiles(files)[3]
    assert decoded == ["3.png"]
    images.alpha = "keep"
    assert images[3].shape[2] == 4


def test_a_kept_image_counts_as_a_file_that_was_read(tmp_path: Path, decoded: list[str]) -> None:
    """What rests on an evaluation rests on the images' files, whoever has decoded them."""
    files = written(tmp_path, 2)
    images = ImageFiles(files)
    images.known(lambda *_: None)
    decoded.clear()
    watch = Watch(tmp_path, tmp_path / "cache")
    assert len(images[1]) > 0
    assert not decoded
    assert "1.png" in watch.files()
    assert "0.png" not in watch.files()


@pytest.mark.parametrize("how", ["flipped", "cut", "no index", "link", "half a record"])
def test_what_is_damaged_is_decoded_again(tmp_path: Path, decoded: list[str], how: str) -> None:
    """Pixels are compared with their digest; a file that is a link is not followed."""
    files = written(tmp_path, 3)
    images = ImageFiles(files)
    images.known(lambda *_: None)
    decoded.clear()
    place = tmp_path / "pixels" / ("index" if how in {"no index", "half a record"} else "pixels")
    content = place.read_bytes()
    if how == "link":
        elsewhere = tmp_path / "elsewhere"
        place.rename(elsewhere)
        place.symlink_to(elsewhere)
    else:
        flipped = bytes([content[0] ^ 1]) + content[1:]
        damaged = {"flipped": flipped, "cut": content[:7], "no index": b""}
        place.write_bytes(damaged.get(how, content[:50]))
    fresh = ImageFiles(files)
    fresh._known = images._known  # what another process knows of the same files
    for image, picture in zip(fresh, pictures(3), strict=True):
        np.testing.assert_array_equal(image, picture)
    assert "0.png" in decoded or how == "half a record"
    assert ("2.png" in decoded) is (how != "flipped")


def test_there_is_room_for_so_much_and_no_more(tmp_path: Path) -> None:
    """What has no room is not kept, and what was kept stays; processes that write at once lose
    nothing.
    """
    some = pictures(12)
    names = [digest(picture) for picture in some]
    most = sum(picture.nbytes for picture in some[:8])
    kept = KeptPixels(tmp_path, most)
    for name, picture in zip(names, some, strict=True):
        kept.add(name, picture)
    shapes = [picture.shape for picture in some]
    inside = [kept.get(*one) is not None for one in zip(names, shapes, strict=True)]
    assert inside == [True] * 8 + [False] * 4
    assert (tmp_path / "pixels").stat().st_size == most
    (tmp_path / "more").mkdir()
    writers = [KeptPixels(tmp_path / "more") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for writer in writers:
            pool.map(writer.add, names, some)
    reader = KeptPixels(tmp_path / "more")
    for name, picture in zip(names, some, strict=True):
        np.testing.assert_array_equal(reader.get(name, picture.shape), picture)
    assert (tmp_path / "more" / "pixels").stat().st_size == sum(one.nbytes for one in some)


def test_a_folder_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    """The disk may be full, or the session over."""
    (picture,) = pictures(1)
    kept = KeptPixels(tmp_path / "none")
    kept.add(digest(picture), picture)
    assert kept.get(digest(picture), picture.shape) is None
    assert not any(tmp_path.iterdir())
