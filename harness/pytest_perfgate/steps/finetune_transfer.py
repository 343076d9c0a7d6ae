"""Transfer by `finetune`: parameters that are frozen, and until when; statistics that are kept; the
learning rate of each layer; heads of other classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from pytest_perfgate.errors import BuildError, suggestion
from pytest_perfgate.steps import expect
from pytest_perfgate.steps.training_options import TrainingOptions

Patterns = tuple[Annotated[str, Field(min_length=1)], ...]
Factor = Annotated[float, Field(gt=0, le=1000)]

_TOLERANCE = 1e-6  # of ratios of learning rates, which schedules compute in floats


class TransferOptions(TrainingOptions):
    """What a training changes of a network that has learned already. Names are those of the
    network's parameters or modules; patterns are those of `fnmatch`, and a leading `!` takes back.
    """

    later: ClassVar[frozenset[str]] = TrainingOptions.later | {
        "heads",
        "freeze",
        "unfreeze",
        "freeze_batch_norm_statistics",
        "layer_learning_rates",
    }

    heads: dict[str, Annotated[int, Field(ge=1, le=1_000_000)]] = Field(
        {},
        description="new last layers: pattern of modules (linear, convolution) to their number of "
        "outputs",
    )
    freeze: Patterns = Field((), description="patterns of parameters that stay as they are")
    unfreeze: dict[Annotated[int, Field(ge=1)], Patterns] = Field(
        {}, description="number of a step to patterns of frozen parameters that are trained from it"
    )
    freeze_batch_norm_statistics: bool = Field(
        False,
        description="keep the statistics of batch normalisation, and normalize by them in training",
    )
    layer_learning_rates: dict[str, Factor] | Annotated[float, Field(gt=0, lt=1)] = Field(
        {},
        description="pattern of parameters to a factor of the learning rate, the first that fits; "
        "or a number: the last layer has the factor 1, each before it this number times the next's",
    )

    @model_validator(mode="after")
    def _in_time(self) -> TransferOptions:
        if self.unfreeze and not self.freeze:
            raise ValueError("unfreeze: nothing is frozen without `freeze`")
        late = sorted(step for step in self.unfreeze if step >= self.steps)
        if late:
            raise ValueError(f"unfreeze: step {late[0]} is not below the {self.steps} steps")
        return self

    @property
    def transfers(self) -> bool:
        """Whether any of them is set."""
        return bool(
            self.freeze
            or self.heads
            or self.freeze_batch_norm_statistics
            or self.layer_learning_rates
        )


class Transfer:
    """What these options make of one module, and whether a trainer kept to it.

    Raises:
        BuildError: a pattern fits nothing, or nothing is left to train.
    """

    def __init__(self, module: Any, options: TransferOptions) -> None:
        names = [name for name, _ in module.named_parameters()]
        self._options = options
        self._before = {name: value.detach().clone() for name, value in module.named_parameters()}
        self._statistics = {
            name: value.detach().clone() for name, value in _statistics(module).items()
        }
        if options.freeze_batch_norm_statistics and not self._statistics:
            raise BuildError(
                "the model has no statistics of batch normalisation",
                where="finetune.freeze_batch_norm_statistics",
                next_step="leave the option out",
            )
        self._frozen = set(_fitting(options.freeze, names, "freeze"))
        self._from: dict[int, set[str]] = {}
        left = set(self._frozen)
        for step, patterns in sorted(options.unfreeze.items()):
            self._from[step] = set(_fitting(patterns, sorted(left), f"unfreeze.{step}"))
            left -= self._from[step]
        if len(self._frozen) == len(names):
            raise BuildError(
                f"all {len(names)} parameters are frozen, and nothing is left to train",
                where="finetune.freeze",
                valid='patterns that leave some, such as ["*", "!head.*"]',
            )
        self._always = left
        self._factors = _factors(options.layer_learning_rates, names)
        self._kept_early: dict[str, bool] = {}
        self._hooks: list[Any] = []
        self._steps_watched = self._steps_at_other_rates = 0

    def begin(self, module: Any, done: int) -> None:
        """Freezes what is frozen at the step `done`, before the first step of a process."""
        unfrozen = {name for step, names in self._from.items() if step <= done for name in names}
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(name not in self._frozen - unfrozen)
        if self._options.freeze_batch_norm_statistics:
            for layer in _normalisations(module):
                if not any(map(_is_ours, layer._forward_pre_hooks.values())):
                    self._hooks.append(layer.register_forward_pre_hook(_keep_statistics))

    def step(self, module: Any, number: int) -> None:
        """Unfreezes what is trained from the step `number` on."""
        import torch

        for name, parameter in module.named_parameters():
            if name in self._from.get(number, ()):
                before = self._before[name].to(parameter.device)
                self._kept_early[name] = torch.equal(parameter.detach(), before)
                parameter.requires_grad_(True)

    def groups(self, module: Any, learning_rate: float) -> list[dict[str, Any]]:
        """Parameters as an optimizer takes them, with their learning rates: a group for each
        factor; what stays frozen is in none.
        """
        by_factor: dict[float, list[Any]] = {}
        for name, parameter in module.named_parameters():
            if name not in self._always:
                by_factor.setdefault(self._factors.get(name, 1.0), []).append(parameter)
        return [
            {"params": parameters, "lr": learning_rate * factor}
            for factor, parameters in by_factor.items()
        ]

    def watch(self, module: Any, optimizers: Sequence[Any]) -> None:
        """Compares the optimizers' learning rates, after a step, with the factors of layers."""
        if not self._options.layer_learning_rates:
            return
        names = {id(parameter): name for name, parameter in module.named_parameters()}
        rates = {
            names[id(parameter)]: float(group["lr"]) / self._factors.get(names[id(parameter)], 1.0)
            for optimizer in optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
            if id(parameter) in names and names[id(parameter)] not in self._always
        }
        expected = len(self._before) - len(self._always)
        most = max(rates.values(), default=0.0)
        self._steps_watched += 1
        self._steps_at_other_rates += len(rates) < expected or any(
            abs(rate - most) > _TOLERANCE * most for rate in rates.values()
        )

    def effect(self, trained: Any) -> dict[str, Any]:
        """What became of the parameters and statistics; hooks are taken out of `trained`."""
        for hook in self._hooks:
            hook.remove()
        for layer in _normalisations(trained):  # a copy of the module has copies of them
            hooks = layer._forward_pre_hooks
            for key in [key for key, hook in hooks.items() if _is_ours(hook)]:
                del hooks[key]
        after = dict(trained.named_parameters())
        statistics = _statistics(trained)
        effect: dict[str, Any] = {}
        if self._options.freeze:
            effect |= {
                "frozen_parameters": sum(self._before[name].numel() for name in self._always),
                "frozen_changed": sorted(
                    name for name in self._always if not _same(self._before[name], after.get(name))
                ),
            }
        if self._options.unfreeze:
            once = sorted({name for names in self._from.values() for name in names})
            effect |= {
                "unfrozen_parameters": sum(self._before[name].numel() for name in once),
                "unfrozen_early": [name for name in once if not self._kept_early.get(name, True)],
                "unfrozen_unchanged": [
                    name for name in once if _same(self._before[name], after.get(name))
                ],
            }
        if self._options.freeze_batch_norm_statistics:
            effect |= {
                "kept_statistics": len(self._statistics),
                "statistics_changed": sorted(
                    name
                    for name, value in self._statistics.items()
                    if not _same(value, statistics.get(name))
                ),
            }
        if self._options.layer_learning_rates:
            groups = self.groups(trained, 1.0)
            effect |= {
                "learning_rate_factors": sorted(float(f"{group['lr']:.6g}") for group in groups),
                "steps_watched": self._steps_watched,
                "steps_at_other_rates": self._steps_at_other_rates,
            }
        if self._options.heads:
            wanted = _modules_of(trained, self._options.heads)
            outputs = {name: int(trained.get_submodule(name).weight.shape[0]) for name in wanted}
            effect |= {
                "heads": outputs,
                "heads_of_other_outputs": [
                    name for name, count in outputs.items() if count != wanted[name]
                ],
            }
        return effect


