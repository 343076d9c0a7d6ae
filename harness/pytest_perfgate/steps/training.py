"""What the harness gives to a suite's trainer: a course of steps that can be cut off and continued,
and what a step of a recipe adds to the loss.
"""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from pytest_perfgate.errors import BuildError, RecipeError
from pytest_perfgate.steps import training_batch_norm, training_device
from pytest_perfgate.steps.trainer_options import signature_of
from pytest_perfgate.steps.training_checkpoints import Checkpoints
from pytest_perfgate.steps.training_options import TrainingOptions
from pytest_perfgate.steps.training_peers import Peers
from pytest_perfgate.steps.training_precision import Mixed
from pytest_perfgate.steps.training_processes import ProcessGroup, RankDone

CONTRACT = "fit(module, data, *, steps, learning_rate, batch_size, seed, course) -> module"
"""How a suite's trainer is called; arguments of its own come behind."""

TRAINING_LOSS = "training_loss"

_RANDOM = "torch_random"
_STATES = frozenset({"state", "device_state"})  # of random generators, in `_RANDOM`


class PartialTraining(Protocol):
    """What holds a training to a part of the parameters, and to rates of layers."""

    def begin(self, module: Any, done: int) -> None:
        """Before the first step of a process; `done` steps were finished by others."""

    def step(self, module: Any, number: int) -> None:
        """Before the step of this number."""

    def watch(self, module: Any, optimizers: Sequence[Any]) -> None:
        """After a step, with the optimizers that the trainer gave to the course."""

    def groups(self, module: Any, learning_rate: float) -> list[dict[str, Any]]:
        """See `Course.parameter_groups`."""
        raise NotImplementedError


