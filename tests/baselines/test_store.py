"""The store of baselines and the changes that are proposed to it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.baselines import changes
from pytest_perfgate.baselines.baseline import Baseline, StoredMetric
from pytest_perfgate.baselines.store import Store, read_file, rendered
from pytest_perfgate.errors import BaselineError
from pytest_perfgate.machine.fingerprint import Environment, Machine
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.accuracy import Accuracy, Matches, Packed
from pytest_perfgate.records.verdict import Change
from pytest_perfgate.tasks.detection import METRICS
from pytest_perfgate.units import Unit

ALL = {**METRICS, **PERFORMANCE}
NOW = datetime(2026, 11, 23, tzinfo=UTC)
MACHINE = Machine(cpu="Test CPU", features=("avx2",), cores=2, memory=8, os="Linux")
TIMES = (0.0100, 0.0101, 0.0102)


def packed(*values: float) -> Packed:
    """Values as float32."""
    return Packed.of(np.array(values, dtype="<f4"))


def counted(value: int, count: int) -> Packed:
    """One whole number, `count` times."""
    return Packed.of(np.full(count, value, dtype=np.uint16))


def matches(*scores: float) -> Matches:
    """One image's matches with these scores."""
    return Matches(
        thresholds=(0.5,),
        categories=("a",),
        **dict.fromkeys(("image", "category"), counted(0, len(scores))),
        hits=counted(1, len(scores)),
        ignored=counted(0, len(scores)),
        score=packed(*scores),
        truth=Packed.of(np.ones((1, 1), np.int32)),
    )


def baseline(recipe: str = "int8", times: tuple[float, ...] = TIMES, size: float = 100) -> Baseline:
    """A baseline with a time and a size."""
    return Baseline(
        suite="demo",
        recipe=recipe,
        recorded="2026-11-20T10:00:00+00:00",
        machine=MACHINE,
        environment=Environment(python="3.11.1", kernel="6", packages={"numpy": "2.0"}),
        spec="abc",
        metrics={
            "latency_p50": StoredMetric(unit=Unit.SECONDS, value=times[0], launches=times),
            "artifact_size": StoredMetric(unit=Unit.BYTES, value=size),
        },
        accuracy=Accuracy(
            values={"map": 0.5},
            images=3,
            data_digest="d",
            predictions_digest="p",
            matches=matches(0.9),
        ),
    )


def scaled(factor: float) -> tuple[float, ...]:
    """The launches, all slower by a factor."""
    return tuple(value * factor for value in TIMES)


def propose(old: Baseline, new: Baseline) -> dict[str, str]:
    """Metric to kind of change."""
    result = changes.propose({"int8": old}, {"int8": new}, ALL)
    return {change.metric: change.kind for change in result}


# -- the store -----------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    times=st.lists(st.floats(1e-7, 1e4), min_size=1, max_size=6),
    size=st.integers(0, 2**40),
)
def test_what_is_written_is_read_again(tmp_path_factory, times, size):
    """A baseline survives its file to seven digits, and writing it again changes no byte."""
    store = Store(tmp_path_factory.mktemp("store"))
    file = store.write(baseline(times=tuple(times), size=size))
    again = store.read(MACHINE, "demo", "int8")
    assert again is not None
    assert again.metrics["latency_p50"].launches == pytest.approx(times, rel=1e-6)
    assert again.metrics["artifact_size"].value == pytest.approx(size, rel=1e-6)
    assert rendered(again)[0] == file.read_text(encoding="utf-8")


def test_a_baseline_without_detections_is_read_again(tmp_path):
    """No detection at all is a result too, and its empty arrays are readable."""
    empty = baseline().model_copy(update={"accuracy": None})
    assert baseline().accuracy is not None
    accuracy = baseline().accuracy.model_copy(update={"matches": matches()})
    store = Store(tmp_path)
    store.write(empty.model_copy(update={"accuracy": accuracy}))
    assert store.read(MACHINE, "demo", "int8").accuracy.matches.score.array().size == 0


def test_a_file_is_made_for_review(tmp_path):
    """Numbers of a list share a line, and the file ends with a new line."""
    text = Store(tmp_path).write(baseline()).read_text(encoding="utf-8")
    assert '"launches": [0.01, 0.0101, 0.0102]' in text
    assert text.endswith("}\n")


def test_nothing_stored_is_none(tmp_path):
    """A recipe without a baseline has none, and that is no error."""
    assert Store(tmp_path).read(MACHINE, "demo", "int8") is None


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", "a\0b"])
def test_a_name_does_not_leave_the_folder(tmp_path, name):
    """Names with a way out are refused in every place."""
    for names in ((name, "s", "r"), ("m", name, "r"), ("m", "s", name)):
        with pytest.raises(BaselineError, match="cannot be the name"):
            Store(tmp_path).path(*names)


