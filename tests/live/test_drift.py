"""Drift: what moved is named with rows that show it, and bad files get one message each."""

from __future__ import annotations

import contextlib
import json

import duckdb
import numpy as np
import pytest
from pytest_perfgate.cli import main as command
from pytest_perfgate.cli.drift import lines
from pytest_perfgate.errors import LogError, PerfgateError
from pytest_perfgate.live.drift import compare
from pytest_perfgate.live.gate_record import GateRecord
from pytest_perfgate.live.logs import Logs, read_logs
from pytest_perfgate.records.accuracy import Sketch
from pytest_perfgate.records.session import SessionRecord, SuiteRecord
from pytest_perfgate.stats.image_statistics import NAMES
from scipy import stats

from tests.live import gate
from tests.report import sessions


def drift(folder, alpha=0.01, **changes):
    """The drift of a log against an unchanged record."""
    return compare(gate.record(), read_logs([gate.log(folder, 600, **changes)]), alpha)


def moved(result):
    """Kinds and names of what moved."""
    return {(one.kind, one.name) for one in result.moved}


def test_unchanged_requests_have_not_moved(tmp_path):
    """All statistics and classes are compared."""
    result = drift(tmp_path)
    assert moved(result) == set()
    assert (result.rows, result.images, result.missing, result.notes) == (600, 200, (), ())
    assert len(result.comparisons) == 9 + 4 + 3
    assert "0 of 16 comparisons moved" in list(lines(result))[-1]


def test_brighter_images_are_named_with_rows_that_show_it(tmp_path):
    """The statistics of brightness move; sizes, classes and scores do not."""
    result = drift(tmp_path, brighter=60)
    assert moved(result) == {
        ("input", name) for name in ("brightness", "red_mean", "green_mean", "blue_mean")
    }
    (brightness,) = [one for one in result.moved if one.name == "brightness"]
    assert brightness.now - brightness.before == pytest.approx(60, abs=12)
    assert brightness.since.startswith("2026-11-30T00:0")
    assert len(brightness.examples) == 5
    example = brightness.examples[0]
    assert example.value >= 220
    assert example.image.endswith(".jpg")
    row = int(example.image.removesuffix(".jpg"))
    assert example.time == f"2026-11-30T00:{row // 60:02}:{row % 60:02}Z"
    assert any(f"{example.time}  {example.value:.4g}  {example.image}" in line
               for line in lines(result))  # fmt: skip


def test_unchanged_requests_are_seldom_called_moved():
    """Alpha is that of all comparisons together, at all looks."""
    runs, alpha = 40, 0.2
    generator = np.random.default_rng(11)
    alarms = sum(bool(compare(*unchanged(generator), alpha).moved) for _ in range(runs))
    assert alarms <= stats.binom.isf(1e-4, runs, alpha)


def unchanged(generator):
    """A record and a log of the same distributions, each drawn anew."""
    rows, images = 400, 200
    record = gate.record(images, seed=int(generator.integers(2**31)))
    accuracy = record.recipe.accuracy
    inputs = {name: Sketch.of(generator.normal(size=images)) for name in NAMES}
    recipe = record.recipe.model_copy(
        update={"accuracy": accuracy.model_copy(update={"inputs": inputs})}
    )
    category, score = gate.called(generator, rows)
    start = np.datetime64("2026-11-30T00:00:00", "us")
    logs = Logs(
        where="logs", files={}, suite="pets", recipe="int8", artifacts=("a",),
        artifact=np.zeros(rows, np.int64),
        time=start + np.arange(rows) * np.timedelta64(1, "s"),
        image=np.full(rows, ""), latency=np.ones(rows),
        requests=np.ones(rows, np.int64), errors=np.zeros(rows, np.int64),
        failed=np.zeros(rows, bool), scored=np.ones(rows, bool),
        inputs={name: generator.normal(size=rows) for name in NAMES},
        classes=(np.arange(rows), np.array(gate.CLASSES)[category], score),
    )  # fmt: skip
    return GateRecord("pets", recipe), logs


