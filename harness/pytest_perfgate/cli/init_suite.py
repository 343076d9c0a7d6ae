"""The files of a suite for a model and its data, as `pytest-perfgate init --model` writes them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_perfgate.cli.init_annotations import sigmas
from pytest_perfgate.cli.init_facts import (
    CLASSIFICATION,
    CLIPS,
    DETECTION,
    INSTANCES,
    ORIENTED,
    PANOPTIC,
    POSE,
    SEGMENTATION,
    TRACKING,
    DataFacts,
    Pictures,
)
from pytest_perfgate.cli.init_guess import Guess, Line
from pytest_perfgate.cli.init_model import ModelFacts, beside

TEST = '''\
"""Holds the recipes beside this file to their budgets: pytest --perf."""


def test_budget(budget):
    """Every recipe keeps every one of its budgets."""
    budget.check()
'''

OF_EVERY_RECIPE = (
    'latency_p50   = { regression = "10%" }',
    'latency_tail  = { regression = "50%" }',
    'throughput    = { regression = "20%" }',
    'load_time     = { regression = "50%" }',
    'peak_memory   = { regression = "10%" }',
    'artifact_size = { regression = "2%" }',
)
"""Budgets that no recipe is written without. `pytest-perfgate prove` shows what they see."""

OF_FRAMES = (
    'frame_latency_p50       = { regression = "10%" }',
    'first_frame_latency_p50 = { regression = "20%" }',
    'frame_throughput        = { regression = "20%" }',
    *OF_EVERY_RECIPE[3:],
)
"""The same of tasks whose images are frames in their order."""

_HEADLINE = {
    CLASSIFICATION: "accuracy",
    CLIPS: "accuracy",
    DETECTION: "map",
    INSTANCES: "mask_map",
    ORIENTED: "map",
    PANOPTIC: "pq",
    POSE: "oks_map",
    SEGMENTATION: "miou",
    TRACKING: "hota",
}
"""The score of each task that a first suite is held to."""

_USUAL_SHIFT = 0.1
"""The shift of scores from which a report names a recipe; half the scores rank as before."""

_USUAL_DROP = 0.01
"""What 8-bit recipes are usually held to; images decide whether they can be."""

_WIDEST = 0.5
"""A wider limit on a score holds nothing."""

_SIMULATED = 200
"""Images that are simulated, at most: more decide less than `_USUAL_DROP` anyway."""


@dataclass(frozen=True)
class Draft:
    """A suite that is not written yet.

    Attributes:
        folder: of the suite, relative to the project.
        files: text by its name in the folder.
        links: files of the model by the names of links to them in the folder; empty for a model in
            the project.
        lines: what was decided, beside the guesses.
    """

    folder: Path
    files: Mapping[str, str]
    links: Mapping[str, Path]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class _Scores:
    """Budgets on scores, as lines of TOML; a reference has none against itself."""

    reference: tuple[str, ...]
    derived: tuple[str, ...]


def draft(
    project: Path,
    name: str,
    model: ModelFacts,
    data: DataFacts,
    guess: Guess,
    *,
    openvino: bool,
    features: Collection[str],
) -> Draft:
    """The suite `name` of a project.

    Args:
        project: the folder of the project.
        name: of the suite.
        model: what its file says.
        data: what lies in its folder.
        guess: task, decoder and pre-processing.
        openvino: with a recipe for that runtime.
        features: of the CPU that the recipes will run on.
    """
    folder = Path("suites") / name
    here = (project / folder).absolute()
    lines: list[Line] = []
    inside = _is_below(model.file.absolute(), project.absolute())
    named = _relative(model.file, here) if inside else f"model{model.file.suffix}"
    links: dict[str, Path] = {}
    if not inside:
        for file in (model.file, *beside(model.file)):
            name_in_suite = f"model{file.suffix}"
            links[name_in_suite] = file.absolute()
            lines.append(Line("model", f"{folder}/{name_in_suite}", f"a link to {file.absolute()}"))
    scored = data.scores(guess.task)
    files: dict[str, str] = {}
    tables = [_suite_table(guess.task, named, model)]
    tables.append(_data_table(project, here, data, scored, guess.task, files, lines))
    tables += [_table(f"suite.{key}", getattr(guess, key)) for key in ("input", "output")]
    if model.states:
        tables.append(_table("suite.state", model.states))
    scores = budgets(data, guess.task, scored, lines, shifts=guess.shifts)
    every = OF_FRAMES if guess.task in {CLIPS, TRACKING} else OF_EVERY_RECIPE
    root = "fp32" if model.runtime == "onnxruntime" else model.runtime
    tables.append(_recipe(root, "", f'runtime = "{model.runtime}"', (*scores.reference, *every)))
    if not model.int8:
        lines.append(Line("int8", "left out", f"no step quantizes {model.format}, or it is 8-bit"))
    elif data.calibration is not None:
        step: dict[str, Any] = {model.int8: "static" if model.int8 == "quantize" else "quantize"}
        if model.int8 == "quantize" and _overflows(features):
            step["reduce_range"] = True
            lines.append(Line("int8", "weights in 7 bits", "this CPU has AVX2 and no VNNI"))
        steps = f"steps   = [{_inline(step)}]"
        tables.append(_recipe("int8", root, steps, (*scores.derived, *every)))
    else:
        lines.append(Line("int8", "left out", "no image is left to calibrate with"))
    if openvino and model.runtime == "onnxruntime":
        tables.append(
            _recipe("openvino", "fp32", 'runtime = "openvino"', (*scores.derived, *every))
        )
    head = (
        f"# Written by `pytest-perfgate init --model {_shown(model.file)}`. Keys: "
        "https://pypi.org/project/pytest-perfgate\n"
    )
    files["recipes.toml"] = head + "\n".join(tables)
    files[f"test_{re.sub(r'[^a-z0-9]+', '_', name.lower())}.py"] = TEST
    return Draft(folder, files, links, tuple(lines))


def _overflows(features: Collection[str]) -> bool:
    """Whether 8-bit products of such a CPU are added in 16 bits, which saturate (x86, no VNNI)."""
    return "avx2" in features and not any("vnni" in feature for feature in features)


def suite_name(model: Path) -> str:
    """A name for the suite of a model, from its file's."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", model.stem).strip("._-")[:40]
    return name or "model"


