"""Damaged models in workers: built and evaluated as in a session, by the runtimes themselves.

What a library does with such a file is not in our hands: it may raise, crash or hang. The worker's
end is then the recipe's error, in the time that a model has, and with no traceback of our own code.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from pytest_perfgate.machine.cores import usable_cores
from pytest_perfgate.measure.worker_pool import Ended, Job, Pool
from pytest_perfgate.suite import reading
from pytest_perfgate.worker.protocol import Failed, Prepared, PrepareJob

from tests.faults import mutations
from tests.faults.formats import models
from tests.faults.fuzzing import Finding, Format, Outcome, damaged
from tests.squares import HEAD, PLAIN, coco_folder

SECONDS = 10.0
"""That a damaged model of 20 kB may take, built and evaluated."""

SUITE = (HEAD + PLAIN).replace('"validation', '"../validation').replace('"calib', '"../calib')
_WHOLE = -1  # the number of the model without damage
_FRAME = re.compile(r'File "([^"]+)", line \d+, in \w+')
_OWN = "/pytest_perfgate/"

FORM = Format("models in workers", models, mutations.data, lambda *_: None, seconds=SECONDS)


def fuzz_models(count: int, folder: Path, *, seed: int = 0) -> Outcome:
    """Builds and evaluates `count` damaged models, as many at a time as there are cores.

    Of a whole one a refusal is a finding: all others would be refused for the same reason.
    """
    outcome = Outcome(FORM.name, SECONDS)
    jobs = []
    samples = models()
    coco_folder(folder, "validation", 4, seed=1)
    coco_folder(folder, "calibration", 4, seed=2)
    for number in range(-1, count):
        place = folder / f"model-{number}"
        place.mkdir()
        whole = number == _WHOLE
        content = samples[0] if whole else damaged(FORM, number, samples, seed)
        (place / "squares.onnx").write_bytes(content)
        (place / "recipes.toml").write_text(SUITE)
        suite = reading.read(place / "recipes.toml", folder).suite
        if suite is None or "plain" not in suite.recipes:  # before any worker
            if whole:
                outcome.findings.append(Finding(number, "the whole model was refused"))
            else:
                outcome.refused += 1
            continue
        work = PrepareJob(suite, "plain", folder / "cache", place / "images.npz")
        env = {"PERFGATE_CACHE": str(folder / "cache")}
        jobs.append(Job(str(number), work, folder, env, silence=2 * SECONDS))
    answers: dict[str, str] = {}
    started: dict[str, float] = {}
    with Pool(max(1, len(usable_cores())), folder / "logs") as pool:
        for job, event in pool.run(jobs):
            started.setdefault(job.name, time.monotonic())
            if isinstance(event, Prepared):
                answers[job.name] = "read"
            elif isinstance(event, Failed):
                answers[job.name] = "refused"
                if int(job.name) == _WHOLE:
                    outcome.findings.append(Finding(_WHOLE, f"the whole model: {event.problem}"))
                if own := _raised_by_us(event.last_words):
                    outcome.findings.append(Finding(int(job.name), own))
            elif isinstance(event, Ended):
                seconds = time.monotonic() - started[job.name]
                outcome.slowest = max(outcome.slowest, seconds)
                if event.problem:  # a crash of a library: an error in words
                    answers.setdefault(job.name, "refused")
                if job.name not in answers:
                    outcome.findings.append(Finding(int(job.name), "it ended without an answer"))
                if seconds > SECONDS:
                    outcome.findings.append(Finding(int(job.name), f"it took {seconds:.1f} s"))
    answers.pop(str(_WHOLE), None)
    outcome.read = sum(answer == "read" for answer in answers.values())
    outcome.refused += sum(answer == "refused" for answer in answers.values())
    return outcome


def _raised_by_us(trace: str) -> str:
    """The trace, where its innermost frame is of this project."""
    frames = _FRAME.findall(trace)
    return trace if frames and _OWN in frames[-1] else ""
