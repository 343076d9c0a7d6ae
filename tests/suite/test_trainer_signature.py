"""A trainer's signature by its source: options are refused when a suite is read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pytest_perfgate.suite import reading
from pytest_perfgate.suite.trainer_signature import read_signature

from tests.suite.texts import SUITE, problem, read

TRAINER = """\
import a_framework_that_is_not_there

def fit(
    module, data, *, steps, learning_rate, batch_size, seed, course,
    schedule: "Literal['cosine', 'constant']" = "cosine", warmup: float | None = None,
    sides: tuple[int, ...] = (), teacher: Own = None, REST
): ...
"""

TUNED = """\
train = "demo.data:train"
[[recipe]]
name = "tuned"
runtime = "torch"
steps = [{ finetune = 5, trainer_options = { OPTIONS } }]
"""


def suite(root: Path, options: str, rest: str = "") -> reading.SuiteFile:
    """A suite whose recipe has these options, and whose trainer takes more arguments."""
    package = root / "demo"
    package.mkdir(exist_ok=True)
    (package / "train.py").write_text(TRAINER.replace("REST", rest))
    text = SUITE.replace("[suite.data]", 'trainer = "demo.train:fit"\n[suite.data]')
    return read(root, text + TUNED.replace("OPTIONS", options))


def test_options_that_fit_the_source_are_read(tmp_path: Path) -> None:
    """Nothing is imported to know it; a type of the project's own is left to the step."""
    options = 'schedule = "constant", warmup = 1, sides = [160], teacher = "any"'
    found = suite(tmp_path, options)
    assert found.suite is not None
    assert not found.problems
    assert found.suite.recipes["tuned"].chain[0].options["trainer_options"]["warmup"] == 1
    assert "a_framework_that_is_not_there" not in sys.modules


WRONG = [
    ("warmpu = 0.1", "", ("takes no argument 'warmpu'", "did you mean 'warmup'?")),
    ('warmup = "a lot"', "", ("'a lot' is no float | None", "trainer_options.warmup")),
    ('schedule = "linear"', "", ("'linear' is no Literal", "'constant'")),
    ("sides = [0.5]", "", ("[0.5] is no tuple[int, ...]", "trainer_options.sides")),
    ("", "mosaic: bool", ("needs a value for 'mosaic'", "bool", "trainer_options = { mosaic")),
    ("mosaic = 1", "**others: bool", ("1 is no bool",)),
]


@pytest.mark.parametrize(("options", "rest", "words"), WRONG)
def test_options_that_do_not_fit_are_refused_at_reading(
    tmp_path: Path, options: str, rest: str, words: tuple[str, ...]
) -> None:
    """One message with the recipe, the value and what is valid."""
    reported = problem(suite(tmp_path, options, rest), "tuned")
    assert "recipe 'tuned': steps[0].trainer_options" in reported
    for word in words:
        assert word in reported


@pytest.mark.parametrize(
    "source",
    [
        "@decorated\ndef fit(module, data, *, course): ...",
        "from elsewhere import fit",
        "def fit(module, data, *, course): ...\ndef fit(module, data, *, course, other): ...",
        "def fit(module, data, *more, course): ...",
        "def fit(",
    ],
)
def test_what_the_source_does_not_tell_is_left_to_the_step(tmp_path: Path, source: str) -> None:
    """No guess: a signature that may be another one refuses nothing."""
    (tmp_path / "train.py").write_text(source)
    assert read_signature("train:fit", tmp_path) is None
    assert read_signature("installed.package:fit", tmp_path) is None


def test_a_value_in_the_options_may_be_a_range(tmp_path: Path) -> None:
    """Its ends are held to the signature, and its place is inside the option."""
    pair = "warmup = { search = { low = 0.0, high = 0.5 } }"
    held = """from = "base"
search = { trials = 3, metric = "map@tuning" }
"""
    text = TUNED.replace("OPTIONS", pair).replace('runtime = "torch"\n', held)
    base = '[[recipe]]\nname = "base"\nruntime = "torch"\n'
    text = text.replace(
        "[[recipe]]", f'[suite.data.sets]\ntuning = "demo.data:more"\n{base}[[recipe]]'
    )
    package = tmp_path / "demo"
    package.mkdir()
    (package / "train.py").write_text(TRAINER.replace("REST", ""))
    head = SUITE.replace("[suite.data]", 'trainer = "demo.train:fit"\n[suite.data]')
    found = read(tmp_path, head + text)
    assert found.suite is not None, found.suite_problems
    search = found.suite.recipes["tuned"].search
    assert search is not None, found.problems
    assert [span.place for span in search.ranges] == ["steps[0].trainer_options.warmup"]
    assert search.metric == "map@tuning"
    place = search.ranges[0].place
    filled = reading.filled(found, tmp_path, "tuned", {place: 0.25})
    assert filled.chain[0].options["trainer_options"] == {"warmup": 0.25}

    wrong = text.replace("high = 0.5", "high = 2").replace("low = 0.0", "low = 0")
    wrong = wrong.replace("warmup =", "sides =")
    assert "0 is no tuple" in problem(read(tmp_path, head + wrong), "tuned")
    own = text.replace("map@tuning", "map")
    assert "best by chance" in problem(read(tmp_path, head + own), "tuned")
    assert "map@tuning" in problem(read(tmp_path, head + own), "tuned")
    dotted = text.replace("warmup = {", '"a.b" = {')
    assert "dotted names" in problem(read(tmp_path, head + dotted), "tuned")
