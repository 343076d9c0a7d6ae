"""Bisection on made-up repositories of real model code: how often it is right, how long it takes.

    python -m benchmarks.bisecting                20 ranges of 64 commits with a step of 5 %, 5
                                                  without one
    python -m benchmarks.bisecting --quick        one of 16 commits with a step, one without
    python -m benchmarks.bisecting --json FILE    and the figures as JSON

Each repository is new. Its model is a depthwise-separable network in torch, in code of its own;
every commit changes that code. One of them makes the network 5 % deeper, others only rename or
comment. Some commits are on a branch that was merged, and some do not build.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.machine.locks import exclusive
from pytest_perfgate.metric import PERFORMANCE
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.suite.lookup import find
from pytest_perfgate.versions.bisection import Bisection
from pytest_perfgate.versions.commit_range import read_range

METRIC = "latency_p50"
DEPTH, DEEPER = 40, 42
_SECONDS = 300.0
_BROKEN = 1 / 32  # of the commits do not build
_BRANCH = 5  # commits of the merged branch

_NET = '''\
"""A classifier of depthwise-separable blocks."""

import torch
from torch import nn

DEPTH = {depth}
WIDTH = 24


class Block(nn.Module):
    """Depthwise, pointwise, and the input added."""

    def __init__(self, width):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.pointwise = nn.Conv2d(width, width, 1)

    def forward(self, x):
        return x + torch.relu(self.pointwise(self.depthwise(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 3, stride=4, padding=1)
        self.blocks = nn.Sequential(*(Block(WIDTH) for _ in range(DEPTH)))
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def build():
    torch.manual_seed(0)
    return Net().eval()


def validation():
    import numpy as np

    from pytest_perfgate.tasks.classification import ClassificationData

    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (8, 96, 96, 3), dtype=np.uint8)
    return ClassificationData(images, np.arange(8) % 2, ("cat", "dog"))
'''
_RECIPES = """\
[suite]
task  = "classification"
model = "net:build"
[suite.data]
validation = "net:validation"
[[recipe]]
name    = "eager"
runtime = "torch"
"""


@dataclass(frozen=True)
class Planted:
    """A repository: the commit that brought the step, "" for none, and the ends of the range."""

    root: Path
    culprit: str
    good: str
    bad: str


@dataclass(frozen=True)
class Trial:
    """One bisection.

    Attributes:
        right: the culprit was named alone, or with neighbours that do not build; without a step,
            none was proven.
        named: how many commits were named.
        change: the end over the start, less 1.
    """

    step: bool
    right: bool
    named: int
    probability: float
    change: float
    launches: int
    seconds: float
    unbuilt: int


def git(folder: Path, *arguments: str) -> str:
    """What git prints."""
    who = ("-c", "user.name=b", "-c", "user.email=b@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def plant(root: Path, commits: int, seed: int, *, step: bool) -> Planted:
    """A repository of so many commits after the first; a few of them on a branch."""
    generator = random.Random(seed)  # noqa: S311 - a made-up repository, no secret
    suite = root / "suites" / "net"
    suite.mkdir(parents=True)
    (suite / "recipes.toml").write_text(_RECIPES)
    (root / "pytest.ini").write_text("[pytest]\n")
    (root / ".gitignore").write_text(".perfgate\n__pycache__\n")
    git(root, "init", "--quiet", "--initial-branch", "main")
    _write(root, 0, deeper=False, broken=False)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    good = git(root, "rev-parse", "HEAD")
    where = generator.randrange(1, commits + 1) if step else 0
    branch = generator.randrange(1, commits - 2 * _BRANCH)
    culprit = ""
    for number in range(1, commits + 1):
        if number == branch:
            git(root, "checkout", "--quiet", "-b", "topic")
        if number == branch + _BRANCH:
            git(root, "checkout", "--quiet", "main")
            git(root, "merge", "--quiet", "--no-ff", "--message", "Merge topic", "topic")
            if (
                where == number
            ):  # the merge takes the place of this commit, so the next has the step
                where += 1
            continue
        ends = number in {where, commits}
        broken = not ends and generator.random() < _BROKEN
        _write(root, number, deeper=bool(where) and number >= where, broken=broken)
        git(root, "commit", "--all", "--quiet", "--message", f"commit {number}")
        if number == where:
            culprit = git(root, "rev-parse", "HEAD")
    return Planted(root, culprit, good, git(root, "rev-parse", "HEAD"))


def _write(root: Path, number: int, *, deeper: bool, broken: bool) -> None:
    """The model's code at one commit: another helper's name, other comments."""
    code = _NET.format(depth=DEEPER if deeper else DEPTH)
    code += f"\n\ndef helper_{number}(value):\n    # {number}\n    return value + {number}\n"
    if broken:
        code += "raise ImportError('half a refactoring')\n"
    (root / "net.py").write_text(code)


def bisect(planted: Planted, seconds: float) -> Trial:
    """One bisection, from the suite file to the named commit."""
    settings = for_command(planted.root, "benchmark", seconds=seconds, wait=3600)
    suite, recipe = find("eager", planted.root, planted.root)
    span = read_range(planted.root, planted.good, planted.bad)
    metric = PERFORMANCE[METRIC]
    bisection = Bisection(suite, recipe.name, metric, span, settings, lambda _: None)
    with exclusive(None, settings.wait, print):
        outcome = bisection.run()
    named = [span.commits[number].commit for number in outcome.culprits]
    alone = len(named) == 1 or "could not be measured" in outcome.reason
    right = (planted.culprit in named and alone) if planted.culprit else not named
    return Trial(
        step=bool(planted.culprit),
        right=right,
        named=len(named),
        probability=outcome.probability,
        change=outcome.change[0],
        launches=outcome.launches,
        seconds=outcome.seconds,
        unbuilt=len(outcome.problems),
    )


def summary(trials: Sequence[Trial]) -> list[str]:
    """The figures in words."""
    lines = []
    for step, what in ((True, "right commit"), (False, "none proven")):
        part = [trial for trial in trials if trial.step is step]
        if part:
            measured = [trial.seconds for trial in part if trial.launches]
            seconds = statistics.median(measured or [math.nan])
            lines.append(
                f"{what}: {sum(trial.right for trial in part)} of {len(part)}; median "
                f"{seconds:.0f} s of measuring, "
                f"{statistics.median(trial.launches for trial in part):.0f} launches"
            )
    return lines


def main() -> int:
    """Prints the figures; 1 when a commit is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one range with a step, one without")
    parser.add_argument("--times", type=int, default=20, help="ranges with a step (default: 20)")
    parser.add_argument("--none", type=int, default=5, help="ranges without one (default: 5)")
    parser.add_argument("--commits", type=int, default=64, help="in a range (default: 64)")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="for measuring a range")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    times, none, commits = arguments.times, arguments.none, arguments.commits
    if arguments.quick:
        times, none, commits = 1, 1, 16
    trials = []
    for number in range(times + none):
        with tempfile.TemporaryDirectory() as folder:
            planted = plant(Path(folder), commits, number, step=number < times)
            try:
                trial = bisect(planted, arguments.seconds)
            except PerfgateError as error:  # the machine's fault counts as a wrong answer
                print(error)
                trial = Trial(number < times, False, 0, 0.0, 0.0, 0, 0.0, 0)
        trials.append(trial)
        print(f"{'right' if trial.right else 'WRONG'}  {trial}", flush=True)
        if arguments.json:
            figures = [asdict(trial) for trial in trials]
            arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    for line in summary(trials):
        print(line)
    return 0 if all(trial.right for trial in trials) else 1


if __name__ == "__main__":
    raise SystemExit(main())
