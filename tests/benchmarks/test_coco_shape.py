"""The made-up data set has COCO's shape, and its detector is right and wrong as detectors are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest_perfgate.tasks.detection import Detection

from benchmarks.coco_shape import CATEGORIES, write_suite
from benchmarks.evaluation_phases import _infer, show


def test_a_data_set_of_cocos_shape(tmp_path: Path) -> None:
    """Some seven objects of three categories in a picture, two candidates or more for each, and
    an average precision that a recipe can lose or gain; the same files each time.
    """
    for name in ("one", "two"):
        write_suite(tmp_path / name, 60)
    files = sorted(path for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 60 + 64 + 5
    for file in files:
        assert (
            file.read_bytes()
            == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes()
        )
    coco: Any = json.loads((tmp_path / "one" / "validation.json").read_text())
    assert len(coco["categories"]) == CATEGORIES
    assert 5 * 60 < len(coco["annotations"]) < 9 * 60
    pairs = {(one["image_id"], one["category_id"]) for one in coco["annotations"]}
    assert 1.5 * 60 < len(pairs) < 3.5 * 60
    suite = tmp_path / "one"
    source = {"images": "validation", "annotations": "validation.json"}
    data = Detection().read(source, suite, suite)
    predictions = _infer(suite, data)
    assert 10 * 60 < sum(len(one.scores) for one in predictions) < 48 * 60
    assert 0.4 < Detection().evaluate(data, predictions).values["map"] < 0.9


def test_the_table_has_a_column_for_each_build(capsys: pytest.CaptureFixture[str]) -> None:
    """A phase that a build has not is empty there."""
    show({"this build": {"decoding": 1.5, "kB": 2}, "abc": {"decoding": 2}})
    assert capsys.readouterr().out.splitlines()[2:] == ["| decoding | 1.5 | 2 |", "| kB | 2 |  |"]
