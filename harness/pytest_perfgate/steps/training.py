"""What the harness gives to a suite's trainer: a course of steps that can be cut off and continued,
and what a step of a recipe adds to the loss.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pytest_perfgate.artifact import OptionsModel, data_source
from pytest_perfgate.errors import BuildError
from pytest_perfgate.steps.training_precision import Mixed

CONTRACT = "fit(module, data, *, steps, learning_rate, batch_size, seed, course) -> module"
"""How a suite's trainer is called."""

TRAINING_LOSS = "training_loss"

_STATE = "state.json"
_RANDOM = "torch_random"


class TrainingOptions(OptionsModel):
    """Options of every step that trains."""

    steps: int = Field(ge=1, description="optimizer steps")
    learning_rate: float = Field(1e-3, gt=0, description="highest learning rate")
    batch_size: int = Field(8, ge=1, description="images per step")
    data: str = Field(
        "train",
        description="images to train on: a split, or an import path for those of another domain",
    )

    @field_validator("data")
    @classmethod
    def _known(cls, value: str) -> str:
        return data_source(value)


class _Kept(BaseModel):
    """A checkpoint's plain half. `digest` is that of the tensors' file; `body` is JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    done: int
    total: int
    tensors: str
    digest: str
    files: dict[str, str]
    body: dict[str, Any]
    seal: str  # digest of all the above, so that a damaged number is seen


@dataclass(frozen=True)
class Checkpoints:
    """Where a training is kept while it runs: tensors as safetensors, the rest as JSON.

    Attributes:
        folder: of one training, named by its key; nobody else writes there.
        files: the project's files that were read so far, with their digests.
        unchanged: whether files still have these digests; otherwise a checkpoint is another
            training's.
        every: seconds from one checkpoint to the next, at the least.
    """

    folder: Path
    files: Callable[[], Mapping[str, str]]
    unchanged: Callable[[Mapping[str, str]], bool]
    every: float = 30.0

    def save(self, done: int, total: int, state: Mapping[str, Any]) -> None:
        """Writes `state`: state dicts by name. The one before stays until this one is whole.

        Raises:
            BuildError: something in it is neither a tensor nor plain.
        """
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, Any] = {}
        body = {name: _plain(value, tensors, name) for name, value in state.items()}
        file = self.folder / f"{done}.safetensors"
        save_file(tensors, file.with_suffix(".part"))
        digest = hashlib.sha256(file.with_suffix(".part").read_bytes()).hexdigest()
        file.with_suffix(".part").replace(file)
        fields = {
            "done": done,
            "total": total,
            "tensors": file.name,
            "digest": digest,
            "files": dict(self.files()),
            "body": body,
        }
        part = self.folder / f"{_STATE}.part"
        part.write_text(json.dumps({**fields, "seal": _seal(fields)}))
        part.replace(self.folder / _STATE)
        for old in self.folder.glob("*.safetensors"):
            if old != file:
                old.unlink()

    def load(self, total: int) -> tuple[int, dict[str, Any], str]:
        """Steps done, state dicts by name, and a note; 0 and nothing when there is no checkpoint
        that can be continued, with the reason.
        """
        from safetensors.torch import load

        file = self.folder / _STATE
        if not file.exists():
            return 0, {}, ""
        try:
            kept = _Kept.model_validate_json(file.read_bytes())
            if kept.seal != _seal(kept.model_dump(exclude={"seal"})):
                return 0, {}, "the checkpoint is damaged, and not used"
            if kept.total != total or not self.unchanged(kept.files):
                return 0, {}, "the checkpoint is of other code or data, and not used"
            content = (self.folder / Path(kept.tensors).name).read_bytes()
            if hashlib.sha256(content).hexdigest() != kept.digest:
                return 0, {}, "the checkpoint's tensors are damaged, and not used"
            tensors = load(content)
            state = {name: _revived(value, tensors) for name, value in kept.body.items()}
        except (OSError, ValidationError, KeyError, TypeError, ValueError) as error:
            return 0, {}, f"the checkpoint cannot be read, and is not used ({type(error).__name__})"
        return kept.done, state, f"continued after step {kept.done}"

    def delete(self) -> None:
        """Takes the training away: it is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Course:
    """One training as its trainer sees it.

    Attributes:
        done: steps finished so far.
        resumed_at: the step at which this process went on, 0 for a training from its start.
        note: what became of a checkpoint that was found, "" when there was none.
    """

    def __init__(
        self,
        progress: Callable[[int, int, str], None] = lambda *_: None,
        checkpoints: Checkpoints | None = None,
        terms: Callable[[Any, Any], Any] | None = None,
        autocast: str | None = None,
    ) -> None:
        self._progress = progress
        self._checkpoints = checkpoints
        self._terms = terms
        self._mixed = Mixed(autocast) if autocast else None
        self._shown: float | None = None
        self.done = 0
        self.losses = 0
        self.resumed_at = 0
        self.note = ""

    @property
    def mean_loss(self) -> float | None:
        """A running mean of the last losses, None when there was none."""
        return self._shown

    @property
    def mixed(self) -> Mixed | None:
        """What is known of mixed precision, where it was asked for."""
        return self._mixed

    def steps(self, total: int, **state: Any) -> Iterator[int]:
        """The steps to do, 0 to `total` - 1; of a training that was cut off, those that are left.

        `state` is everything that changes from one step to the next (module, optimizer, schedule,
        averages): it has `state_dict` and `load_state_dict`, and is as it was when the first step
        is given out. torch's random generator is kept too; what else is random must follow from
        the seed and the number of the step.
        """
        self.begin(state)
        self._resume(total, state)
        saved, cost = time.monotonic(), 0.0
        for step in range(self.resumed_at, total):
            yield step
            self.done = step + 1
            shown = "" if self._shown is None else f"loss {self._shown:.3f}"
            self._progress(self.done, total, shown)
            now = time.monotonic()
            # Writing takes a twentieth of the time at the most.
            due = self._checkpoints is not None and now - saved >= max(
                self._checkpoints.every, 20 * cost
            )
            if due and self._checkpoints is not None and self.done < total:
                self._save(self._checkpoints, total, state)
                saved = time.monotonic()
                cost = saved - now if self._checkpoints.every else 0.0

    def begin(self, state: Mapping[str, Any]) -> None:
        """Before the first step: what is trained is known now."""
        if self._mixed is not None and "module" in state:
            self._mixed.watch(state["module"])

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """To be had around the forward pass and the loss: mixed precision, where asked for."""
        return contextlib.nullcontext() if self._mixed is None else self._mixed.autocast()

    def minimize(self, loss: Any, optimizer: Any, *, clip: float | None = None) -> None:
        """One step of the optimizer down the gradient of `loss`, whose norm is kept to `clip`.

        Under float16 the loss is scaled before and the gradients after, so that small ones do not
        become zero; a step whose gradients are not finite is left out (Micikevicius et al. 2018,
        "Mixed Precision Training").
        """
        import torch

        scaler = None if self._mixed is None else self._mixed.scaler
        optimizer.zero_grad(set_to_none=True)
        (loss if scaler is None else scaler.scale(loss)).backward()
        if scaler is not None:
            scaler.unscale_(optimizer)
        if clip is not None:
            held = [each for group in optimizer.param_groups for each in group["params"]]
            torch.nn.utils.clip_grad_norm_(held, clip)
        if scaler is None:
            optimizer.step()
            return
        before = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        if self._mixed is not None:
            self._mixed.count(before, scaler.get_scale())

    def loss(self, images: Any, loss: Any) -> Any:
        """The loss to minimize: `loss` is the trainer's own, a scalar, of the network's input
        `images` that the module has just been given.
        """
        if self._terms is not None:
            loss = self._terms(images, loss)
        self.losses += 1
        value = float(loss.detach())
        self._shown = value if self._shown is None else 0.95 * self._shown + 0.05 * value
        return loss

    def _save(self, checkpoints: Checkpoints, total: int, state: Mapping[str, Any]) -> None:
        import torch

        dicts = {name: each.state_dict() for name, each in state.items()}
        random: dict[str, Any] = {"state": torch.get_rng_state(), "loss": self._shown}
        if self._mixed is not None:
            random["mixed"] = self._mixed.state_dict()
        checkpoints.save(self.done, total, {**dicts, _RANDOM: random})

    def _resume(self, total: int, state: Mapping[str, Any]) -> None:
        import torch

        if self._checkpoints is None:
            return
        done, kept, self.note = self._checkpoints.load(total)
        if not done:
            self._progress(0, total, self.note)
            return
        random = kept.pop(_RANDOM, {})
        if kept.keys() != state.keys():
            self.note = "the checkpoint is of another trainer, and not used"
            return
        try:
            for name, each in state.items():
                each.load_state_dict(kept[name])
            torch.set_rng_state(random["state"])
            if self._mixed is not None:
                self._mixed.load_state_dict(random["mixed"])
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            # Half of it may be loaded already, so there is no going on.
            raise BuildError(
                f"the training cannot be continued: {error}",
                where=str(self._checkpoints.folder),
                next_step=f"rm -r {self._checkpoints.folder}",
            ) from error
        self._shown = random["loss"]
        self.done = self.resumed_at = done
        self._progress(done, total, self.note)


