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

    def bring(self, revision: str = "") -> Brought:
        """What the base gets."""
        suite = read(self.working / "recipes.toml", self.working).suite
        assert suite is not None
        return bring(suite, self.tree, CodeTree(self.tree, self.working, "main (abc)", revision))

    def forbid(self) -> None:
        """The working tree's suite says so."""
        text = RECIPES.replace("[suite.data]", 'untracked = "forbid"\n[suite.data]')
        (self.working / "recipes.toml").write_text(text)

    def hold(self, name: str) -> None:
        """Both versions have a file, and git holds it."""
        git(self.working, "add", "--force", name)
        git(self.working, "checkout-index", "--force", f"--prefix={self.tree}/", name)


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
    versions.forbid()
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


def test_a_link_out_of_the_repository_is_not_held(versions: Versions, tmp_path: Path) -> None:
    """Both versions read what it leads to: the report says so, and a suite can forbid it."""
    (versions.working / "squares.onnx").rename(tmp_path / "elsewhere.onnx")
    (versions.working / "squares.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    versions.hold("squares.onnx")
    assert versions.bring().outside == ("squares.onnx",)
    versions.forbid()
    assert "git does not hold squares.onnx at main (abc)" in versions.bring().problem


def test_a_link_to_a_file_that_git_does_not_hold_is_completed(versions: Versions) -> None:
    """As git-annex makes them, also in a folder; the base's link decides which file it is."""
    store = versions.working / "store"
    store.mkdir()
    for name in ("squares.onnx", "images/0.png"):
        file, stored = versions.working / name, store / Path(name).name
        file.rename(stored)
        file.symlink_to(Path(*[".."] * name.count("/"), "store", stored.name))
        versions.hold(name)
    (store / "older.onnx").write_bytes(b"older")
    (versions.tree / "squares.onnx").unlink()
    (versions.tree / "squares.onnx").symlink_to("store/older.onnx")
    assert versions.bring() == Brought(("squares.onnx", "images", "images.json"))
    assert (versions.tree / "squares.onnx").read_bytes() == b"older"
    assert (versions.tree / "images" / "0.png").read_bytes() == b"pixels"
    versions.forbid()
    (versions.tree / "store" / "older.onnx").unlink()
    assert "git does not hold squares.onnx" in versions.bring().problem


def test_a_link_to_a_file_that_git_holds_leads_to_the_bases(versions: Versions) -> None:
    """Git does not hold the link; an absolute one that it holds would lead to the working tree."""
    file = versions.working / "held.onnx"
    (versions.working / "squares.onnx").rename(file)
    (versions.working / "squares.onnx").symlink_to("held.onnx")
    versions.hold("held.onnx")
    (versions.tree / "held.onnx").write_bytes(b"older")
    assert versions.bring().names == ("images", "images.json")
    assert (versions.tree / "squares.onnx").read_bytes() == b"older"
    (versions.tree / "squares.onnx").unlink()
    (versions.tree / "squares.onnx").symlink_to(file)
    assert "squares.onnx is an absolute link into the working tree" in versions.bring().problem


def test_a_submodule_has_to_be_that_of_the_base(versions: Versions, tmp_path: Path) -> None:
    """The same commit without local changes: its files are the base's, and git holds them."""
    shared, models = tmp_path / "shared", versions.working / "models"
    shared.mkdir()
    (versions.working / "squares.onnx").rename(shared / "squares.onnx")
    (shared / "about.txt").write_text("models")
    git(shared, "init", "--quiet")
    git(shared, "add", "--all")
    git(shared, "commit", "--quiet", "--message", "models")
    local = ("-c", "protocol.file.allow=always")
    git(versions.working, *local, "submodule", "--quiet", "add", str(shared), "models")
    versions.hold("images.json")
    versions.hold("images/0.png")
    versions.forbid()
    text = (versions.working / "recipes.toml").read_text()
    text = text.replace("squares.onnx", "models/squares.onnx")
    (versions.working / "recipes.toml").write_text(text)
    git(versions.working, "commit", "--quiet", "--message", "base")
    base = git(versions.working, "rev-parse", "HEAD")
    (versions.tree / "models").mkdir()  # as git checks it out
    assert versions.bring(base) == Brought()
    assert (versions.tree / "models" / "squares.onnx").read_bytes() == IMAGES

    (models / "about.txt").write_text("other models")
    assert "it has local changes here" in versions.bring(base).problem
    git(models, "commit", "--quiet", "--all", "--message", "worse")
    then, now = (git(models, "rev-parse", f"HEAD{back}")[:10] for back in ("~1", ""))
    problem = versions.bring(base).problem
    assert f"the submodule models is at {then} at main (abc), and {now} is checked out" in problem
    git(models, "checkout", "--quiet", "HEAD~1")
    (models / ".git").rename(models / "git")
    assert "it is not checked out here" in versions.bring(base).problem
