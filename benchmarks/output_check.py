"""What the comparison of timed outputs with evaluated ones costs, and whether it ever errs.

Sessions of the demo detector on every runtime that is installed, none of which cheats: whatever the
comparison refuses is a false alarm. The cost is measured on the same artifacts: the seconds of the
comparison beside those of the turns that it looks at, and its share of the whole session.
`python -m benchmarks.output_check --help`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pytest_perfgate import registry
from pytest_perfgate.building.opening import open_session
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.measure.bench import Bench
from pytest_perfgate.measure.prepared_arm import Arm
from pytest_perfgate.records.launch import Launch
from pytest_perfgate.records.recipe import Suite
from pytest_perfgate.records.settings import for_command
from pytest_perfgate.suite import reading
from pytest_perfgate.worker import prepare
from pytest_perfgate.worker.loading import read_images
from pytest_perfgate.worker.protocol import RecipeWork
from pytest_perfgate.workloads import WorkContext
from pytest_perfgate.workloads.evaluated_outputs import EvaluatedOutputs
from pytest_perfgate.workloads.images import Images
from pytest_perfgate.workloads.output_check import OutputCheck
from pytest_perfgate.workloads.varied_images import EVALUATED, REPEATED, ROUNDS

from benchmarks.workload import ROOT

TARGET_SHARE = 0.01
_VISITS = 8  # as in a launch
_LAUNCHES = 4  # as many as a session has at least
_IMAGES = 48
_SUITE = "detector"

_MODEL = '''\
"""The demo detector, and a few images of its validation set."""


def build():
    from suites.digits.model import build

    return build()


def _split(name, images):
    import numpy as np
    from pytest_perfgate.tasks.detection import DetectionData
    from suites.digits.data import SPLITS, Composer, instances

    split = SPLITS[name]
    composer = Composer(split, split.seed)
    scenes = [composer.scene() for _ in range(images)]
    return DetectionData(np.stack([scene.image for scene in scenes]), instances(scenes))


def validation():
    return _split("validation", {images})


def calibration():
    return _split("calibration", 16)
'''

_HEAD = """\
[suite]
task  = "detection"
model = "checked_model:build"
[suite.data]
calibration = "checked_model:calibration"
validation  = "checked_model:validation"
[[recipe]]
name    = "torch"
runtime = "torch"
[[recipe]]
name    = "onnxruntime"
from    = "torch"
steps   = [{ export = "onnx" }]
runtime = "onnxruntime"
"""
_INT8 = 'steps = [{ quantize = "static", activations = "uint8", weights = "int8", samples = 16 }]\n'
_MORE = {
    "torch-compiled": ('from = "torch"\nruntime = { name = "torch", compile = true }\n', "torch"),
    "torch-bfloat16": (
        'from = "torch"\nruntime = { name = "torch", autocast = "bfloat16" }\n',
        "torch",
    ),
    "onnxruntime-int8": (f'from = "onnxruntime"\n{_INT8}', "onnxruntime"),
    "openvino": ('from = "onnxruntime"\nruntime = "openvino"\n', "openvino"),
    "openvino-int8": ('from = "onnxruntime-int8"\nruntime = "openvino"\n', "openvino"),
    "opencv": ('from = "onnxruntime"\nruntime = "opencv"\n', "opencv"),
    "ncnn": ('from = "onnxruntime"\nsteps = [{ ncnn = "pnnx" }]\nruntime = "ncnn"\n', "ncnn"),
}
"""Recipes besides the first two, and the runtimes that they need."""


@dataclass(frozen=True)
class Cost:
    """Seconds of the comparison in one launch of a recipe.

    Attributes:
        turns: all turns, the comparison not included.
        between: the comparison, between the turns.
        around: reading what was evaluated, and the look at all turns at the end.
        evaluation: inferences and work that the comparison adds to an evaluation.
    """

    turns: float
    between: float
    around: float
    evaluation: float

    @property
    def launch(self) -> float:
        """Seconds of a launch that the comparison takes."""
        return self.between + self.around


@dataclass
class Tally:
    """What sessions said of one recipe.

    Attributes:
        launches: that it was measured in.
        alarms: what was refused; none of it cheats.
        closest: the smallest ratio of the time of known inputs to that of fresh ones, as the
            comparison has it; below 0.5 is refused.
    """

    launches: int = 0
    alarms: list[str] = field(default_factory=list)
    closest: float = float("inf")


def main() -> None:
    """Prints both tables; exit status 1: a false alarm, or too expensive."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.output_check", description=__doc__)
    parser.add_argument("--sessions", type=int, default=200, metavar="N", help="default: 200")
    parser.add_argument(
        "--quick", action="store_true", help="one session of the first two recipes: a minute"
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write the figures there too, after every session; a run that was stopped goes on",
    )
    options = parser.parse_args()
    if options.sessions < 1:
        parser.error(f"--sessions {options.sessions}: valid: 1 or more")
    wanted = 1 if options.quick else options.sessions
    seconds, tallies = read(options.json) if options.json else ([], {})
    with tempfile.TemporaryDirectory(prefix="output-check-") as folder:
        suite = _suite(Path(folder), quick=options.quick)
        tallies = {name: tallies.get(name, Tally()) for name in suite.recipes}
        works: dict[str, RecipeWork] = {}
        # One session at least: the cost is measured on its artifacts.
        for number in range(min(len(seconds), wanted - 1), wanted):
            seconds.append(_session(suite, tallies, works, fresh=number % 10 == 0))
            alarms = sum(len(tally.alarms) for tally in tallies.values())
            print(f"session {number + 1}: {seconds[-1]:.1f} s, {alarms} false alarms so far")
            if options.json:  # after every session: what ran for hours is not lost
                _write(options.json, seconds, tallies, {})
        costs = {name: _cost(works[name]) for name in suite.recipes if name in works}
    share = _share(costs, seconds)
    _print(seconds, tallies, costs, share)
    if options.json:
        _write(options.json, seconds, tallies, costs)
    unmeasured = [name for name, tally in tallies.items() if not tally.launches]
    if unmeasured or share > TARGET_SHARE or any(tally.alarms for tally in tallies.values()):
        sys.exit(1)


