"""netadapt: channels removed layer by layer until a measured latency is reached, with training in
between (Yang et al. 2018, "NetAdapt", arXiv 1804.03230).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.artifact import TORCH, Artifact
from pytest_perfgate.errors import BuildError
from pytest_perfgate.files import replacing
from pytest_perfgate.machine.fingerprint import this_machine
from pytest_perfgate.registry import Requirement
from pytest_perfgate.steps import Applied, BuildContext, expect
from pytest_perfgate.steps.distil_loss import distance
from pytest_perfgate.steps.netadapt_search import ONNXRUNTIME, Search, Stopwatch, widths_of
from pytest_perfgate.steps.output_check import short, tensors
from pytest_perfgate.steps.prune_graph import replay, shapes_of, zeros_like
from pytest_perfgate.steps.training import Course, course_facts, train
from pytest_perfgate.steps.training_checkpoints import Checkpoints
from pytest_perfgate.steps.training_options import TrainingOptions
from pytest_perfgate.steps.training_step import TrainingStep

_PASSES = 20  # over all layers in one iteration: more do not come nearer
_SLACK = 1.05
"""How far above the target the last measurement may be: the search ends on one at the target, and
two of them differ by some percent."""


class NetAdapt(TrainingStep):
    """The step `netadapt`."""

    name = "netadapt"
    argument = "latency_share"
    requires = (
        registry.from_extra("torch", "torch"),
        registry.from_extra("torch_pruning", "torch"),
    )
    not_after: Mapping[str, str] = {
        "cast": "channels are ranked and trained in float32",
        "fuse": "training needs the batch normalisation that `fuse` removed",
        "sparsify": "removing channels breaks the pattern of zeros: remove them first",
    }

    class Options(TrainingOptions):
        """How far channels are removed, how they are chosen, and options of the training."""

        latency_share: float = Field(
            gt=0, lt=1, description="latency to reach, as a share of the model's before"
        )
        runtime: Literal["onnxruntime", "torch"] = Field(
            "onnxruntime", description="runtime that latencies of one image are measured in"
        )
        iterations: int = Field(
            3, ge=1, description="removals up to an equal part of the way, each with `steps` behind"
        )
        step_share: float = Field(
            0.25, gt=0, lt=1, description="share of a layer's channels that one removal takes"
        )
        keep_share: float = Field(
            0.25, gt=0, le=1, description="share of its channels that each layer keeps"
        )
        round_to: int = Field(8, ge=1, description="keep the number of channels a multiple of this")
        p: int = Field(2, ge=1, le=2, description="norm that ranks the channels of a layer")
        ignored_layers: tuple[str, ...] = Field(
            (), description="modules that keep their output channels; the model's outputs always do"
        )
        images: int = Field(
            8, ge=1, description="training images that a removal's damage is measured on"
        )
        turns: int = Field(20, ge=3, description="runs of each of two models that are compared")

        @field_validator("processes")
        @classmethod
        def _alone(cls, value: int) -> int:
            if value > 1:
                raise PydanticCustomError(
                    "one_process",
                    "latencies are measured in one process",
                    {"expected": "1, and the step `finetune` behind, which trains with several"},
                )
            return value

    @override
    def requires_with(self, options: Any) -> tuple[Requirement, ...]:
        """What trains, and what latencies are measured in."""
        more = ("onnx", "onnxscript", "onnxruntime") if options.runtime == ONNXRUNTIME else ()
        packages = (registry.from_extra(name, "onnx") for name in more)
        return (*super().requires_with(options), *packages)

    @override
    def machine(self, options: Any) -> dict[str, Any]:
        """Latencies are those of this CPU."""
        machine = this_machine()
        return {"cpu": machine.cpu, "features": list(machine.features)}

    def apply(self, artifact: Artifact, options: Any, context: BuildContext) -> Applied:
        """Removes and trains, `iterations` times."""
        import torch
        import torch_pruning

        torch.set_num_threads(context.threads)
        torch.manual_seed(context.seed)
        module, inputs = artifact.module.eval(), context.example(1)
        example = tensors(inputs)
        count = torch_pruning.utils.count_ops_and_params
        macs_before, parameters_before = count(module, example)
        stopwatch = Stopwatch(
            copy.deepcopy(module),
            inputs,
            options.runtime,
            context.threads,
            options.turns,
            context.folder,
        )
        search = Search(
            example,
            widths_of(module, example, options.ignored_layers),
            options,
            stopwatch,
            lambda: context.inputs(options.data, options.images),
        )
        data = context.data(options.data)
        removals: list[Any] = []
        rounds: list[dict[str, Any]] = []
        for number in range(options.iterations):
            kept = _Plan(context.checkpoints, number, removals)
            plan = kept.read()
            if plan is None:
                target = options.latency_share ** ((number + 1) / options.iterations)
                plan = _narrowed(module, target, search, context, number)
                kept.write(plan)
            else:
                replay(module, plan["removals"], example)
            removals = [*removals, *plan["removals"]]
            course = Course(context.progress, kept.checkpoints, device=options.device)
            module = train(context.trainer, module, data, options, context.seed + number, course)
            module = module.eval()
            rounds.append({**plan["facts"], **course_facts(course)})
        macs, parameters = count(module, example)
        effect = {
            "latency_before": short(stopwatch.seconds),
            "latency_share": round(stopwatch.share(module), 4),
            "runtime": options.runtime,
            "macs_before": float(macs_before),
            "macs": float(macs),
            "parameters_before": int(parameters_before),
            "parameters": int(parameters),
            "channels": {
                name: [width, int(module.get_submodule(name).weight.shape[0])]
                for name, width in search.widths.items()
            },
            "iterations": rounds,
            "finite": all(
                bool(torch.isfinite(value).all()) for value in module.state_dict().values()
            ),
        }
        structure = {
            "history": removals,
            "inputs": shapes_of(example),
        }
        return Applied(Artifact(TORCH, module=module), effect, structure=structure)

    @override
    def prove(self, effect: Mapping[str, Any], options: Any) -> None:
        """The latency must have been reached, measured anew at the end, and the model trained."""
        share = effect["latency_share"]
        expect(
            share <= options.latency_share * _SLACK,
            self.name,
            f"the latency in {options.runtime} is {share:.0%} of the one before, and "
            f"{options.latency_share:.0%} was requested",
        )
        expect(effect["parameters"] < effect["parameters_before"], self.name, "no channel is gone")
        expect(effect["finite"], self.name, "training ended in NaN or infinite weights")
        for number, one in enumerate(effect["iterations"]):
            expect(one["steps"] == options.steps, self.name, f"iteration {number} was not trained")

    @override
    def restore(self, module: Any, structure: Any, options: Any) -> Any:
        """Removes the same channels from a fresh module."""
        replay(module, structure["history"], zeros_like(structure["inputs"]))
        return module


def _narrowed(
    module: Any, target: float, search: Search, context: BuildContext, number: int
) -> dict[str, Any]:
    """Removes channels from a module until its latency is a share of that before all removals; the
    removals, and what they rest on.

    Raises:
        BuildError: no removal shortens it any more.
    """
    original = copy.deepcopy(module)
    removals: list[list[Any]] = []
    sensitivity: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    share = search.stopwatch.share(module)
    for _ in range(_PASSES):
        if share <= target:
            break
        context.progress(number, search.options.iterations, f"latency {share:.0%} to {target:.0%}")
        candidates, skipped = search.candidates(module, share)
        useful = sorted(
            (one for one in candidates if one.gains), key=lambda one: (one.price, one.layer)
        )
        sensitivity = sensitivity or [
            {
                "layer": one.layer,
                "channels": list(one.channels),
                "saved": round(one.saved, 4),
                "damage": short(one.damage),
            }
            for one in candidates
        ]
        if not useful:
            break
        # What is cheap first. Damages of several removals do not add up: the second half is
        # measured anew.
        for one in useful[: max(1, len(useful) // 2)]:
            before, after = one.channels
            name, out, rows = search.remove(module, one.layer, before - after)
            removals.append([name, out, list(rows)])
            share = search.stopwatch.share(module)
            if share <= target:
                break
    if share > target:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:5])
        raise BuildError(
            f"the latency cannot fall to {target:.0%} of the model's: it is {share:.0%}, and no "
            "removal shortens it any more" + (f" ({reasons})" if reasons else ""),
            where="netadapt.latency_share",
            next_step="request a larger share, set a smaller keep_share or round_to, or measure in "
            "another runtime",
        )
    facts = {
        "target": round(target, 4),
        "latency_share": round(share, 4),
        "removals": len(removals),
        "distance": short(distance(module.eval(), original.eval(), search.images())),
        "sensitivity": sensitivity,
        "skipped": skipped,
    }
    return {"removals": removals, "facts": facts}


class _Plan:
    """What one iteration removed, beside its checkpoints: measured latencies are others the next
    time, and a training that is continued needs the layers that it began with.
    """

    def __init__(self, checkpoints: Checkpoints | None, number: int, before: list[Any]) -> None:
        self._whole, self._before = checkpoints, before
        self._file = Path() if checkpoints is None else checkpoints.folder / f"plan-{number}.json"
        self.checkpoints = (
            None
            if checkpoints is None
            else replace(checkpoints, folder=checkpoints.folder / str(number))
        )

    def read(self) -> dict[str, Any] | None:
        """The plan of a training that was cut off; None for none, or one of other code or data."""
        if self._whole is None or not self._file.is_file():
            return None
        try:
            kept: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
            plan: dict[str, Any] = kept["plan"]
            fits = kept["before"] == self._before and self._whole.unchanged(kept["files"])
            return plan if fits else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, plan: Mapping[str, Any]) -> None:
        """Keeps it, before the training begins."""
        if self._whole is None or self.checkpoints is None:
            return
        self.checkpoints.delete()  # of a training of other layers
        self._file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(
            {"plan": plan, "before": self._before, "files": dict(self._whole.files())}
        )
        with replacing(self._file) as part:
            part.write_text(text, encoding="utf-8")