def prove(effect: Mapping[str, Any], options: TransferOptions, step: str) -> None:
    """Check that a training kept to its transfer options.

    Raises:
        NoEffect: what was to stay has changed, or what was to change has not.
    """
    if options.freeze:
        changed = effect["frozen_changed"]
        expect(
            not changed,
            step,
            f"{_listed(changed)} changed though frozen: the trainer must train the parameters of "
            "`course.parameter_groups(module, learning_rate)` alone",
        )
    if options.unfreeze:
        early, still = effect["unfrozen_early"], effect["unfrozen_unchanged"]
        expect(not early, step, f"{_listed(early)} changed before the step that unfreezes them")
        expect(
            not still,
            step,
            f"{_listed(still)} did not change after they were unfrozen: the optimizer must have "
            "the groups of `course.parameter_groups(module, learning_rate)`, and `course.steps` "
            "the module",
        )
    if options.freeze_batch_norm_statistics:
        changed = effect["statistics_changed"]
        expect(not changed, step, f"the statistics {_listed(changed)} changed though kept")
    if options.layer_learning_rates:
        expect(
            effect["steps_watched"] > 0 and not effect["steps_at_other_rates"],
            step,
            f"layers had other learning rates than theirs in {effect['steps_at_other_rates']} of "
            f"{effect['steps_watched']} steps: the trainer must build its optimizer of "
            "`course.parameter_groups(module, learning_rate)`, give it to `course.steps`, and "
            "schedule the rate of each group",
        )
    if options.heads:
        wrong = effect["heads_of_other_outputs"]
        expect(not wrong, step, f"{_listed(wrong)} has another number of outputs than its head")