def read(file: Path) -> tuple[list[float], dict[str, Tally]]:
    """The seconds of the sessions in a file, and what they said of each recipe; nothing where there
    is no file yet.
    """
    if not file.exists():
        return [], {}
    figures = json.loads(file.read_text(encoding="utf-8"))
    return figures["sessions"], {name: Tally(**tally) for name, tally in figures["recipes"].items()}


def _suite(folder: Path, *, quick: bool) -> Suite:
    """The demo detector on what is installed, in a project below `folder`."""
    place = folder / "suites_checked" / _SUITE
    place.mkdir(parents=True)
    (folder / "checked_model.py").write_text(_MODEL.replace("{images}", str(_IMAGES)))
    text = _HEAD
    for name, (table, runtime) in ({} if quick else _MORE).items():
        requires = registry.find(registry.RUNTIMES, runtime).requires
        missing = [requirement for requirement in requires if requirement.missing]
        if missing:
            print(f"{name}: left out: {registry.lacks(missing)}")
            continue
        text += f'[[recipe]]\nname = "{name}"\n{table}'
    (place / "recipes.toml").write_text(text)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])
    )
    sys.path.insert(0, str(folder))
    read = reading.read(place / "recipes.toml", folder)
    if read.suite is None or read.problems:
        raise RuntimeError(f"the suite cannot be read: {read.suite_problems or read.problems}")
    return read.suite


def _session(
    suite: Suite, tallies: dict[str, Tally], works: dict[str, RecipeWork], *, fresh: bool
) -> float:
    """One session: builds, evaluates and launches all recipes; gives its seconds."""
    start = time.perf_counter()
    settings = for_command(suite.root, "output_check")
    if fresh:  # a build of its own: a runtime may compile otherwise
        shutil.rmtree(settings.cache, ignore_errors=True)
    arms = [Arm(name, suite, recipe) for name, recipe in suite.recipes.items()]
    with Bench(arms, settings, lambda _: None) as bench:
        bench.prepare()
        blocks = [(name,) for name in suite.recipes]
        for number in range(_LAUNCHES):
            bench.launch(blocks, "", batches=(), last=number + 1 == _LAUNCHES)
        seconds = time.perf_counter() - start
        for name, tally in tallies.items():
            failure = bench.failures.get(name)
            if failure is not None:
                tally.alarms.append(f"{failure.stage}: {failure.problem}")
            launches = bench.record(name).launches
            tally.launches += len(launches)
            tally.closest = min([tally.closest, *map(_closest, launches)])
        for name in bench.alive(suite.recipes):
            works[name] = _kept(bench, name, suite.root)
    return seconds


def _kept(bench: Bench, name: str, folder: Path) -> RecipeWork:
    """An arm's work after its session, whose images are gone with it."""
    work = bench._arm(name).work
    if work is None:
        raise RuntimeError(f"{name} is no recipe's arm")
    images = folder / "images.npz"
    shutil.copy(work.images, images)
    return RecipeWork(
        work.suite, name, work.artifact, work.root, images, work.silence, work.outputs
    )