def test_scores_that_fell_are_named_by_class(tmp_path):
    """Inputs do not move, and shares of classes do not."""
    result = drift(tmp_path, score_drop=0.2)
    assert {("score", "cat"), ("score", "dog")} <= moved(result)
    assert {kind for kind, _ in moved(result)} == {"score"}
    (cat,) = [one for one in result.moved if one.name == "cat"]
    assert max(example.value for example in cat.examples) < 0.5


def test_a_class_that_the_record_does_not_know_is_a_share_that_moved(tmp_path):
    """It is one of `(other)`."""
    result = drift(tmp_path, odd_class=True)
    assert ("share", "(other)") in moved(result)


def test_a_name_is_one_printable_line(tmp_path):
    """An image's name is of whoever sent it: it forges no line of the result."""
    folder = gate.log(tmp_path, 100, brighter=90, image="a.jpg\nmoved  input  \x1b[31mred.jpg")
    result = compare(gate.record(), read_logs([folder]), 0.01)
    assert result.moved[0].examples[0].image.startswith("a.jpg\nmoved")
    text = [line for line in lines(result) if "a.jpg" in line]
    assert text
    assert all("\n" not in line for line in text)


def test_what_cannot_be_compared_is_said(tmp_path):
    """Too few rows, and another artifact than the gate's."""
    logs = read_logs([gate.log(tmp_path, 15, artifact="b" * 64)])
    result = compare(gate.record(), logs, 0.01)
    assert result.missing == (
        "15 rows have statistics, and a comparison takes 20 or more",
        "15 rows have scores, and a comparison takes 20 or more",
    )
    assert result.notes == ("the artifact that answered is not the one that the gate measured",)
    assert all(one.rows == 0 and one.p == 1 for one in result.comparisons)
    assert "too few rows" in "\n".join(lines(result))


@pytest.mark.parametrize("lost", ["scores", "statistics"])
def test_rows_that_could_not_be_read_are_not_taken_for_unmoved(tmp_path, lost):
    """They may be those that moved: images of another camera, or scores that are no numbers. Few
    of them change nothing.
    """
    notes = {}
    for share in (0.5, 0.001):
        folder = tmp_path / str(share)
        logs = read_logs([gate.log(folder, 600, lost={lost: share})])
        notes[share] = compare(gate.record(), logs, 0.01).missing
    (note,) = notes[0.5]
    assert f"of 600 rows have no {lost}, which were not compared" in note
    assert notes[0.001] == ()


def test_a_record_without_statistics_is_compared_by_its_classes(tmp_path):
    """Such as that of a session before they were kept; what is missing is said."""
    record = gate.record()
    accuracy = record.recipe.accuracy.model_copy(update={"inputs": {}})
    bare = GateRecord("pets", record.recipe.model_copy(update={"accuracy": accuracy}))
    result = compare(bare, read_logs([gate.log(tmp_path, 100)]), 0.01)
    assert result.missing == ("the record has no statistics of its images",)
    assert {one.kind for one in result.comparisons} == {"share", "score"}


def test_rows_far_apart_are_compared_and_all_are_counted(tmp_path):
    """Of a row each second, one each minute; the others keep their requests."""
    logs = read_logs([gate.log(tmp_path, 600)])
    thin = logs.thinned(60)
    assert (logs.rows, thin.rows) == (600, 10)
    assert thin.requests.sum() == 600
    assert (
        np.isfinite(thin.inputs["width"]).sum() == len(thin.classes[0]) == thin.scored.sum() == 10
    )
    assert set(np.diff(np.flatnonzero(thin.scored))) == {60}
    assert logs.thinned(0) is logs


