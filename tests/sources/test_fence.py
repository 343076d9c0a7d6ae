"""Where the files of a suite may lie: in the project, outside of it, in a mount, behind links."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_perfgate.errors import BuildError, RecipeError
from pytest_perfgate.records.code_tree import CodeTree
from pytest_perfgate.sources import Fence
from pytest_perfgate.sources.onnx import Onnx


def test_a_path_that_leaves_the_base_starts_from_the_working_tree() -> None:
    """Another version of the code lies in the cache, where the project has no neighbours; what is
    in the repository is that version's own.
    """
    tree = CodeTree(Path("/repo/.perfgate/base/x/tree"), Path("/repo"), "main")
    folder = tree.top / "project" / "suites" / "demo"
    fence = Fence(folder, tree.top / "project", allow_outside=True, tree=tree)
    assert fence.place("../../../../weights/det.onnx") == Path("/weights/det.onnx")
    assert fence.place("../../../shared/det.onnx") == tree.top / "shared" / "det.onnx"
    assert fence.place("det.onnx") == folder / "det.onnx"
    assert not fence.is_elsewhere("det.onnx")
    assert fence.is_elsewhere("../../../shared/det.onnx")


def test_a_mount_is_the_only_folder_that_its_paths_are_in() -> None:
    """Whatever a path has in front of its folders."""
    fence = Fence(Path("/p/s"), Path("/p"), mounts={"m": "/mnt/m"})
    assert fence.place("mount://m/a/b.onnx") == Path("/mnt/m/a/b.onnx")
    assert fence.place("mount://m//a.onnx") == Path("/mnt/m/a.onnx")
    assert fence.place("mount://m") == Path("/mnt/m")
    for path in ("mount://m/../x", "mount://m/a/../../m2/x", "mount://other/x", "mount://"):
        with pytest.raises(RecipeError):
            fence.place(path)


def test_side_files_of_a_store_by_content_are_used_where_links_may_leave(tmp_path: Path) -> None:
    """Such a store links each name to a file without suffix elsewhere; without leave it is an error
    that names the key.
    """
    onnx = pytest.importorskip("onnx")
    from tests.squares import squares_model

    store, folder = tmp_path / "blobs", tmp_path / "project"
    store.mkdir()
    folder.mkdir()
    squares_model(tmp_path / "whole.onnx")
    model = onnx.load(tmp_path / "whole.onnx")
    side = {"save_as_external_data": True, "location": "det.bin", "size_threshold": 0}
    onnx.save(model, folder / "det.onnx", **side)
    for name in ("det.onnx", "det.bin"):
        (folder / name).rename(store / name[-3:].replace(".", "-"))
        (folder / name).symlink_to(store / name[-3:].replace(".", "-"))
    options = Onnx.Options()
    files = Onnx().files("det.onnx", options, Fence(folder, folder, allow_outside=True))
    assert [file.name for file in files] == ["det.onnx", "det.bin"]
    with pytest.raises(BuildError) as caught:
        Onnx().files("det.onnx", options, Fence(folder, folder))
    assert "allow_outside = true" in caught.value.next_step


def test_a_file_of_weights_that_is_cut_is_named(tmp_path: Path) -> None:
    """With both sizes, before a library reads beyond its end."""
    onnx = pytest.importorskip("onnx")
    from tests.squares import squares_model

    squares_model(tmp_path / "det.onnx")
    side = {"save_as_external_data": True, "location": "det.bin", "size_threshold": 0}
    onnx.save(onnx.load(tmp_path / "det.onnx"), tmp_path / "det.onnx", **side)
    options, fence = Onnx.Options(), Fence(tmp_path, tmp_path)
    assert len(Onnx().files("det.onnx", options, fence)) == 2
    content = (tmp_path / "det.bin").read_bytes()
    (tmp_path / "det.bin").write_bytes(content[:-1])
    with pytest.raises(BuildError) as caught:
        Onnx().files("det.onnx", options, fence)
    size = len(content)
    assert f"'det.bin', which has {size - 1:,} bytes, and the graph reads {size:,}" in str(
        caught.value
    )
    assert caught.value.next_step == f"copy it anew to {tmp_path / 'det.bin'}"
