"""Numbers and keys beyond reason are refused when the suite is read, and at once."""

from __future__ import annotations

import cProfile
import time
from pathlib import Path

import pytest

from tests.suite.texts import FP32, ONNX, SUITE, read

SEARCHED = """\
[[recipe]]
name = "searched"
from = "fp32"
steps = [{ prune = "structured", pruning_ratio = { search = { RANGE } } }]
search = { trials = TRIALS }
[recipe.budgets]
map = { drop = 0.1 }
"""


def of_suite(line: str) -> str:
    """A suite file with one more line in `[suite]`."""
    return SUITE.replace("[suite.data]", f"{line}\n[suite.data]") + FP32


def of_input(line: str) -> str:
    """A suite file with one line in `[suite.input]`."""
    return f"{SUITE}[suite.input]\n{line}\n{FP32}"


def of_budget(line: str) -> str:
    """A suite file with one budget."""
    return f"{SUITE}{FP32}[recipe.budgets]\n{line}\n"


def of_runtime(options: str) -> str:
    """A suite file whose runtime has options."""
    return SUITE + FP32.replace('"torch"', f'{{ name = "torch", {options} }}')


def of_search(span: str = "low = 0.1, high = 0.5", trials: str = "5") -> str:
    """A suite file with a range."""
    recipe = SEARCHED.replace("RANGE", span).replace("TRIALS", trials)
    return SUITE + FP32 + ONNX + recipe


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (of_input("std = [0, 1, 1]"), "suite.input.std[0]"),
        (of_input("std = [1e-300, 1, 1]"), "suite.input.std[0]"),
        (of_input("mean = [nan, 0, 0]"), "suite.input.mean[0]: nan"),
        (of_input("mean = [0, inf, 0]"), "suite.input.mean[1]: inf"),
        (of_input("size = [10_000_000_000, 1]"), "suite.input.size[0]"),
        (of_input("multiple = 1_000_000_000_000"), "suite.input.multiple"),
        (of_suite("threads = 10_000"), "suite.threads: 10000"),
        (of_suite("batch = 1e18"), "suite.batch"),
        (of_budget("map = { min = 2 }"), "map is in [0, 1]"),
        (of_budget("map = { min = 0 }"), "no value of map breaks such a limit"),
        (of_budget("map = { regression = 1 }"), "no value of map breaks such a limit"),
        (of_budget("map = { per_class = { min = 0.0 } }"), "valid: above 0"),
        (of_budget("ece = { max = 1 }"), "valid: below 1"),
        (of_budget('throughput = { min = "0 img/s" }'), "no value of throughput breaks"),
        (of_budget('throughput = { regression = "100%" }'), "valid: below 100%"),
        (
            of_budget('map = { min = 0.5, when = { cpu = "avx512vnni" } }'),
            "budgets.map.when.cpu: 'avx512vnni' is no CPU feature",
        ),
        (of_budget(f"map = {{ min = {'9' * 5_001} }}"), "4300 digits"),
        (of_budget(f"map = {{ min = 0x{'f' * 5_001} }}"), "more than 64 bits"),
        (of_budget("map = { min = 9_223_372_036_854_775_808 }"), "more than 64 bits"),
        (of_runtime("threads = 10_000"), "at most 4,096"),
        (SUITE + FP32 + 'workload = { name = "batches", size = 1e18 }\n', "at most 1,000,000,000"),
        (
            SUITE + FP32 + 'workload = { name = "loader", batch_size = 1e18 }\n',
            "at most 65,536",
        ),
        (of_search("low = 0.1, high = 0.5, step = 1e-300"), "more than 1,000,000 values"),
        (of_search("low = 0.1, high = inf"), "high: inf"),
        (of_search(trials="1_000_000_000_000"), "search.trials"),
        (f"{SUITE}{FP32}a{'.a' * 100_000} = 1\n", "has more than 32 parts"),
        (f'{SUITE}{FP32}"a"{" . a" * 100_000} = 1\n', "has more than 32 parts"),
        (f"{SUITE}{FP32}[a{'.a' * 100_000}]\n", "has more than 32 parts"),
        (f"{SUITE}{FP32}steps = [{{ a{'.a' * 100_000} = 1 }}]\n", "has more than 32 parts"),
        (f"{SUITE}{FP32}a{'.a' * 31} = 1\n", "nested more than 32 times"),
        (f"{SUITE}{FP32}steps = {'[' * 100_000}{']' * 100_000}\n", "not TOML"),
        (f"{SUITE}{FP32}#{'a' * 4_000_000}\n", "a suite file may have 4,000,000"),
    ],
)
def test_what_is_beyond_reason_is_refused_in_time(tmp_path: Path, text: str, words: str) -> None:
    """The error names the key and the value, however large, in less than two seconds."""
    start = time.process_time()  # other work on this machine is not the reader's
    suite_file = read(tmp_path, text)
    assert time.process_time() - start < 2
    problems = [*suite_file.suite_problems]
    problems += [error for errors in suite_file.problems.values() for error in errors]
    assert problems, "it was accepted"
    assert words in str(problems[0])
    assert str(problems[0]).startswith("suites/demo/recipes.toml")


def test_what_is_large_and_not_absurd_is_taken(tmp_path: Path) -> None:
    """The largest batch, a size of a satellite's picture, a million samples."""
    text = SUITE.replace("[suite.data]", "batch = 65_536\nthreads = 4_096\n[suite.data]")
    text += "[suite.input]\nsize = [65_536, 65_536]\nstd = [1e-6, 58.4, 1]\nmean = [123.7, 0, 0]\n"
    suite_file = read(tmp_path, text + FP32)
    assert not suite_file.suite_problems
    assert not suite_file.problems


def of_recipes(count: int, parent: str) -> str:
    """A suite file with many recipes, the last one first."""
    recipe = '[[recipe]]\nname = "r{0}"\nfrom = "{1}"\n[recipe.budgets]\nmap = {{ drop = 0.1 }}\n'
    names = (parent.format(number - 1, (number + 1) % count) for number in range(count))
    lines = [recipe.format(number, name) for number, name in enumerate(names)]
    return SUITE + FP32 + "".join(reversed(lines)).replace('"r-1"', '"fp32"')


@pytest.mark.parametrize(
    ("parent", "words"),
    [
        ("fp32", ""),
        ("r{0}", ""),
        ("x{0}", "there is no recipe 'x-1'"),
        ("rr{0}", "there is no recipe 'rr-1'"),
        ("r{1}", "others -> r"),
    ],
    ids=["flat", "chain", "no parents", "misspelt parents", "circle"],
)
def test_the_work_grows_as_the_recipes_do(tmp_path: Path, parent: str, words: str) -> None:
    """Two thousand recipes are read or refused in two seconds; a reader that looks from each recipe
    at all others takes minutes. Calls are counted, which are the same on every machine.
    """
    calls = []
    for count in (250, 1_000):
        text = of_recipes(count, parent)
        profile = cProfile.Profile()
        suite_file = profile.runcall(read, tmp_path, text)
        calls.append(sum(entry.callcount for entry in profile.getstats()))
        problems = [str(errors[0]) for errors in suite_file.problems.values()]
        assert len(problems) == (count if words else 0)
        assert any(words in problem for problem in problems) == bool(words)
        assert max(map(len, problems), default=0) < 4_000
    assert calls[1] < 8 * calls[0]  # four times as many recipes; by the square it would be 16