def edited(tmp_path: Path, *path: str, value: object) -> Path:
    """A stored file with one value replaced."""
    file = Store(tmp_path).write(baseline())
    data = json.loads(file.read_text())
    if "matches" in path:  # as files had them in version 2
        data = baseline().model_dump(mode="json") | {"version": 2}
    place = data
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    file.write_text(json.dumps(data))
    return file


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("version",), 99, "pip install --upgrade"),
        (("version",), 0, "never was"),
        (("version",), None, "the file has no version"),
        (("metrics", "latency_p50", "value"), -1.0, "metrics.latency_p50.value"),
        (("metrics", "latency_p50", "value"), float("nan"), "cannot be used"),
        (("metrics", "latency_p50", "launches"), [0.1, -0.1], "must not be negative"),
        (("metrics", "latency_p50", "launches"), "fast", "launches"),
        (("metrics", "latency_p50", "unit"), "parsec", "unit"),
        (("recorded",), "yesterday", "recorded"),
        (("recorded",), "2026-11-20T10:00:00", "zone"),
        (("surprise",), 1, "surprise"),
        (("suite",), "other", "not of demo/int8"),
        (("recipe",), "fp16", "not of demo/int8"),
        (("machine", "cores"), 64, "the folder is named after another"),
        (("accuracy", "matches", "score", "data"), "!!!", "does not unpack"),
        (("accuracy", "matches", "score", "data"), "bm90IHpsaWI=", "does not unpack"),
        (("accuracy", "matches", "score", "dtype"), "nonsense", "does not unpack"),
        (("accuracy", "matches", "score", "dtype"), "O", "does not unpack"),
        (("accuracy", "matches", "score", "shape"), [7], "does not unpack"),
        (("accuracy", "matches", "score", "shape"), [-7], "does not unpack"),
    ],
)
def test_a_file_edited_by_hand_is_refused_and_left(tmp_path, path, value, said):
    """Nonsense is named with its file, and the file is left as it was."""
    file = edited(tmp_path, *path, value=value)
    before = file.read_bytes()
    with pytest.raises(BaselineError) as caught:
        Store(tmp_path).read(MACHINE, "demo", "int8")
    assert said in str(caught.value)
    assert str(file) in str(caught.value)
    assert caught.value.next_step
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_baseline_is_refused(tmp_path, content):
    """Foreign or empty content is an error with a next step, not a crash."""
    file = Store(tmp_path).write(baseline())
    file.write_bytes(content)
    with pytest.raises(BaselineError):
        read_file(file)


