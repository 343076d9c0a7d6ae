"""Keys of the cache: all that a model, a link or an evaluation rests on, and nothing else.

What a project's files hold is no part of a key: an entry lists the files that it has read, and
variants of one key differ in them.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest_perfgate
import pytest_perfgate.corruptions
from pytest_perfgate import proving, registry, tasks
from pytest_perfgate.artifact import TFLITE, TORCH, OptionsModel
from pytest_perfgate.building import runtime_check, suite_data, tflite_check
from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.building.implementation_code import (
    digest_folder,
    digest_module,
    own_code,
    source_code,
    whole_code,
)
from pytest_perfgate.building.package_versions import versions, versions_of
from pytest_perfgate.building.source_model import asked_of
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.files import digest_files, digest_of
from pytest_perfgate.machine.fingerprint import this_machine
from pytest_perfgate.records.recipe import (
    VALIDATION,
    Corruptions,
    Recipe,
    SliceSpec,
    Suite,
    split_of,
)
from pytest_perfgate.runtimes import Runtime
from pytest_perfgate.runtimes.litert import LiteRt
from pytest_perfgate.steps import (
    Step,
    onnx_comparison,
    onnx_parts,
    output_check,
    probe_inputs,
    training,
)
from pytest_perfgate.suite.fence import fence_of
from pytest_perfgate.tasks import Pipeline, attributes
from pytest_perfgate.tasks.stateful import StatefulPipeline
from pytest_perfgate.workloads.placement import on_gpu

SEED = 0
_FORMAT = 3  # of the store's entries; part of every key
_COMPARING = (
    *(runtime_check, tflite_check),
    *(onnx_comparison, onnx_parts, output_check, probe_inputs),
)
"""What compares a runtime with ONNX Runtime or LiteRT."""
_GPU_PACKAGES = ("nvidia", "triton", "pycuda", "tensorrt")


def source_key(suite: Suite) -> str:
    """Of the model that a suite's chains begin with."""
    source, name, options = asked_of(suite.model)
    files = source.files(name, options, fence_of(suite))
    needed = source.requires_with(name, options) if source.gives == TORCH else ()
    top = Path(os.path.commonpath([file.parent for file in files])) if files else Path()
    names = [file.relative_to(top).as_posix() for file in files]
    rests_on: dict[str, Any] = {
        "format": _FORMAT,
        "pytest_perfgate": pytest_perfgate.__version__,
        "python": list(sys.version_info[:2]),
        # With the package that the model itself comes from, where it is an installed one.
        "packages": versions_of(
            [*(package.module for package in needed), re.split(r"[.:]", suite.model.name)[0]]
        ),
        "suite": suite.name,
        "model": suite.model.name,
        "file": digest_files(top, names)[0] if files else "",
    }
    if source.name:  # what the suite names itself is as it is
        rests_on["options"] = options.model_dump(mode="json")
        rests_on["code"] = source_code([source.name])
    return digest_of(rests_on)


def step_key(before: str, step: Step, options: OptionsModel, suite: Suite, data: SuiteData) -> str:
    """Of a link that applies `step` after the link `before`."""
    rests_on: dict[str, Any] = {
        "before": before,
        "step": step.name,
        "code": own_code(step),
        "options": options.model_dump(mode="json", exclude=set(options.without_effect)),
        "seed": SEED,
        "threads": suite.threads,
        # Steps trace and compile by an example of the network's input.
        "input": dict(suite.input),
        "state": [asdict(loop) for loop in suite.state],
        "example": [str(size) for size in data.example(1).images.shape],
    }
    modules = [*(package.module for package in step.requires_with(options)), *_others(step)]
    modules += _packages_of(suite.input.get("preprocess"))
    machine = step.machine(options)
    if machine is not None:
        rests_on["machine"] = machine
    built_by = step.sources_with(options)
    if built_by:
        rests_on["sources"] = source_code(built_by)
    splits = step.splits_with(options)
    if splits:
        # Whatever it was read from: a mount, an archive, a generator.
        rests_on["data"] = {split: data.split(split).digest for split in sorted(splits)}
        stages = data.task.requires_with(data.input)
        modules += [need.module for need in stages if need not in data.task.requires]
        rests_on["reading"] = [
            digest_module(Path(suite_data.__file__)),
            digest_folder(Path(tasks.__file__).parent),
        ]
    if step.scores_with(options):
        rests_on["scored"] = {"by": evaluator(suite, data), "output": dict(suite.output)}
    if step.trains_with(options):
        rests_on["trainer"] = suite.trainer
        rests_on["training"] = digest_module(Path(training.__file__))
        modules.append(re.split(r"[.:]", suite.trainer)[0])
    rests_on["packages"] = versions_of(modules)
    return digest_of(rests_on)


