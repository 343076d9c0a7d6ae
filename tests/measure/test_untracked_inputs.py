"""Files that git does not hold, for the base: the working tree's, or a reason."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pytest_perfgate.measure.untracked_inputs import Brought, bring
from pytest_perfgate.records.code_tree import CodeTree
from pytest_perfgate.suite.reading import read

from tests.measure.test_base_checkout import git
from tests.sources.graphs import IMAGES

RECIPES = """\
[suite]
task  = "detection"
model = "squares.onnx"
[suite.data]
validation = { images = "images", annotations = "images.json" }
[[recipe]]
name = "plain"
runtime = "onnxruntime"
[recipe.budgets]
map = { min = 0.1 }
"""
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 7\n"


class Versions:
    """A suite in a repository that holds none of its data, and its folder at the base."""

    def __init__(self, top: Path) -> None:
        self.working, self.tree = top / "project", top / "project" / ".perfgate" / "tree"
        for folder in (self.working / "images", self.tree):
            folder.mkdir(parents=True)
        (self.working / "recipes.toml").write_text(RECIPES)
        (self.working / "squares.onnx").write_bytes(IMAGES)
        (self.working / "images.json").write_text("{}")
        (self.working / "images" / "0.png").write_bytes(b"pixels")
        git(self.working, "init", "--quiet")
        git(self.working, "add", "recipes.toml")

    def bring(self) -> Brought:
        """What the base gets."""
        suite = read(self.working / "recipes.toml", self.working).suite
        assert suite is not None
        return bring(suite, self.tree, CodeTree(self.tree, self.working, "main (abc)"))


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    """The two versions of the suite."""
    return Versions(tmp_path)


def test_what_git_does_not_hold_comes_from_the_working_tree(versions: Versions) -> None:
    """Files and folders, each named; nothing of the working tree is changed."""
    assert versions.bring() == Brought(("squares.onnx", "images", "images.json"))
    assert (versions.tree / "squares.onnx").read_bytes() == IMAGES
    assert (versions.tree / "images" / "0.png").read_bytes() == b"pixels"
    assert (versions.working / "squares.onnx").read_bytes() == IMAGES


def test_a_suite_can_forbid_it(versions: Versions) -> None:
    """The first file that git does not hold is named, and nothing is taken; where git holds all,
    nothing is forbidden.
    """
    text = RECIPES.replace("[suite.data]", 'untracked = "forbid"\n[suite.data]')
    (versions.working / "recipes.toml").write_text(text)
    problem = versions.bring().problem
    assert "git does not hold squares.onnx at main (abc)" in problem
    assert "git add -f squares.onnx" in problem
    assert list(versions.tree.iterdir()) == []
    for name in ("squares.onnx", "images.json"):
        (versions.tree / name).write_bytes((versions.working / name).read_bytes())
    (versions.tree / "images").mkdir()
    assert versions.bring() == Brought()


def test_the_bases_own_files_stay(versions: Versions) -> None:
    """What the commit has is measured as it is there."""
    (versions.tree / "squares.onnx").write_bytes(b"older")
    assert versions.bring().names == ("images", "images.json")
    assert (versions.tree / "squares.onnx").read_bytes() == b"older"


def test_a_file_that_was_added_since_is_not_the_bases(versions: Versions) -> None:
    """Git holds it by now, so the base is without it."""
    git(versions.working, "add", "squares.onnx")
    assert "squares.onnx" not in versions.bring().names
    assert not (versions.tree / "squares.onnx").exists()


@pytest.mark.parametrize("same", [True, False])
def test_a_pointer_of_git_lfs_is_compared(versions: Versions, same: bool) -> None:
    """To the same content it is resolved; to other content the command is named."""
    digest = hashlib.sha256(IMAGES if same else b"older").hexdigest()
    (versions.tree / "squares.onnx").write_text(POINTER.format(digest=digest))
    brought = versions.bring()
    if same:
        assert (versions.tree / "squares.onnx").read_bytes() == IMAGES
    else:
        assert "pointer of Git LFS at main (abc)" in brought.problem
        assert "git lfs fetch --all" in brought.problem


def test_other_content_of_dvc_is_a_problem(versions: Versions) -> None:
    """The same pointer at both versions is fine."""
    (versions.working / "squares.onnx.dvc").write_text("outs: 1")
    (versions.tree / "squares.onnx.dvc").write_text("outs: 1")
    assert "squares.onnx" in versions.bring().names
    (versions.tree / "squares.onnx").unlink()
    (versions.tree / "squares.onnx.dvc").write_text("outs: 2")
    assert "squares.onnx.dvc names other content" in versions.bring().problem
