"""The forms of a location, and what is refused because it may carry a credential."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from pytest_perfgate.errors import RecipeError
from pytest_perfgate.locations.url import EXAMPLES, is_location, parse


@pytest.mark.parametrize(
    ("text", "store", "name", "suffix"),
    [
        ("https://host/a/det.onnx?download=true", "https", "det.onnx", ".onnx"),
        ("http://127.0.0.1:8000/det.onnx", "https", "det.onnx", ".onnx"),
        ("s3://my-bucket/a/b.zip#val/images", "s3", "b.zip", ""),
        ("gs://bucket/instances.json", "gs", "instances.json", ".json"),
        ("hf://owner/name@v1.0/onnx/det.onnx", "hf", "det.onnx", ".onnx"),
        ("hf://datasets/owner/name/val.zip", "hf", "val.zip", ".zip"),
        ("mlflow:models:/det/3", "mlflow", "model.onnx", ".onnx"),
        ("mlflow:models:/det/3/a/b.onnx", "mlflow", "b.onnx", ".onnx"),
        ("dvc:weights/det.onnx", "dvc", "det.onnx", ".onnx"),
        *((example, store, None, ".onnx") for store, example in EXAMPLES.items()),
    ],
)
def test_a_location_tells_its_store_and_its_file(
    text: str, store: str, name: str | None, suffix: str
) -> None:
    """Every form that messages give as an example is one."""
    location = parse(text)
    assert (location.store, PurePosixPath(location.file).suffix) == (store, suffix)
    assert name in {None, location.name}
    assert not location.url.endswith("#")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://user:hunter2@host/det.onnx", "a user or a password"),
        ("s3://key:hunter2@bucket/det.onnx", "a user or a password"),
        ("https://host/det.onnx?X-Amz-Signature=hunter2", "may carry a signature or a token"),
        ("https://host/det.onnx?sig=hunter2&download=1", "may carry a signature or a token"),
        ("https://host/det.onnx?hunter2", "may carry a signature or a token"),
        ("gs://bucket/det.onnx?token=hunter2", "has a query"),
        ("http://host/det.onnx", "not encrypted"),
        ("https:///det.onnx", "has no host"),
        ("https://host/folder/", "names a folder"),
        ("s3://bucket", "names no file"),
        ("s3://bucket/", "names no file"),
        ("hf://owner/name", "names no file"),
        ("mlflow:models:/det/Production", "names no file"),
        ("mlflow:runs:/abc/model", "names no file"),
        ("dvc:/etc/passwd", "is absolute"),
        ("https://host/a b.onnx", "white space"),
        ("https://host/a.zip#../../etc", "leaves the archive"),
    ],
)
def test_another_form_is_refused_and_no_secret_is_repeated(text: str, said: str) -> None:
    """Each with what is valid; the error is shown, stored and sent to CI."""
    assert is_location(text)
    with pytest.raises(RecipeError) as caught:
        parse(text)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value).replace("parameter 'hunter2'", "")
    assert caught.value.valid


@pytest.mark.parametrize(
    "text", ["det.onnx", "package:det.onnx", "ftp://host/x.onnx", "mount://m/x"]
)
def test_other_names_are_no_locations(text: str) -> None:
    """They are files, models of packages, or unknown."""
    assert not is_location(text)