def evaluation_key(
    suite: Suite,
    recipe: Recipe,
    artifact: ArtifactHandle,
    digest: str,
    data: SuiteData,
    split: str = VALIDATION,
) -> str:
    """Of the evaluation of an artifact whose files have a digest on a split; the project's files
    that are read on the way are compared besides.
    """
    runtime: Runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    planted = suite.planted
    return digest_of(
        {
            "format": _FORMAT,
            "what": "evaluation with predictions, outputs of 64 images, statistics of inputs, cold "
            "load, doubt and trial"
            if split == VALIDATION
            else "evaluation of a set with predictions",
            "reference": recipe.is_reference,
            "packages": _opened_by(recipe, runtime, artifact),
            "evaluated by": evaluator(suite, data),
            "artifact": digest,
            "structures": [structure.model_dump(mode="json") for structure in artifact.structures],
            "restored by": [
                own_code(registry.find(registry.STEPS, structure.step))
                for structure in artifact.structures
            ],
            "model": asdict(artifact.model),
            "made": artifact.made,
            "runtime": recipe.runtime.name,
            "options": dict(recipe.runtime.options),
            "runtime_tolerance": recipe.runtime_tolerance,
            "code": whole_code(runtime),
            "compared by": [digest_module(Path(str(module.__file__))) for module in _COMPARING]
            + ([whole_code(LiteRt())] if artifact.kind == TFLITE else []),
            "task": suite.task,
            "data": data.split(split).digest,  # whatever it was read from
            "input": dict(suite.input),
            "state": [asdict(loop) for loop in suite.state],
            "output": dict(suite.output),
            "threads": suite.threads,
            "machine": this_machine().id,
        }
        # What a server answers today is known of no other session.
        | ({"endpoint": secrets.token_hex(16)} if runtime.endpoint else {})
        | (
            {}
            if planted is None
            else {"planted": [asdict(planted), digest_folder(Path(proving.__file__).parent)]}
        )
    )


def slicing_key(spec: SliceSpec, data: Any) -> str:
    """Of the slices of a split's images. The digest of data is over pixels and annotations, so that
    values of attributes that come from elsewhere are named besides.
    """
    declared = attributes.declared_values(data, spec.by)
    values = None if declared is None else digest_of([repr(tuple(one)) for one in declared])
    code = digest_folder(Path(tasks.__file__).parent)
    return digest_of(
        {"what": "slices", **asdict(spec), "data": data.digest, "values": values, "tasks": code}
    )


def data_keys(suite: Suite, splits: Iterable[str], data: SuiteData) -> dict[str, str]:
    """Digests of the data of splits, of those that recipes are judged on, and of slices: whatever
    they were read from.
    """
    judged = map(split_of, ("", *suite.sets))
    keys = {split: data.split(split).digest for split in sorted({*splits, *judged})}
    return keys | {
        f"slices.{name}": slicing_key(spec, data.split(split_of(spec.sliced)))
        for name, spec in suite.slices.items()
    }


def trial_key(evaluation: str) -> str:
    """Of the trial of other options of a reference whose evaluation has a key."""
    return digest_of({"what": "trial of a reference's options", "evaluation": evaluation})


def corrupted_key(evaluation: str, corruptions: Corruptions) -> str:
    """Of an evaluation on corrupted images of an artifact whose evaluation has a key."""
    return digest_of(
        {
            "what": "evaluation on corrupted images, one at a time",
            "evaluation": evaluation,
            "corruptions": asdict(corruptions),
            "code": digest_folder(Path(pytest_perfgate.corruptions.__file__).parent),
            "packages": versions_of(["numpy", "scipy", "PIL"]),
        }
    )


def counts_key(evaluation: str, tools: Mapping[str, str]) -> str:
    """Of the counts of an inference by these tools, behind an evaluation that has a key."""
    return digest_of(
        {"what": "counts of an inference", "evaluation": evaluation, "by": dict(tools)}
    )


def _opened_by(recipe: Recipe, runtime: Runtime, artifact: ArtifactHandle) -> dict[str, str]:
    """Versions of what opens and runs an artifact: another runtime's do not evaluate it anew."""
    options = runtime.Options.model_validate(dict(recipe.runtime.options))
    modules = [*(package.module for package in runtime.requires_with(options)), *_others(runtime)]
    # What a runtime is compared with.
    modules += ["ai_edge_litert"] if artifact.kind == TFLITE else ["onnx", "onnxruntime"]
    if artifact.kind == TORCH:
        source, name, chosen = asked_of(artifact.model)
        modules += [package.module for package in source.requires_with(name, chosen)]
    packages = versions_of(modules)
    if on_gpu(recipe):  # its libraries come as packages that nothing imports
        packages |= {
            name: text for name, text in versions().items() if name.startswith(_GPU_PACKAGES)
        }
    return packages


def evaluator(suite: Suite, data: SuiteData) -> dict[str, Any]:
    """Who computes scores of outputs: code and packages of the task and of its pipeline."""
    task = data.task
    modules = [package.module for package in task.requires_with(data.input)]
    own = (suite.input.get("preprocess"), *map(suite.output.get, ("postprocess", "tracker")))
    modules += _packages_of(*own)
    # A decoder may come from a package of its own, by an entry point.
    modules += [type(part).__module__.partition(".")[0] for part in (task, *_parts(data.declared))]
    return {
        "pytest_perfgate": pytest_perfgate.__version__,
        "tasks": digest_folder(Path(tasks.__file__).parent),
        "task": [suite.task, whole_code(task)],
        "pipeline": [whole_code(part) for part in _parts(data.declared)],
        "packages": versions_of(modules),
    }


def _packages_of(*paths: str | None) -> list[str]:
    """Top-level packages of functions that stand in place of the declared stages. What they read of
    the project is compared besides.
    """
    return [re.split(r"[.:]", path)[0] for path in paths if path]


def _parts(pipeline: Pipeline) -> tuple[object, ...]:
    """A pipeline and the decoder and the tracker that it works with, where it has them."""
    if isinstance(pipeline, StatefulPipeline):
        return (pipeline, *_parts(pipeline.inner))
    parts = (getattr(pipeline, name, None) for name in ("decoder", "tracker"))
    return (pipeline, *(part for part in parts if part is not None))


def _others(piece: object) -> list[str]:
    """The package that an extension of others comes from: its code is in several modules."""
    package = type(piece).__module__.partition(".")[0]
    return [] if package == pytest_perfgate.__name__ else [package]