class Course:
    """One training as its trainer sees it.

    Attributes:
        done: steps finished so far.
        resumed_at: the step at which this process went on, 0 for a training from its start.
        note: what became of a checkpoint that was found, "" when there was none.
        device: where it trains, "cpu" or "cuda"; the module is there when the trainer is called.
        placed: facts of what was on the device at the first step.
        rank: the number of this process among those that train together.
        world_size: how many processes train together.
    """

    def __init__(
        self,
        progress: Callable[[int, int, str], None] = lambda *_: None,
        checkpoints: Checkpoints | None = None,
        terms: Callable[[Any, Any, Callable[[Any], Any]], Any] | None = None,
        autocast: str | None = None,
        device: str = training_device.CPU,
        transfer: PartialTraining | None = None,
        peers: Peers | None = None,
    ) -> None:
        self._group = None if peers is None else ProcessGroup(peers, device)
        self.rank = 0 if peers is None else peers.rank
        self.world_size = 1 if peers is None else peers.size
        self._shared = self._minimized = False
        self.device = device
        self._transfer = transfer
        self.placed: dict[str, Any] = {}
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
        module = state.get("module")
        optimizers = [part for part in state.values() if hasattr(part, "param_groups")]
        if self._transfer is not None and module is not None:
            self._transfer.begin(module, self.resumed_at)
        for step in range(self.resumed_at, total):
            if self._transfer is not None and module is not None:
                self._transfer.step(module, step)
            yield step
            if self._transfer is not None and module is not None:
                self._transfer.watch(module, optimizers)
            if self._group is not None:
                self._refuse_alone()
                self._group.keep_buffers(module)
            self.done = step + 1
            shown = "" if self._shown is None else f"loss {self._shown:.3f}"
            self._progress(self.done, total, shown)
            now = time.monotonic()
            # Writing takes a twentieth of the time at the most.
            due = self._checkpoints is not None and now - saved >= max(
                self._checkpoints.every, 20 * cost
            )
            if self._group is not None:
                due = bool(self._group.agreed(due))
            if due and self._checkpoints is not None and self.done < total:
                self._save(self._checkpoints, total, state)
                saved = time.monotonic()
                cost = saved - now if self._checkpoints.every else 0.0

    def begin(self, state: Mapping[str, Any]) -> None:
        """Before the first step: what is trained is known now, and must be on the device."""
        self.placed = training_device.prove(state, self.device)
        if self._group is not None:
            self._group.begin(state)
        if self._mixed is not None and "module" in state:
            self._mixed.watch(state["module"])

    def parameter_groups(self, module: Any, learning_rate: float) -> list[dict[str, Any]]:
        """What an optimizer of `module` is built of: the parameters that are trained at any time,
        in groups of one learning rate each. A schedule keeps the ratios of the rates, as
        `OneCycleLR` does with `max_lr = [group["lr"] for group in groups]`.
        """
        if self._transfer is not None:
            return self._transfer.groups(module, learning_rate)
        return [{"params": list(module.parameters()), "lr": learning_rate}]

    def share(self, rows: Any) -> Any:
        """The part of a batch that this process trains on: of rows in a list, an array, a tensor or
        a range, as many for each process. All of them where one process trains alone.

        Raises:
            BuildError: they cannot be divided evenly.
        """
        self._shared = True
        return rows if self._group is None else self._group.share(rows)

    def mean(self, value: Any) -> Any:
        """The mean over the processes: of a number, or of a tensor, which has no gradient then.
        A loss that is divided by a count of its batch (of objects, of pixels) is that of the whole
        batch when it is divided by the mean of the counts.
        """
        return value if self._group is None else self._group.mean(value)

    def place(self, *values: Any) -> Any:
        """A batch on the training's device: tensors, or tuples, lists and dicts of them; one value
        as itself, several as a tuple.
        """
        moved = tuple(training_device.place(value, self.device) for value in values)
        return moved[0] if len(moved) == 1 else moved

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """To be had around the forward pass and the loss: mixed precision, where asked for."""
        return contextlib.nullcontext() if self._mixed is None else self._mixed.autocast()

    def minimize(self, loss: Any, optimizer: Any, *, clip: float | None = None) -> None:
        """One step of the optimizer down the gradient of `loss`, averaged over the processes, whose
        norm is kept to `clip`.

        Under float16 the loss is scaled before and the gradients after, so that small ones do not
        become zero; a step whose gradients are not finite is left out (Micikevicius et al. 2018,
        "Mixed Precision Training").
        """
        import torch

        scaler = None if self._mixed is None else self._mixed.scaler
        optimizer.zero_grad(set_to_none=True)
        (loss if scaler is None else scaler.scale(loss)).backward()
        self._minimized = True
        if self._group is not None:  # before the scaler looks for a gradient that is not finite
            self._group.average_gradients(optimizer)
        if scaler is not None:
            scaler.unscale_(optimizer)
        if clip is not None:
            held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
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
            loss = self._terms(images, loss, self.mean)
        self.losses += 1
        value = float(self.mean(loss.detach()))
        self._shown = value if self._shown is None else 0.95 * self._shown + 0.05 * value
        return loss

    def together(self) -> contextlib.AbstractContextManager[Any]:
        """To be had around the trainer: the processes meet, and part again."""
        return contextlib.nullcontext() if self._group is None else self._group

    def finish(self, module: Any) -> None:
        """After the last step, with what the trainer returned.

        Raises:
            BuildError: the processes have ended in different weights.
            RankDone: this is the process of another rank than 0.
        """
        if self._group is None:
            return
        self._group.prove_equal(module)
        if self.rank:
            raise RankDone

    def _refuse_alone(self) -> None:
        """Check that the trainer divided its batch, and averaged its gradients, in a step.

        Raises:
            BuildError: every process did all of the work, or trained a model of its own.
        """
        wrong = (
            (self._shared, "divide its batch among them", "rows = course.share(rows)"),
            (self._minimized, "average their gradients", "course.minimize(loss, optimizer)"),
        )
        for done, what, call in wrong:
            if not done:
                raise BuildError(
                    f"{self.world_size} processes train, and the trainer did not {what}",
                    where="suite.trainer",
                    valid=call,
                    next_step="call it in every step, or leave out `processes`",
                )

    def _save(self, checkpoints: Checkpoints, total: int, state: Mapping[str, Any]) -> None:
        import torch

        dicts = {name: part.state_dict() for name, part in state.items()}
        random: dict[str, Any] = {"state": torch.get_rng_state(), "loss": self._shown}
        if self.device == training_device.CUDA:
            random["device_state"] = torch.cuda.get_rng_state()
        if self._group is not None:  # all else is the same in all of them
            for name in _STATES & random.keys():
                random[name] = self._group.gathered(random[name])
            if self.rank:
                return
        if self._mixed is not None:
            random["mixed"] = self._mixed.state_dict()
        checkpoints.save(self.done, total, {**dicts, _RANDOM: random})

    def _resume(self, total: int, state: Mapping[str, Any]) -> None:
        import torch

        if self._checkpoints is None:
            return
        done, kept, self.note = self._checkpoints.load(total)
        if self._group is not None and self._group.agreed(done) != done:
            raise BuildError(
                "the processes of the training read different checkpoints",
                where=str(self._checkpoints.folder),
                next_step=f"rm -r {self._checkpoints.folder}",
            )
        if not done:
            self._progress(0, total, self.note)
            return
        random = kept.pop(_RANDOM, {})
        if kept.keys() != state.keys():
            self.note = "the checkpoint is of another trainer, and not used"
            return
        try:
            for name, part in state.items():
                part.load_state_dict(kept[name])
            if self._group is not None:
                random |= {name: random[name][self.rank] for name in _STATES & random.keys()}
            torch.set_rng_state(random["state"])
            if self.device == training_device.CUDA:
                torch.cuda.set_rng_state(random["device_state"])
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
    arguments = {
        "steps": options.steps,
        "learning_rate": options.learning_rate,
        "batch_size": options.batch_size,
        "seed": seed,
        "course": course,
    }
    try:
        inspect.signature(trainer).bind_partial(module, data, **arguments)
        arguments |= _own_arguments(trainer, options)
        inspect.signature(trainer).bind(module, data, **arguments)
    except TypeError as error:
        raise BuildError(
            f"the trainer cannot be called: {error}", where="suite.trainer", valid=CONTRACT
        ) from error
    torch.manual_seed(seed)
    try:
        with course.together():
            trained = trainer(module.to(course.device), data, **arguments)
            _refuse_unfinished(course, options)
            course.finish(trained)
    except RuntimeError as error:
        if "same device" not in str(error):
            raise
        raise BuildError(
            f"the trainer mixes devices: {error}",
            where="suite.trainer",
            next_step="move every batch with `course.place(images, targets)`",
        ) from error
    if course.world_size > 1:  # it may be a copy of the module that the course knows
        training_batch_norm.restore(trained)
    # Wherever the trainer left it: what follows reads it on the CPU.
    return trained.to(training_device.CPU)


