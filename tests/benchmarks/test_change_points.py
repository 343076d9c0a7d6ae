"""The scores that the change detector is judged by, on cases that can be counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.change_points import cover, f1, main, matched, published, read


def test_f1_is_the_papers() -> None:
    """Precision against all annotators, recall as their mean, place 0 in every set."""
    annotations = {"a": [50], "b": [], "c": [50, 90]}
    # Of {0, 48, 70} two are near one of {0, 50, 90}; recalls are 2/2, 1/1 and 2/3.
    precision, recall = 2 / 3, (1 + 1 + 2 / 3) / 3
    expected = 2 * precision * recall / (precision + recall)
    assert f1(annotations, [48, 70]) == pytest.approx(expected)
    assert f1({"a": [], "b": []}, []) == 1.0
    assert matched({10, 12}, {11}) == 1  # a detected change is matched once


def test_covering_is_the_papers() -> None:
    """Halves beside one level of everything overlap by a half."""
    assert cover({"a": [50]}, [50], 100) == 1.0
    assert cover({"a": [50]}, [], 100) == pytest.approx(0.5)
    assert cover({"a": [], "b": [25]}, [], 100) == pytest.approx(
        (1 + (25 * 25 + 75 * 75) / 1e4) / 2
    )


def test_published_means_are_over_the_same_series() -> None:
    """A method that failed on a series scores 0 there; unknown series have no published figures."""
    assert published(["nile", "ozone"])["f1"]["pelt"] == pytest.approx(1.0)
    assert published(["uk_coal_employ"])["f1"]["pelt"] == 0.0
    assert published(["nile", "no_such_series"]) == {}


def test_a_folder_is_read_and_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Series in the data set's form; those with missing values or no annotations are left out."""
    step = [0.0, 0.1, -0.1, 0.05] * 5 + [9.0, 9.1, 8.9, 9.05] * 5
    documents = {"step": step, "gap": [*step[:-1], None], "unknown": step}
    (tmp_path / "sub").mkdir()
    for name, raw in documents.items():
        document = {"n_dim": 1, "series": [{"raw": raw}]}
        (tmp_path / "sub" / f"{name}.json").write_text(json.dumps(document))
    with pytest.raises(SystemExit, match="is not there"):
        read(tmp_path)
    annotations = {"step": {"1": [20]}, "gap": {"1": [20]}}
    (tmp_path / "annotations.json").write_text(json.dumps(annotations))
    assert [one.name for one in read(tmp_path)] == ["step"]
    main(["--data", str(tmp_path), "--quick", "--json", str(tmp_path / "out.json")])
    assert "1 series" in capsys.readouterr().out
    figures = json.loads((tmp_path / "out.json").read_text())[tmp_path.name]
    assert figures["rows"]["this project"] == {"f1": 1.0, "cover": 1.0}
