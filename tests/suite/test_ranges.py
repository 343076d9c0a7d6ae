"""Ranges in a suite file: read, checked at their ends, filled in, and written out again."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_perfgate.building.file_digests import Digests
from pytest_perfgate.files import digest_of
from pytest_perfgate.machine.fingerprint import this_machine
from pytest_perfgate.records.recipe import Range
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.search.freeze import frozen, inline
from pytest_perfgate.search.run import _folder, _study_key, _write_files
from pytest_perfgate.search.trials import goal_of
from pytest_perfgate.suite import reading
from pytest_perfgate.suite.json_schema import suite_schema
from pytest_perfgate.suite.metrics import metrics_of
from pytest_perfgate.suite.ranges import count, ends, exact

from tests.suite.texts import FP32, SUITE, problem, read

optuna = pytest.importorskip("optuna", reason="python -m pip install 'pytest-perfgate[search]'")

SEARCHED = """\
# why this one
[[recipe]]
name    = "found"
from    = "fp32"
steps   = [
    { export = "onnx" }, # as ever
    { quantize = "static", samples = { search = { low = 8, high = 64, step = 8 } }, nodes_to_exclude = NODES },
]
runtime = { name = "onnxruntime", threads = { search = { choices = [1, 2] } } }
search  = { trials = 12, seconds = "10 min", seed = 3 } # enough
[recipe.budgets]
map = { drop = 0.02 }

