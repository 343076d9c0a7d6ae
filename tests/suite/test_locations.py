"""Locations in a suite file: locked when it is read, fetched and checked before it is measured."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.locations import cache, lock_file
from pytest_perfgate.records.location import Locked, LockedFile
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.sources import inside
from pytest_perfgate.suite.fence import fence_of
from pytest_perfgate.suite.locations import with_files

from tests.sources.graphs import IMAGES
from tests.suite.texts import FP32, SUITE, read

ONNX = FP32.replace('"torch"', '"onnxruntime"')
MODEL = "s3://models/det.onnx"
IN_STORE = SUITE.replace("demo.model:build", MODEL) + ONNX


def locked(url: str, content: bytes) -> Locked:
    """An entry of a lock file."""
    digest = hashlib.sha256(content).hexdigest()
    return Locked(url, (LockedFile(url.rpartition("/")[2], len(content), digest),))


def lock(root: Path, *entries: Locked) -> None:
    """Writes the lock file of the suite."""
    folder = root / "suites" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    lock_file.write(folder / "recipes.lock", entries)


def put(root: Path, entry: Locked, content: bytes) -> None:
    """Puts a file into the cache, as an earlier session has fetched it."""
    parts = cache.make_folders(root) / ".part-x"
    (parts / "content").mkdir(parents=True)
    (parts / "content" / entry.files[0].path).write_bytes(content)
    cache.publish(root, entry, parts)


def suite_of(root: Path, text: str) -> Suite:
    """A suite without problems."""
    result = read(root, text)
    assert (result.suite_problems, dict(result.problems)) == ((), {})
    assert result.suite is not None
    return result.suite


def test_a_location_must_be_in_the_lock_file(tmp_path: Path) -> None:
    """The error names the key, the URL and the command that writes the lock file."""
    (error,) = read(tmp_path, IN_STORE).suite_problems
    assert error.where == "suites/demo/recipes.toml: suite.model"
    assert error.problem == f"{MODEL} is not in recipes.lock"
    assert error.next_step == "pytest-perfgate lock demo"
    lock(tmp_path, locked(MODEL, b"x"))
    assert suite_of(tmp_path, IN_STORE).locations == {MODEL: locked(MODEL, b"x")}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ('"s3://models/best.safetensors"', "is no file that is a model"),
        ('"https://user:hunter2@host/det.onnx"', "a user or a password"),
        ('"ftp://host/det.onnx"', "an address of a kind that is unknown"),
        ('{ name = "timm:res net", weights = "s3://models/w.pt" }', "cannot be a model's name"),
    ],
)
def test_what_is_wrong_with_a_location_is_known_when_it_is_read(
    tmp_path: Path, model: str, said: str
) -> None:
    """At its key, without a server, and without its password."""
    text = SUITE.replace('"demo.model:build"', model) + ONNX
    (error,) = read(tmp_path, text).suite_problems
    assert said in str(error)
    assert "suite.model" in error.where
    assert "hunter2" not in str(error)


def test_a_fetched_model_is_a_file_like_any_other(tmp_path: Path) -> None:
    """It is checked once it is there: what is no graph is an error at its key; one that was changed
    in the cache is not read.
    """
    root = tmp_path / "cache"
    entry = locked(MODEL, IMAGES)
    put(root, entry, IMAGES)
    lock(tmp_path, entry)
    suite = with_files(suite_of(tmp_path, IN_STORE), root, print)
    assert inside(MODEL, fence_of(suite)).read_bytes() == IMAGES
    suite.fetched[MODEL].place.write_bytes(IMAGES[:-1] + b"\\0")
    with pytest.raises(PerfgateError, match="changed in the cache"):
        inside(MODEL, fence_of(suite))
    page = b"<html>login</html>"
    entry = locked(MODEL, page)
    put(root, entry, page)
    lock(tmp_path, entry)
    with pytest.raises(PerfgateError, match="no ONNX graph") as caught:
        with_files(suite_of(tmp_path, IN_STORE), root, print)
    assert caught.value.where == "suites/demo/recipes.toml: suite.model"


def test_what_a_fetched_file_says_of_its_input_counts(tmp_path: Path) -> None:
    """As of a file beside the suite: one that takes bytes gets bytes."""
    content = IMAGES.replace(b"\x08\x01", b"\x08\x02")
    entry = locked(MODEL, content)
    put(tmp_path / "cache", entry, content)
    lock(tmp_path, entry)
    fetched = with_files(suite_of(tmp_path, IN_STORE), tmp_path / "cache", print)
    (tmp_path / "suites" / "demo" / "det.onnx").write_bytes(content)
    beside = suite_of(tmp_path, IN_STORE.replace(MODEL, "det.onnx"))
    assert fetched.input == beside.input != {}


def test_names_of_classes_are_read_from_a_fetched_model(tmp_path: Path) -> None:
    """`classes = "metadata"` of a model in a store waits for it; before, the lock file counts."""
    pytest.importorskip("onnx", reason="pip install 'pytest-perfgate[onnx]'")
    from tests.cli.graphs import shaped

    graph = tmp_path / "x.onnx"
    shaped(graph, [[1, 6, 8400]], metadata={"names": "{0: 'a', 1: 'b'}"})
    output = '[suite.output]\ndecode = "ultralytics"\noptions = { classes = "metadata" }\n'
    text = SUITE.replace("demo.model:build", MODEL) + output + ONNX
    (error,) = read(tmp_path, text).suite_problems
    assert error.problem == f"{MODEL} is not in recipes.lock"
    for content in (graph.read_bytes(), IMAGES):
        entry = locked(MODEL, content)
        put(tmp_path / "cache", entry, content)
        lock(tmp_path, entry)
        suite = suite_of(tmp_path, text)
        if content != IMAGES:
            fetched = with_files(suite, tmp_path / "cache", print)
            assert fetched.output["options"]["classes"] == ["a", "b"]
    with pytest.raises(PerfgateError, match="holds no names of classes") as caught:
        with_files(suite, tmp_path / "cache", print)
    assert caught.value.where == "suites/demo/recipes.toml: suite.output.options.classes"


def test_weights_and_data_are_locations_too(tmp_path: Path) -> None:
    """Weights of a package's model, images and annotations; each key is named in an error."""
    weights, data = "hf://owner/name/w.safetensors", "https://host/val.json"
    text = SUITE.replace(
        '"demo.model:build"', f'{{ name = "timm:resnet18", weights = "{weights}" }}'
    ).replace('"demo.data:validation"', f'{{ images = "val", annotations = "{data}" }}')
    lock(tmp_path, locked(weights, b"w"))
    (error,) = read(tmp_path, text + FP32).suite_problems
    assert error.where == "suites/demo/recipes.toml: suite.data.validation.annotations"
    lock(tmp_path, locked(weights, b"w"), locked(data, b"{}"))
    suite = suite_of(tmp_path, text + FP32)
    put(tmp_path / "cache", locked(weights, b"w"), b"w")
    put(tmp_path / "cache", locked(data, b"{}"), b"{}")
    files = with_files(suite, tmp_path / "cache", print).fetched
    assert {text: file.place.read_bytes() for text, file in files.items()} == {
        weights: b"w",
        data: b"{}",
    }
    assert with_files(replace(suite, locations={}), tmp_path / "cache", print).fetched == {}