def _closest(launch: Launch) -> float:
    """The smaller ratio of a launch, see `Tally`."""
    kinds: dict[int, list[float]] = {}
    for number, seconds in zip(launch.rounds, launch.inference, strict=True):
        kind = number % ROUNDS
        kinds.setdefault(kind if kind in {REPEATED, EVALUATED} else -1, []).append(seconds)
    known = (sorted(kinds[kind]) for kind in (REPEATED, EVALUATED))
    return min(times[math.ceil(0.75 * (len(times) - 1))] for times in known) / min(kinds[-1])


def _cost(work: RecipeWork) -> Cost:
    """One launch's turns of a recipe in this process."""
    suite, recipe = work.suite, work.suite.recipes[work.recipe]
    data = SuiteData(suite)
    images = read_images(work.images)
    session = open_session(suite, recipe, work.artifact)
    begin = time.perf_counter()
    evaluated = EvaluatedOutputs.read(work.outputs)
    check = OutputCheck(images, evaluated, data.task.pack, recipe.output_tolerance)
    around = time.perf_counter() - begin
    between = _Stopwatch()
    context = WorkContext(
        session=lambda: session,
        module=lambda: None,
        pipeline=data.pipeline,
        images=images,
        data=data.split,
        trainer=lambda: print,
        batch=suite.batch,
        threads=suite.threads,
        flush=lambda _: None,
        check=_timed(check, between),
    )
    opened = Images().open(Images.Options(), context)
    for number in range(3):
        opened.sample(number)
    check.forget()
    between.seconds = 0.0
    begin = time.perf_counter()
    for number in _numbers():
        opened.sample(number)
    turns = time.perf_counter() - begin - between.seconds
    begin = time.perf_counter()
    check.conclude()
    around += time.perf_counter() - begin
    return Cost(turns, between.seconds, around, _evaluation(turns, between.seconds))


def _evaluation(turns: float, between: float) -> float:
    """What an evaluation does for the comparison: two inferences of some images, and no more work
    on each image that is kept than a launch has on its turns.
    """
    turn = turns / len(list(_numbers()))
    return 2 * prepare._REPEATS * turn + between


def _numbers() -> Iterator[int]:
    """The turns of a launch: one that is not timed before the rounds of each visit."""
    for visit in range(_VISITS):
        yield visit * ROUNDS
        yield from range(visit * ROUNDS, (visit + 1) * ROUNDS)


@dataclass
class _Stopwatch:
    """Seconds that were spent in some functions."""

    seconds: float = 0.0

    def around(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def timed(*arguments: Any) -> Any:
            begin = time.perf_counter()
            try:
                return work(*arguments)
            finally:
                self.seconds += time.perf_counter() - begin

        return timed


def _timed(check: OutputCheck, watch: _Stopwatch) -> OutputCheck:
    """The comparison, with its time taken."""
    vars(check).update(image=watch.around(check.image), inspect=watch.around(check.inspect))
    return check


def _share(costs: dict[str, Cost], seconds: Sequence[float]) -> float:
    """The share of a session that the comparison takes, an evaluation of all recipes included."""
    added = sum(_LAUNCHES * cost.launch + cost.evaluation for cost in costs.values())
    return added / statistics.median(seconds)


def _print(
    seconds: Sequence[float], tallies: dict[str, Tally], costs: dict[str, Cost], share: float
) -> None:
    print(
        f"\n{'recipe':18} {'launches':>8} {'alarms':>7} {'closest':>8} {'turn':>9} "
        f"{'check/turn':>11} {'share':>7} {'around':>8}"
    )
    for name, tally in tallies.items():
        line = f"{name:18} {tally.launches:8} {len(tally.alarms):7} {tally.closest:8.2f}"
        cost = costs.get(name)
        if cost is not None:
            count = len(list(_numbers()))
            line += (
                f" {cost.turns / count * 1e3:6.2f} ms {cost.between / count * 1e6:8.0f} us "
                f"{cost.between / cost.turns:7.2%} {cost.around * 1e3:5.1f} ms"
            )
        print(line)
        for alarm in dict.fromkeys(tally.alarms):
            print(f"    {alarm}")
    print(
        f"\n{len(seconds)} sessions of {_LAUNCHES} launches, {statistics.median(seconds):.1f} s "
        f"(median): the comparison takes {share:.2%} of a session, evaluation included "
        f"(target: {TARGET_SHARE:.0%})"
    )


def _write(
    file: Path, seconds: Sequence[float], tallies: dict[str, Tally], costs: dict[str, Cost]
) -> None:
    figures = {
        "sessions": list(seconds),
        "recipes": {name: asdict(tally) for name, tally in tallies.items()},
        "costs": {name: asdict(cost) for name, cost in costs.items()},
        "share": _share(costs, seconds) if costs else None,
    }
    file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