# of the next
[[recipe]]
name    = "other"
from    = "fp32"
runtime = "torch"
""".replace("NODES", '{ search = { choices = [[], ["a"], ["a", "# } b"]] } }')  # noqa: E501 - TOML's tables are lines
DATA = SUITE + 'calibration = "demo.data:calibration"\n' + FP32
PLACES = ("steps[1].samples", "steps[1].nodes_to_exclude", "runtime.threads")


def test_ranges_are_read_with_their_places_and_the_first_value_stands_there(tmp_path: Path) -> None:
    """The recipe can be looked at before anything is searched; what it needs is asked for."""
    suite = read(tmp_path, DATA + SEARCHED).suite
    assert suite is not None
    result = suite.recipes["found"]
    assert result.search is not None
    assert tuple(span.place for span in result.search.ranges) == PLACES
    assert (result.search.trials, result.search.seconds, result.search.seed) == (12, 600.0, 3)
    assert result.chain[1].options["samples"] == 8
    assert result.runtime.options["threads"] == 1
    assert count(result.search.ranges) == 8 * 3 * 2
    assert suite.recipes["other"].search is None


VALUES = st.fixed_dictionaries(
    {
        PLACES[0]: st.integers(1, 8).map(lambda number: number * 8),
        PLACES[1]: st.sampled_from([[], ["a"], ["a", "# } b"]]),
        PLACES[2]: st.sampled_from([1, 2]),
    }
)


@settings(max_examples=20, deadline=None)
@given(values=VALUES)
def test_a_frozen_recipe_parses_to_the_values_that_won(
    tmp_path_factory: pytest.TempPathFactory, values: Mapping[str, Any]
) -> None:
    """And everything else in the file stays, comments too."""
    root = tmp_path_factory.mktemp("law")
    before = read(root, DATA + SEARCHED)
    filled = reading.filled(before, root, "found", values)
    assert filled.search is None
    built = frozen(DATA + SEARCHED, "found", values, "Found by a search.")
    after = read(root, built.file).suite
    assert after is not None
    assert after.recipes["found"] == filled
    assert before.suite is not None
    assert after.recipes["other"] == before.suite.recipes["other"]
    for comment in ("# why this one", "# as ever", "# of the next", "# Found by a search."):
        assert comment in built.file
    assert "# enough" not in built.file
    assert built.entry in built.file


def test_what_cannot_be_edited_is_written_from_its_data(tmp_path: Path) -> None:
    """One runtime of several: an entry, and no file."""
    several = (
        (DATA + SEARCHED)
        .replace("runtime = { name", 'runtime = ["openvino", { name')
        .replace("[1, 2] } } }", "[1, 2] } } }]")
    )
    result = read(tmp_path, several)
    assert result.suite is not None
    values = {PLACES[0]: 16, PLACES[1]: ["a"]}
    assert result.suite.recipes["found-openvino"].search is not None
    built = frozen(several, "found-openvino", values, "Found.")
    assert built.file == ""
    after = read(tmp_path, DATA + built.entry).suite
    assert after is not None
    filled = reading.filled(result, tmp_path, "found-openvino", values)
    assert after.recipes["found-openvino"] == filled


@st.composite
def spans(draw: st.DrawFn) -> Range:
    """Ranges of numbers of every kind."""
    if draw(st.booleans()):
        low, size = draw(st.integers(-50, 50)), draw(st.integers(1, 5))
        steps = draw(st.integers(1, 9))
        if draw(st.booleans()):
            return Range("x", low, low + size * steps, step=size)
        return Range("x", max(low, 1), max(low, 1) + steps, log=draw(st.booleans()))
    low = draw(st.integers(1, 500)) / 1000
    step = draw(st.sampled_from([0.05, 0.1, 0.25, 0.001]))
    steps = draw(st.integers(1, 20))
    if draw(st.booleans()):
        return Range("x", low, float(f"{low + step * steps:.6g}"), step=step)
    return Range("x", low, low * draw(st.integers(2, 10_000)), log=draw(st.booleans()))


@settings(max_examples=100, deadline=None)
@given(span=spans(), seed=st.integers(0, 1000))
def test_what_is_drawn_lies_in_its_range_and_is_written_as_it_is(span: Range, seed: int) -> None:
    """From a range to a value and back: on its grid, of its type, the same when read again."""
    from pytest_perfgate.search.study import distributions, values_of

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    drawn = study.ask(distributions([span])).params
    value = values_of([span], drawn)["x"]
    assert span.low <= value <= span.high
    assert isinstance(value, type(span.low))
    assert exact(span, value) == value
    assert tomllib.loads(tomlkit.dumps({"x": inline(value)}))["x"] == value
    if span.step is not None:
        assert round((value - span.low) / span.step, 6) % 1 == 0
    for end in ends(span):
        assert exact(span, end) == end


WRONG = [
    ("{ low = 64, high = 8 }", "low 64 is not below high 8"),
    ("{ low = 8, high = 60, step = 8 }", "is not a whole number of steps"),
    ("{ low = 0.0, high = 1.0, step = 1e-300 }", "more than 1,000,000 values"),
    ("{ low = 0, high = 8, log = true }", "a logarithmic range begins above 0"),
    ("{ low = 1, high = 8, log = true, step = 2 }", "a range has either log or step"),
    ("{ low = 8 }", "'high' is missing"),
    ("{ low = 8, high = 16, lgo = true }", "'lgo' is not a key"),
    ("{ low = -8, high = 16 }", "-8: input should be greater"),
    ("{ low = 8.0, high = 16.0 }", "valid integer"),
    ("{ choices = [8] }", "at least 2"),
    ("{ choices = [8, 8] }", "twice"),
    ('{ choices = [8, "many"] }', "'many'"),
    ("{ choices = [8, { search = { low = 1, high = 2 } }] }", "cannot be a range itself"),
    ("8", "should be"),
]


@pytest.mark.parametrize(("range_", "said"), WRONG)
def test_a_range_is_checked_before_anything_is_built(
    tmp_path: Path, range_: str, said: str
) -> None:
    """At its ends, by the step's own options, with the place and the value."""
    text = SEARCHED.replace("{ low = 8, high = 64, step = 8 }", range_)
    reported = problem(read(tmp_path, DATA + text), "found")
    assert said in reported
    assert "samples" in reported