def test_logs_that_cannot_be_used_get_one_message_each(tmp_path):
    """It names the place and the next step."""
    whole = gate.log(tmp_path / "whole", 30)
    (file,) = whole.glob("*.parquet")

    def refused(place, match):
        with pytest.raises(LogError, match=match) as caught:
            read_logs([place])
        assert caught.value.where.startswith(str(tmp_path))
        assert caught.value.next_step

    refused(tmp_path / "absent", "no such folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no Parquet files")
    foreign = tmp_path / "foreign.parquet"
    newer = tmp_path / "newer.parquet"
    narrow = tmp_path / "narrow.parquet"
    for target, query in (
        (foreign, "(SELECT 1 AS x) TO '{}' (FORMAT parquet)"),
        (newer, "(SELECT 1 AS x) TO '{}' (FORMAT parquet, KV_METADATA {{perfgate_live: '2'}})"),
        (narrow, "(SELECT 1 AS x) TO '{}' (FORMAT parquet, KV_METADATA {{perfgate_live: '1'}})"),
    ):
        with contextlib.closing(duckdb.connect()) as engine:
            engine.execute(f"COPY {query.format(target)}")
    refused(foreign, "not a log of this version")
    refused(newer, "version of the monitor, and is of version 2")
    refused(narrow, "columns are not those of a log: time")
    damaged = tmp_path / "damaged.parquet"
    content = bytearray(file.read_bytes())
    content[200:400] = bytes(200)
    damaged.write_bytes(content)
    refused(damaged, "it is damaged")
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(file.read_bytes()[:-100])
    refused(cut, "it is damaged")
    gate.log(whole, 30, seed=2, name="fp32")
    refused(whole, "rows are of 2 recipes: pets/fp32, pets/int8")
    no_rows = gate.log(tmp_path / "none", 0)
    refused(no_rows, "there are no rows")


def test_a_record_that_does_not_fit_is_refused(tmp_path):
    """Of another recipe, or without anything to compare."""
    logs = read_logs([gate.log(tmp_path, 30)])
    with pytest.raises(LogError, match="the log is of pets/int8, and the record of pets/fp32"):
        compare(gate.record(name="fp32"), logs, 0.01)
    bare = gate.record().recipe
    accuracy = bare.accuracy.model_copy(update={"matches": None, "inputs": {}})
    empty = GateRecord("pets", bare.model_copy(update={"accuracy": accuracy}))
    with pytest.raises(LogError, match="neither statistics of the images nor scores"):
        compare(empty, logs, 0.01)
    with pytest.raises(PerfgateError, match="alpha"):
        compare(gate.record(), logs, 0.0)


def session_file(folder, record):
    """A session's JSON with one record."""
    suite = SuiteRecord(
        name=record.suite, folder="suites/pets", task="classification", model="m",
        recipes=(record.recipe,),
    )  # fmt: skip
    session: SessionRecord = sessions.healthy().model_copy(update={"suites": (suite,)})
    file = folder / "session.json"
    file.write_text(session.model_dump_json())
    return file


def test_the_command_has_an_exit_code_and_json(tmp_path, capsys):
    """0 where nothing moved, 1 where something did, 10 where something was not compared."""
    record = session_file(tmp_path, gate.record())
    same, bright, few = (
        str(gate.log(tmp_path / name, rows, brighter=brighter))
        for name, rows, brighter in (("same", 100, 0), ("bright", 100, 90), ("few", 10, 0))
    )
    assert command.main(["drift", str(record), same]) == 0
    assert "pets/int8: 100 rows from 2026-11-30T00:00:00Z" in capsys.readouterr().out
    assert command.main(["drift", str(record), bright, "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["comparisons"][0]["moved"]
    assert command.main(["drift", str(record), few]) == 10
    assert command.main(["drift", str(record), str(tmp_path / "absent")]) == 10
    assert "no such folder" in capsys.readouterr().err
    assert command.main(["drift", str(record), same, "--recipe=fp32"]) == 10
    assert "there is no recipe 'fp32'" in capsys.readouterr().err


def test_a_file_that_two_paths_name_is_read_once(tmp_path):
    """Its folder, a link to the folder and the file itself: rows count once."""
    folder = gate.log(tmp_path / "logs", 20)
    (tmp_path / "link").symlink_to(folder)
    logs = read_logs([folder, tmp_path / "link", next(folder.iterdir())])
    assert len(logs.time) == 20