def _suite_table(task: str, model: str, facts: ModelFacts) -> str:
    lines = ["[suite]", f"task  = {_toml(task)}", f"model = {_toml(model)}"]
    if facts.batch is not None:
        lines.append(f"batch = {facts.batch}")
    return "\n".join(lines) + "\n"


def _data_table(
    project: Path,
    here: Path,
    data: DataFacts,
    scored: bool,
    task: str,
    files: dict[str, str],
    lines: list[Line],
) -> str:
    """The splits; a list becomes a file of the suite's folder."""
    rows = ["[suite.data]"]
    known = {"labels": False} if task in {CLASSIFICATION, CLIPS} and not scored else {}
    splits: list[tuple[str, Pictures, Mapping[str, Any]]] = []
    if data.calibration is not None:
        splits.append(("calibration", data.calibration, known))
    truth = {
        key: _path(project, here, value) if isinstance(value, Path) else value
        for key, value in _truth(data, task).items()
    }
    splits.append(("validation", data.validation, truth if scored else known))
    for split, images, more in splits:
        table: dict[str, Any] = {images.key: _path(project, here, images.folder), **more}
        if not images.whole:
            table["list"] = f"{split}.txt"
            files[f"{split}.txt"] = "\n".join(images.names) + "\n"
        rows.append(f"{split:<11} = {_inline(table)}")
        lines.append(
            Line(split, f"{len(images.names)} {images.key}", f"of {_shown(images.folder)}")
        )
    return "\n".join(rows) + "\n"


def _truth(data: DataFacts, task: str) -> dict[str, Any]:
    """Keys of the validation split beside its images."""
    truth = dict(data.truth)
    if task in {SEGMENTATION, ORIENTED} or "labels" in truth:
        truth.setdefault("classes", list(data.classes))
    if task == POSE and (tolerances := sigmas(data.keypoints)):
        truth["sigmas"] = tolerances
    return truth