def train(
    trainer: Callable[..., Any] | None,
    module: Any,
    data: Any,
    options: TrainingOptions,
    seed: int,
    course: Course,
) -> Any:
    """What the suite's trainer makes of `module`, after all of its steps.

    Raises:
        BuildError: there is no trainer, it takes other arguments, or it left before the end.
    """
    import torch

    if trainer is None:
        raise BuildError("the suite names no trainer", where="suite.trainer", valid=CONTRACT)
    asked = {
        "steps": options.steps,
        "learning_rate": options.learning_rate,
        "batch_size": options.batch_size,
        "seed": seed,
        "course": course,
    }
    try:
        inspect.signature(trainer).bind(module, data, **asked)
    except TypeError as error:
        raise BuildError(
            f"the trainer cannot be called: {error}", where="suite.trainer", valid=CONTRACT
        ) from error
    torch.manual_seed(seed)
    trained = trainer(module, data, **asked)
    if course.done != options.steps:
        raise BuildError(
            f"the trainer did {course.done} of {options.steps} steps",
            where="suite.trainer",
            next_step="loop over `course.steps(steps, module=module, optimizer=optimizer, ...)`",
        )
    return trained


def told(course: Course) -> dict[str, Any]:
    """What a training's effect says of how it ran."""
    found: dict[str, Any] = {"steps": course.done, "resumed_at": course.resumed_at}
    if course.mean_loss is not None:
        found[TRAINING_LOSS] = float(f"{course.mean_loss:.6g}")
    if course.mixed is not None:
        found |= course.mixed.effect()
    return {**found, "checkpoint": course.note} if course.note else found


def _seal(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _plain(value: Any, tensors: dict[str, Any], place: str) -> Any:
    """`value` as JSON, its tensors moved to `tensors`; dicts as lists, for keys that are numbers.

    Raises:
        BuildError: it holds something that is neither.
    """
    import torch

    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().clone().contiguous()
        return {"tensor": name}
    if isinstance(value, Mapping):
        items = [
            [_plain(key, tensors, place), _plain(each, tensors, f"{place}.{key}")]
            for key, each in value.items()
        ]
        return {"dict": items}
    if isinstance(value, (list, tuple)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_plain(each, tensors, f"{place}[{n}]") for n, each in enumerate(value)]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"value": value}
    raise BuildError(
        f"{place} of the training's state is a {type(value).__name__}, which is not kept",
        where="suite.trainer",
        valid="tensors, numbers, text, lists, dicts",
    )


def _revived(value: Any, tensors: Mapping[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "dict":
        return {_revived(key, tensors): _revived(each, tensors) for key, each in inner}
    if kind == "list":
        return [_revived(each, tensors) for each in inner]
    if kind == "tuple":
        return tuple(_revived(each, tensors) for each in inner)
    return inner
