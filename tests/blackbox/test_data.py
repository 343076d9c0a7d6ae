"""Data and models that cannot be used: each fails only what it must, and says where and what."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Project, said
from tests.squares import RECIPES

QUANTIZED = (
    RECIPES
    + """
[[recipe]]
name  = "int8"
from  = "plain"
steps = [{ quantize = "static", samples = 8 }]
[recipe.budgets]
artifact_size = { max = "1 MB" }
"""
)


def _brighter_copy(project: Project) -> None:
    """A calibration image becomes a copy of a validation image, a tenth brighter."""
    from PIL import Image

    first = sorted((project.suite / "validation").iterdir())[0]
    second = sorted((project.suite / "calibration").iterdir())[0]
    Image.open(first).point(lambda level: min(255, level * 1.1)).save(second)


def test_quantization_with_calibration_images_of_its_own(project: Project) -> None:
    """An ONNX file and a COCO folder are quantized with no Python written. A copy of a validation
    image among the calibration images is a warning with both files, on the page too.
    """
    project.write(QUANTIZED)
    _brighter_copy(project)
    result = project.run("-k", "int8", page=True)
    assert result.ret == 0
    suite = project.sessions()[-1]["suites"][0]
    records = {recipe["name"]: recipe for recipe in suite["recipes"]}
    assert records["int8"]["lineage"][-1]["effect"]["quantized_ops"] == 1
    [near] = suite["near_duplicates"]
    assert (near["split"], near["compared"], near["others"]) == ("calibration", 40, 12)
    pair = near["pairs"][0]
    files = [f"suites/tiny/{split}/0.png" for split in ("validation", "calibration")]
    assert [pair["image"], pair["other"]] == files
    [note] = [note for note in suite["notes"] if note.startswith("near-duplicates: ")]
    assert f"{near['images']} of 40 validation images" in note
    assert " and ".join(files) in note
    said(result, "have near-duplicates among the calibration images", *files)
    (page,) = (project.root / "reports").glob("[0-9]*.html")
    assert " and ".join(files) in page.read_text()


def test_near_duplicates_are_an_error_where_the_suite_says_so(project: Project) -> None:
    """The recipe that calibrates with them fails; the other is measured."""
    project.write(QUANTIZED.replace("[suite.data]", 'near_duplicates = "error"\n\n[suite.data]'))
    _brighter_copy(project)
    result = project.run("-k", "int8 or plain-artifact")
    assert project.verdicts() == {"plain-artifact_size": "PASS", "int8-artifact_size": "ERROR"}
    said(result, "have near-duplicates among the calibration images")


def test_calibration_images_among_the_validation_images_are_an_error(project: Project) -> None:
    """The recipe that calibrates fails and says how many; the others are measured."""
    project.write(QUANTIZED)
    first = sorted((project.suite / "validation").iterdir())[0]
    second = sorted((project.suite / "calibration").iterdir())[0]
    second.write_bytes(first.read_bytes())
    result = project.run("-k", "int8 or plain-artifact")
    assert project.verdicts() == {"plain-artifact_size": "PASS", "int8-artifact_size": "ERROR"}
    said(result, "1 of the calibration images are validation images too")


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _wrong_id(file: Path) -> None:
    data = json.loads(file.read_text())
    data["annotations"][0]["image_id"] = 4711
    file.write_text(json.dumps(data))


def _empty(file: Path) -> None:
    file.write_text('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}')


def _no_image(file: Path) -> None:
    (file.parent / "validation" / "0.png").unlink()


@pytest.mark.parametrize(
    ("name", "break_it", "says"),
    [
        ("validation.json", _cut, "validation.json: the file is not JSON"),
        ("validation.json", _wrong_id, "names the image 4711"),
        ("validation.json", _empty, "there are no images"),
        ("validation.json", _no_image, "1 of 40 images are not there; the first is images[0]"),
    ],
    ids=["json", "ids", "empty", "image"],
)
def test_broken_files_are_named(
    project: Project, name: str, break_it: Callable[[Path], None], says: str
) -> None:
    """The verdict is ERROR and its words name the file and what is wrong with it."""
    break_it(project.suite / name)
    result = project.run("-k", "plain-artifact")
    result.assert_outcomes(errors=1)
    said(result, says)


def test_a_broken_suite_file_is_one_error(project: Project) -> None:
    """Malformed TOML fails its suite with line and column; ordinary tests run."""
    project.write("[suite\n")
    (project.root / "test_other.py").write_text("def test_other():\n    pass\n")
    result = project.run()
    result.assert_outcomes(passed=1, errors=1)
    said(result, "it is not TOML", "line 1, column 7")


def test_a_broken_recipe_leaves_the_others(project: Project) -> None:
    """A recipe with an unknown key fails; the reference is measured and passes."""
    project.write(RECIPES.replace('from    = "plain"', 'form = "plain"'))
    result = project.run("-k", "moody or plain-artifact")
    result.assert_outcomes(passed=1, errors=1)
    said(result, "'form' is not a key", "did you mean 'from'")


@pytest.mark.slow
def test_init_writes_a_suite_that_works(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pytest-perfgate init` in an empty folder, then `pytest --perf`: measured, nothing broken,
    and nothing that its images could not decide.
    """
    pytest.importorskip("torch", reason="python -m pip install 'pytest-perfgate[torch]'")
    pytest.importorskip("onnxscript", reason="python -m pip install 'pytest-perfgate[onnx]'")
    fresh = project.pytester.mkdir("fresh")
    done = project.pytester.run("pytest-perfgate", "init", str(fresh))
    assert done.ret == 0
    done.stdout.fnmatch_lines(["next: pytest --perf suites/example"])
    for name in [name for name in sys.modules if name.partition(".")[0] == "suites"]:
        monkeypatch.delitem(sys.modules, name)  # this process may have imported another `suites`
    result = project.run(
        *("--rootdir", str(fresh), str(fresh / "suites")),
        *("--perf-seconds", "20", "-p", "short_launches"),
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(["verdicts: *"])
    result.stdout.no_fnmatch_line("*ERROR*")
    result.stdout.no_fnmatch_line("*INCONCLUSIVE*")