def with_heads(module: Any, heads: Mapping[str, int]) -> Any:
    """The module with new layers of these numbers of outputs in place of those that fit; of the
    same type and settings, with random weights.

    Raises:
        BuildError: a pattern fits no linear layer and no convolution.
    """
    import torch

    for name, outputs in _modules_of(module, heads).items():
        old = module.get_submodule(name)
        if isinstance(old, torch.nn.Linear):
            new: Any = torch.nn.Linear(old.in_features, outputs, old.bias is not None)
        else:
            settings = ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
            new = type(old)(
                old.in_channels,
                outputs,
                bias=old.bias is not None,
                **{setting: getattr(old, setting) for setting in settings},
            )
        above, _, last = name.rpartition(".")
        setattr(module.get_submodule(above), last, new.to(old.weight.dtype).train(old.training))
    return module


def _modules_of(module: Any, heads: Mapping[str, int]) -> dict[str, int]:
    import torch

    layers = torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d
    names = [name for name, layer in module.named_modules() if isinstance(layer, layers)]
    chosen: dict[str, int] = {}
    for pattern, outputs in heads.items():
        fitting = [name for name in names if fnmatchcase(name, pattern)]
        if not fitting:
            raise BuildError(
                f"the pattern {pattern!r} fits no linear layer and no convolution",
                where=f"finetune.heads.{pattern}",
                valid=suggestion(pattern, names),
            )
        chosen |= dict.fromkeys(fitting, outputs)
    return chosen


def _fitting(patterns: Sequence[str], names: Sequence[str], key: str) -> list[str]:
    """Those of `names` that the patterns choose, each pattern by itself at least one.

    Raises:
        BuildError: a pattern fits none of them.
    """
    chosen: dict[str, None] = {}
    for pattern in patterns:
        back = pattern.startswith("!")
        fitting = [name for name in names if fnmatchcase(name, pattern.removeprefix("!"))]
        if back:
            fitting = [name for name in fitting if name in chosen]
        if not fitting:
            raise BuildError(
                f"the pattern {pattern!r} fits no "
                + ("parameter that a pattern before it fits" if back else "parameter"),
                where=f"finetune.{key}",
                valid=suggestion(pattern, names),
            )
        if back:
            for name in fitting:
                del chosen[name]
        else:
            chosen |= dict.fromkeys(fitting)
    return list(chosen)


def _factors(rates: Mapping[str, float] | float, names: Sequence[str]) -> dict[str, float]:
    """The factor of each parameter's learning rate, where it is another than 1."""
    if isinstance(rates, Mapping):
        factors: dict[str, float] = {}
        for pattern, factor in rates.items():
            for name in _fitting([pattern], names, "layer_learning_rates"):
                factors.setdefault(name, factor)
        return factors
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    depth = {layer: len(layers) - 1 - place for place, layer in enumerate(layers)}
    return {name: rates ** depth[name.rpartition(".")[0]] for name in names}


def _normalisations(module: Any) -> Iterator[Any]:
    from torch.nn.modules.batchnorm import _BatchNorm

    return (layer for layer in module.modules() if isinstance(layer, _BatchNorm))


def _statistics(module: Any) -> dict[str, Any]:
    """Running means and variances of batch normalisation, with the counts behind them, by name."""
    ours = {id(value) for layer in _normalisations(module) for value in layer.buffers()}
    return {name: value for name, value in module.named_buffers() if id(value) in ours}


def _keep_statistics(layer: Any, _inputs: Any) -> None:
    """Before a forward pass: a trainer's `module.train()` put the layer into training."""
    layer.training = False


def _is_ours(hook: Any) -> bool:
    return hook is _keep_statistics


def _same(before: Any, after: Any) -> bool:
    import torch

    return after is not None and torch.equal(before, after.detach().to(before.device))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} others" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"
