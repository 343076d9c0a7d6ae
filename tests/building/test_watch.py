"""What a cached artifact and a cached evaluation rest on, also outside the project."""

from __future__ import annotations

import gc
import json
import os
import py_compile
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_perfgate.building import keys, package_versions
from pytest_perfgate.building.file_digests import Digests
from pytest_perfgate.building.project_code import CHANGED, Watch
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.suite.reading import read

READS = """\
import json
from pathlib import Path
from pytest_perfgate.building.project_code import Watch

watch = Watch(Path.cwd(), Path("../cache"))
import inside, library, installed
shipped = "../venv/site-packages/shipped/a"
beside = "../weights/best.pt", "../weights/notes.txt", "../cache/kept.pt"
for name in ("weights.bin", *beside, f"{shipped}.onnx", f"{shipped}.txt"):
    Path(name).read_bytes()
print(json.dumps(watch.files()))
"""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """What a process has read: modules and files, of the project, beside it, installed, cached."""
    for name in (
        "project/inside.py",
        "project/weights.bin",
        "library/library.py",
        "venv/site-packages/installed.py",
        "venv/site-packages/shipped/a.onnx",
        "venv/site-packages/shipped/a.txt",
        "weights/best.pt",
        "weights/notes.txt",
        "cache/kept.pt",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("# nothing\n")
    paths = [tmp_path / "project", tmp_path / "library", tmp_path / "venv/site-packages"]
    done = subprocess.run(
        [sys.executable, "-P", "-c", READS],
        cwd=tmp_path / "project",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_all_watches_of_a_process_share_an_audit_hook_and_none_outlives_its_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python calls each hook at every event, and takes none back."""
    hooks: list[object] = []
    really = sys.addaudithook

    def add(hook: Callable[[str, tuple[object, ...]], None]) -> None:
        hooks.append(hook)
        really(hook)

    monkeypatch.setattr(sys, "addaudithook", add)
    (tmp_path / "inside.txt").touch()
    kept, others = Watch(tmp_path), [weakref.ref(Watch(tmp_path)) for _ in range(3)]
    gc.collect()
    assert [other() for other in others] == [None] * 3
    assert len(hooks) <= 1  # none where an earlier test has one
    (tmp_path / "inside.txt").read_bytes()
    assert "inside.txt" in kept.files()


def test_code_and_weights_outside_the_project_count(files: dict[str, str], tmp_path: Path) -> None:
    """Code of packages, which have versions, of the cache, and settings do not. Weights of packages
    do: nobody has to import the package that ships them.
    """
    names = ("library/library.py", "weights/best.pt", "venv/site-packages/shipped/a.onnx")
    outside = {str(tmp_path / name) for name in names}
    here = {name for name in files if name.startswith(str(tmp_path)) or not name.startswith("/")}
    assert here == {"inside.py", "weights.bin"} | outside


def test_files_of_the_bases_checkout_count_though_it_lies_in_the_caches_folder(
    tmp_path: Path,
) -> None:
    """An entry without them would fit the working tree, whatever its code."""
    tree = tmp_path / "cache" / "base" / "0a1b" / "tree"
    tree.mkdir(parents=True)
    (tree / "inside.py").write_text("# nothing\n")
    (tmp_path / "cache" / "kept.pt").write_text("kept")
    program = (
        "import json\nfrom pathlib import Path\n"
        "from pytest_perfgate.building.project_code import Watch\n"
        f"watch = Watch(Path.cwd(), Path({str(tmp_path / 'cache')!r}))\n"
        f"import inside\nPath({str(tmp_path / 'cache' / 'kept.pt')!r}).read_bytes()\n"
        "print(json.dumps(list(watch.files())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tree, capture_output=True, text=True, check=True
    )
    own = [name for name in json.loads(done.stdout) if not name.startswith("/")]
    assert own == ["inside.py"]
    assert str(tmp_path / "cache" / "kept.pt") not in done.stdout


@pytest.mark.parametrize(
    ("edited", "same"),
    [
        ("project/inside.py", False),
        ("project/weights.bin", False),
        ("library/library.py", False),
        ("weights/best.pt", False),
        ("weights/notes.txt", True),
        ("venv/site-packages/installed.py", True),
    ],
)
def test_an_edited_file_makes_what_rests_on_it_anew(
    files: dict[str, str], tmp_path: Path, edited: str, same: bool
) -> None:
    """And nothing else."""
    (tmp_path / edited).write_text("# edited\n")
    assert Digests(tmp_path / "project").unchanged(files) is same


LATE = """\
import importlib
import json
from pathlib import Path
from pytest_perfgate.building.project_code import Digests, Watch

def edit(name):
    with Path(name).open("a") as file:
        file.write("# edited")

def read(name):
    Path(name).read_bytes() if name == "data.txt" else importlib.import_module(name[:-3])

watch = Watch(Path.cwd())
exec({order!r})
print(json.dumps([watch.files(), Digests(Path.cwd()).unchanged(watch.files())]))
"""


@pytest.mark.parametrize(
    ("order", "kept"),
    [
        ("read({0!r})", True),
        ("edit({0!r}); watch.files(); read({0!r})", True),
        ("read({0!r}); edit({0!r})", False),
        ("watch.digest({0!r}); edit({0!r}); read({0!r})", False),
        ("read({0!r}); watch.files(); edit({0!r})", False),
    ],
)
@pytest.mark.parametrize("name", ["data.txt", "compiled.py", "fresh.py"])
def test_nothing_rests_on_a_file_that_changed_since_it_was_read(
    tmp_path: Path, name: str, order: str, kept: bool
) -> None:
    """A score of the earlier content would be kept as one of the later."""
    (tmp_path / name).write_text("1\n")
    if name == "compiled.py":
        py_compile.compile(str(tmp_path / name))
    program = LATE.replace("{order!r}", repr(order.format(name)))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    files, unchanged = json.loads(done.stdout)
    assert (files[name] != CHANGED) is unchanged is kept


SUITE = """\
[suite]
task = "detection"
model = "m:build"
[suite.data]
validation = "m:validation"
[[recipe]]
name = "fp32"
runtime = "torch"
"""


@pytest.mark.parametrize(("package", "anew"), [("faster-coco-eval", True), ("rich", False)])
def test_an_evaluation_rests_on_its_evaluator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, anew: bool
) -> None:
    """Another release of it may count otherwise: scores of the old one are not its own."""
    pytest.importorskip("faster_coco_eval")
    (tmp_path / "recipes.toml").write_text(SUITE)
    suite = read(tmp_path / "recipes.toml", tmp_path).suite
    assert suite is not None
    data, real = SuiteData(suite), package_versions.version
    before = keys.evaluator(suite, data)
    monkeypatch.setattr(
        package_versions, "version_now", lambda name: "0" if name == package else real(name)
    )
    assert (keys.evaluator(suite, data) != before) is anew