@settings(max_examples=30)
@given(share=st.floats(0, 0.999))
def test_a_truncated_file_is_refused(tmp_path_factory, share):
    """A file cut anywhere before its end is never read as a baseline."""
    file = Store(tmp_path_factory.mktemp("cut")).write(baseline())
    content = file.read_bytes().rstrip()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BaselineError):
        read_file(file)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    """When the disk is full the stored file stays, and no part file is left."""
    store = Store(tmp_path)
    file = store.write(baseline())
    before = {place: place.read_bytes() for place in file.parent.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pytest_perfgate.files.os.fsync", full)
    with pytest.raises(BaselineError, match="No space left"):
        store.write(baseline(times=scaled(2)))
    assert {place: place.read_bytes() for place in file.parent.iterdir()} == before


# -- changes -------------------------------------------------------------------------------


@settings(max_examples=40)
@given(times=st.lists(st.floats(1e-6, 10), min_size=1, max_size=6), size=st.integers(0, 10**9))
def test_identical_data_proposes_nothing(times, size):
    """What is measured again just the same moves no baseline."""
    same = baseline(times=tuple(times), size=size)
    assert propose(same, same) == {}


def test_only_what_is_clearly_different_is_proposed():
    """Overlapping launches move nothing; apart, the direction says which change it is."""
    old = baseline()
    assert propose(old, baseline(times=scaled(1.005))) == {}
    assert propose(old, baseline(times=scaled(0.5))) == {"latency_p50": "tighten"}
    assert propose(old, baseline(times=scaled(2))) == {"latency_p50": "loosen"}
    assert propose(old, baseline(size=99)) == {"artifact_size": "tighten"}
    assert propose(old, baseline(size=101)) == {"artifact_size": "loosen"}
    result = changes.propose({}, {"int8": old}, ALL)
    assert {change.kind for change in result} == {"create"}


def test_other_validation_images_renew_scores_of_the_same_value():
    """A score of other images is stored anew, for the next session to be compared with."""
    score = {"map": StoredMetric(unit=Unit.SCORE, value=0.5)}
    old = baseline().model_copy(update={"metrics": score})
    accuracy = old.accuracy.model_copy(update={"data_digest": "other"})
    assert propose(old, old) == {}
    assert propose(old, old.model_copy(update={"accuracy": accuracy})) == {"map": "tighten"}


def test_the_machines_drift_is_taken_out():
    """Launches that moved with the yardstick move no baseline."""

    def beside(yard: float, factor: float) -> Baseline:
        stored = StoredMetric(
            unit=Unit.SECONDS, value=0.01, launches=scaled(factor), yardstick=(yard,) * 3
        )
        return baseline().model_copy(update={"metrics": {"latency_p50": stored}})

    assert propose(beside(0.1, 1), beside(0.2, 2)) == {}
    assert propose(beside(0.1, 1), beside(0.1, 2)) == {"latency_p50": "loosen"}


def test_a_yardstick_of_zero_is_no_crash(tmp_path):
    """A yardstick edited to zero is refused when it is read, or compared without a crash."""
    file = edited(tmp_path, "metrics", "latency_p50", "yardstick", value=[0, 0, 0])
    try:
        old = read_file(file)
    except BaselineError:
        return
    propose(old, baseline())


def write(store: Store, new: dict[str, Baseline], reason: str = "") -> tuple[Change, ...]:
    """Proposes and writes what is new."""
    stored = {
        name: result for name in new if (result := store.read(MACHINE, "demo", name)) is not None
    }
    proposed = changes.propose(stored, new, ALL)
    return changes.write(proposed, new=new, stored=stored, store=store, reason=reason, now=NOW)


def test_a_loosening_needs_a_reason_and_keeps_it(tmp_path):
    """Without a reason nothing is written; with one it stays in the file, the newest last."""
    store = Store(tmp_path)
    file = store.write(baseline())
    before = file.read_bytes()
    new = {"int8": baseline(times=scaled(2), size=50)}
    with pytest.raises(BaselineError, match="int8 latency_p50") as caught:
        write(store, new)
    assert "--perf-reason" in str(caught.value)
    assert file.read_bytes() == before
    assert all(change.written for change in write(store, new, "larger input"))
    write(store, {"int8": baseline(times=scaled(4), size=50)}, "larger still")
    again = store.read(MACHINE, "demo", "int8")
    assert [reason.reason for reason in again.reasons] == ["larger input", "larger still"]
    assert again.reasons[0].before == pytest.approx(0.01)
    assert again.reasons[0].after == pytest.approx(0.02)


def test_a_blank_reason_is_none(tmp_path):
    """Spaces are not a reason."""
    store = Store(tmp_path)
    store.write(baseline())
    with pytest.raises(BaselineError):
        write(store, {"int8": baseline(times=scaled(2))}, "  ")


def test_what_is_not_listed_stays_as_stored(tmp_path):
    """A metric without a change keeps its stored launches."""
    store = Store(tmp_path)
    store.write(baseline())
    write(store, {"int8": baseline(times=scaled(1.005), size=50)})
    again = store.read(MACHINE, "demo", "int8")
    assert again.metrics["latency_p50"].launches == pytest.approx(TIMES)
    assert again.metrics["artifact_size"].value == 50


def test_a_write_is_of_all_recipes_or_of_none(tmp_path):
    """When the second recipe cannot be written, the first one keeps its stored file."""
    store = Store(tmp_path)
    first = store.write(baseline("a"))
    before = first.read_bytes()
    store.path(MACHINE.id, "demo", "b").mkdir()
    new = {"a": baseline("a", size=50), "b": baseline("b")}
    with pytest.raises(BaselineError):
        changes.write(
            changes.propose({"a": baseline("a")}, new, ALL),
            new=new,
            stored={"a": baseline("a")},
            store=store,
            reason="",
            now=NOW,
        )
    assert first.read_bytes() == before


def test_a_first_baseline_is_taken_back_when_the_next_cannot_be_written(tmp_path):
    """A recipe without a stored file has none afterwards."""
    store = Store(tmp_path)
    store.path(MACHINE.id, "demo", "b").mkdir(parents=True)
    with pytest.raises(BaselineError):
        store.write_all([baseline("a"), baseline("b")])
    assert not store.path(MACHINE.id, "demo", "a").exists()


@settings(max_examples=60)
@given(
    recipe=st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=64),
    metric=st.sampled_from(sorted(ALL)),
    after=st.floats(1e-6, 1e9),
    factor=st.none() | st.floats(1e-3, 1e3),
)
def test_a_table_fits_a_terminal(recipe, metric, after, factor):
    """No line of a table of changes is wider than 100 columns."""
    change = Change(
        kind="loosen",
        recipe=recipe,
        metric=metric,
        unit=ALL[metric].unit.value,
        before=None if factor is None else after * factor,
        after=after,
    )
    assert max(map(len, changes.table([change]))) <= 100