def test_a_search_needs_ranges_a_budget_on_accuracy_and_a_reference(tmp_path: Path) -> None:
    """Without any of them there is nothing to search, or nothing that holds it."""
    without = "\n".join(line for line in SEARCHED.splitlines() if not line.startswith("search"))
    assert "no key `search`" in problem(read(tmp_path, DATA + without), "found")
    bare = DATA + '[[recipe]]\nname = "r"\nfrom = "fp32"\nsearch = { trials = 3 }\n'
    assert "no ranges, nothing to search" in problem(read(tmp_path, bare), "r")
    blind = SEARCHED.replace("map = { drop", "latency_p50 = { speedup").replace("0.02", "2")
    assert "no budget on accuracy" in problem(read(tmp_path, DATA + blind), "found")
    stored = SEARCHED.replace("map = { drop", "map = { regression")
    assert "no budget on accuracy" in problem(read(tmp_path, DATA + stored), "found")
    root = FP32.replace(
        '"torch"', '{ name = "torch", threads = { search = { choices = [1, 2] } } }'
    )
    root += "search = { trials = 3 }\n[recipe.budgets]\nmap = { min = 0.5 }\n"
    assert "a reference cannot have ranges" in problem(read(tmp_path, SUITE + root), "fp32")
    late = SEARCHED.replace('"10 min"', '"0 s"')
    assert "'0 s' is not above 0" in problem(read(tmp_path, DATA + late), "found")
    child = SEARCHED.replace('"other"\nfrom    = "fp32"', '"other"\nfrom    = "found"')
    reported = problem(read(tmp_path, DATA + child), "other")
    assert "derived from 'found', whose values are searched" in reported
    assert "pytest-perfgate freeze found" in reported


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('seconds = "10 mb"', "search.seconds: 'mb' is not a unit"),
        ('metric = "peak_memory"', "'peak_memory' is not a time or rate"),
        ('metric = "throughputs"', "did you mean 'throughput'?"),
    ],
)
def test_a_search_has_a_time_and_a_goal_that_it_can_have(
    tmp_path: Path, setting: str, said: str
) -> None:
    """What it is for is a time or a rate that its workload measures."""
    text = SEARCHED.replace('seconds = "10 min"', setting)
    assert said in problem(read(tmp_path, DATA + text), "found")


def test_a_range_stands_in_place_of_a_whole_option(tmp_path: Path) -> None:
    """Not in a list, not where a number stands, and not in place of a name."""
    inside = SEARCHED.replace("{ search = { choices = [1, 2] } } }", "[{ search = {} }] }")
    reported = problem(read(tmp_path, DATA + inside), "found")
    assert "a range replaces a whole value" in reported
    inside = SEARCHED.replace(
        "{ search = { choices = [1, 2] } } }", "{ a = { search = { choices = [1, 2] } } } }"
    )
    assert "valid integer" in problem(read(tmp_path, DATA + inside), "found")
    named = SEARCHED.replace('name = "onnxruntime"', 'name = { search = { choices = ["a", "b"] } }')
    assert "a name cannot be a range" in problem(read(tmp_path, DATA + named), "found")


def test_values_of_other_ranges_are_refused(tmp_path: Path) -> None:
    """What was found belongs to the ranges that it was looked for in."""
    result = read(tmp_path, DATA + SEARCHED)
    with pytest.raises(reading.RecipeError, match="other ranges"):
        reading.filled(result, tmp_path, "found", {PLACES[0]: 8})


def test_editors_know_ranges() -> None:
    """The JSON schema takes them where an option may stand, and nothing else there."""
    schema = suite_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.Draft202012Validator(schema)
    data = tomllib.loads(DATA + SEARCHED)
    checker.validate(data)
    data["recipe"][1]["steps"][1]["samples"]["search"]["hgih"] = 8
    with pytest.raises(jsonschema.ValidationError):
        checker.validate(data)


def test_another_range_or_budget_is_another_study_and_more_trials_are_not(tmp_path: Path) -> None:
    """What was found for something else is never taken for this."""

    def key(text: str) -> str:
        suite = read(tmp_path, text).suite
        assert suite is not None
        result = suite.recipes["found"]
        goal = goal_of(result, metrics_of(suite.task), this_machine())
        return digest_of(_study_key(suite, result, goal, this_machine()))

    text = DATA + SEARCHED
    assert key(text) == key(text.replace("trials = 12", "trials = 30").replace("10 min", "1 min"))
    changed = [
        text.replace("high = 64", "high = 48"),
        text.replace("drop = 0.02", "drop = 0.03"),
        text.replace("seed = 3", "seed = 4"),
        text.replace('"static"', '"static", per_channel = false'),
        text.replace("demo.model:build", "demo.model:other"),
        text.replace("trials = 12", 'trials = 12, metric = "throughput"'),
        text.replace('"torch"', '{ name = "torch", threads = 2 }', 1),
    ]
    assert len({key(content) for content in [text, *changed]}) == 1 + len(changed)


def test_files_that_have_changed_begin_another_study(tmp_path: Path) -> None:
    """And the first one is there again when they are as they were."""
    requested = for_command(tmp_path, "test")
    (tmp_path / "model.py").write_text("one")
    first = _folder(requested, "key")
    first.mkdir(parents=True)
    _write_files(first, {"model.py": Digests(tmp_path).digest("model.py")})
    assert _folder(requested, "key") == first
    (tmp_path / "model.py").write_text("two")
    assert _folder(requested, "key") != first
    (tmp_path / "model.py").write_text("one")
    assert _folder(requested, "key") == first
