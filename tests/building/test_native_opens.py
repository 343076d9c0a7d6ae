"""Files that native code opens count as what is built from them: Python's hooks hear of none."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from pytest_perfgate.building import native_opens
from pytest_perfgate.building.artifact_cache import ArtifactStore
from pytest_perfgate.building.native_opens import NativeOpens
from pytest_perfgate.building.project_code import Watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
LIBC = ctypes.CDLL(None)


def read_natively(file: Path) -> None:
    """Opens a file as a library in C does: there is no audit event."""
    handle = LIBC.open(os.fsencode(file), os.O_RDONLY)
    assert handle >= 0
    os.close(handle)


def inside(files: Iterable[str]) -> set[str]:
    """Those of the project; modules of the tests themselves are outside of it."""
    return {name for name in files if not Path(name).is_absolute()}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with weights in folders of their own, some of them by links to elsewhere."""
    root, mount = tmp_path / "project", tmp_path / "mount"
    for place in (root / "weights", root / "data", root / ".perfgate", mount / "more"):
        place.mkdir(parents=True)
    for file in ("weights/net.pt", "weights/notes.md", "data/0.png", ".perfgate/net.pt", "code.py"):
        (root / file).write_bytes(b"1")
    for file in ("linked.pt", "more/net.bin"):
        (mount / file).write_bytes(b"1")
    (root / "weights/linked.pt").symlink_to(mount / "linked.pt")
    (root / "mounted").symlink_to(mount / "more")
    return root


def test_files_that_native_code_opens_are_inputs(project: Path) -> None:
    """Also through links. Code, notes, the cache and what a build has written are none."""
    watch = Watch(project, project / ".perfgate")
    read_natively(project / "data/0.png")
    watch.listen()
    for name in ("net.pt", "notes.md", "linked.pt"):
        read_natively(project / "weights" / name)
    for name in ("mounted/net.bin", ".perfgate/net.pt", "code.py"):
        read_natively(project / name)
    (project / "weights/written.pt").write_bytes(b"2")
    read_natively(project / "weights/written.pt")
    assert inside(watch.files()) == {"mounted/net.bin", "weights/linked.pt", "weights/net.pt"}


def test_declared_data_that_native_code_opens_is_none(project: Path) -> None:
    """Its digest counts by itself; other data of the project counts."""
    watch = Watch(project, project / ".perfgate")
    watch.listen()
    read_natively(project / "data/0.png")
    assert inside(watch.files_without([project / "data"])) == set()
    assert inside(watch.files()) == {"data/0.png"}


def test_all_weights_count_where_the_kernel_tells_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no room for so many folders: any of them may have been read."""
    monkeypatch.setattr(native_opens, "_MOST", 1)
    assert not NativeOpens(project).complete
    watch = Watch(project, project / ".perfgate")
    watch.listen()
    assert inside(watch.files()) == {"weights/linked.pt", "weights/net.pt"}


def test_a_build_listens_and_a_cached_one_does_not(project: Path) -> None:
    """Folders are looked through only where something is missing in the cache. Weights that
    safetensors reads are heard of then.
    """
    library = pytest.importorskip(
        "safetensors.numpy", reason="pip install 'pytest-perfgate[torch]'"
    )
    library.save_file({"w": np.zeros(2, "f4")}, project / "weights/net.safetensors")
    store, watch = ArtifactStore(project / ".perfgate"), Watch(project, project / ".perfgate")
    library.load_file(project / "weights/net.safetensors")
    assert not inside(watch.files())
    assert store.find("key", watch) is None
    library.load_file(project / "weights/net.safetensors")
    assert inside(watch.files()) == {"weights/net.safetensors"}