def budgets(
    data: DataFacts, task: str, scored: bool, lines: list[Line], *, shifts: bool = True
) -> _Scores:
    """Budgets on scores that so many images can decide; notes of them go to `lines`."""
    from pytest_perfgate.stats import expected_change
    from pytest_perfgate.verdicts.evidence import Risk

    images, unit = len(data.validation.names), data.validation.key
    alpha = 2 * Risk(fail=0.01).keep
    rounded = expected_change.rounded
    if not scored:
        floor = rounded(
            expected_change.agreement_floor(images, alpha) if images > 1 else 0.0, up=False
        )
        if floor < _WIDEST:
            lines.append(Line("agreement", "left out", f"{images} {unit} decide nothing useful"))
            return _Scores((), ())
        lines.append(Line("agreement", f"min {floor:g}", f"{images} {unit} can decide it"))
        held = (f"agreement     = {{ min = {floor:g} }}",)
        if not shifts:
            return _Scores((), held)
        shift = rounded(expected_change.shift_ceiling(images, alpha), up=True)
        lines.append(Line("score_shift", f"max {shift:g}", f"{images} {unit} can decide it"))
        return _Scores((), (*held, f"score_shift   = {{ max = {shift:g} }}"))
    metric = _HEADLINE[task]
    if data.objects is not None:
        smallest = expected_change.precision_drop(data.objects[:_SIMULATED], alpha)
    else:
        smallest = expected_change.share_drop(images, alpha)
    drop = max(_USUAL_DROP, rounded(smallest, up=True))
    if drop > _WIDEST:
        why = f"the smallest that {images} {unit} can decide is {drop:g}: add validation {unit}"
        lines.append(Line(metric, "no budget", why))
        return _Scores((), ())
    why = (
        f"the smallest that {images} {unit} can decide"
        if drop > _USUAL_DROP
        else f"usual for 8 bits, and {images} {unit} can decide it"
    )
    lines.append(Line(f"{metric} drop", f"{drop:g}", why))
    reference = (f"{metric:<13} = {{ regression = {drop:g} }}",)
    derived = (f"{metric:<13} = {{ drop = {drop:g} }}",)
    if not shifts:
        return _Scores(reference, derived)
    ceiling = rounded(expected_change.shift_ceiling(images, alpha), up=True)
    shift = max(_USUAL_SHIFT, ceiling)
    return _Scores(reference, (*derived, f"score_shift   = {{ max = {shift:g} }}"))


def _recipe(name: str, parent: str, line: str, limits: tuple[str, ...]) -> str:
    rows = ["[[recipe]]", f'name    = "{name}"']
    if parent:
        rows.append(f'from    = "{parent}"')
    rows += [line, "[recipe.budgets]", *limits]
    return "\n".join(rows) + "\n"


def _table(name: str, values: Mapping[str, Any]) -> str:
    rows = [f"{key} = {_toml(value)}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *rows]) + "\n"


def _toml(value: Any) -> str:
    """A value as TOML has it; JSON's texts, numbers and lists are TOML's."""
    if isinstance(value, Mapping):
        return _inline(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _inline(values: Mapping[str, Any]) -> str:
    pairs = [f"{_key(key)} = {_toml(value)}" for key, value in values.items()]
    return "{ " + ", ".join(pairs) + " }"


def _key(name: str) -> str:
    """A key; a network calls an input "input.1", too."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def _path(project: Path, here: Path, target: Path) -> str:
    """How a suite file names data: relative inside the project, else absolute."""
    target = target.absolute()
    if _is_below(target, project.absolute()):
        return _relative(target, here)
    return str(target)


def _relative(target: Path, here: Path) -> str:
    return Path(os.path.relpath(os.path.normpath(target.absolute()), here)).as_posix()


def _is_below(target: Path, project: Path) -> bool:
    return Path(os.path.normpath(target)).is_relative_to(os.path.normpath(project))


def _shown(path: Path) -> str:
    """A path for a comment or a line: as it was typed, printable."""
    return "".join(part if part.isprintable() else "?" for part in path.as_posix())