def _refuse_unfinished(course: Course, options: TrainingOptions) -> None:
    if course.done != options.steps:
        raise BuildError(
            f"the trainer did {course.done} of {options.steps} steps",
            where="suite.trainer",
            next_step="loop over `course.steps(steps, module=module, optimizer=optimizer, ...)`",
        )


def _own_arguments(trainer: Callable[..., Any], options: TrainingOptions) -> dict[str, Any]:
    """Those that the recipe has for the trainer, in the types of its signature."""
    try:
        return signature_of(trainer).check(options.trainer_options)
    except RecipeError as error:
        raise BuildError(
            error.problem, where=error.where, valid=error.valid, next_step=error.next_step
        ) from error


def course_facts(course: Course) -> dict[str, Any]:
    """What a training's effect says of how it ran."""
    facts: dict[str, Any] = {"steps": course.done, "resumed_at": course.resumed_at}
    if course.mean_loss is not None:
        facts[TRAINING_LOSS] = float(f"{course.mean_loss:.6g}")
    if course.mixed is not None:
        facts |= course.mixed.effect()
    if course.world_size > 1:
        facts["processes"] = course.world_size
    if course.device != training_device.CPU:
        facts |= {**course.placed, **training_device.peak(course.device)}
    return {**facts, "checkpoint": course.note} if course.note else facts
