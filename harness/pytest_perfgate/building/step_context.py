"""What a step is given when it builds: the suite's data and models, scores, folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pytest_perfgate.artifact import TORCH, Artifact, OptionsModel
from pytest_perfgate.building.artifact_cache import ArtifactStore
from pytest_perfgate.building.keys import SEED
from pytest_perfgate.building.source_model import make
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.building.tiled_session import tiled
from pytest_perfgate.errors import BuildError
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.records.recipe import VALIDATION, ModelSpec, Suite
from pytest_perfgate.registry import resolve
from pytest_perfgate.runtimes import InferenceSession, OpenContext
from pytest_perfgate.runtimes.choice import runtime_for
from pytest_perfgate.steps import BuildContext, Step
from pytest_perfgate.steps.training_checkpoints import Checkpoints
from pytest_perfgate.suite.fence import fence_of
from pytest_perfgate.workloads.frame_order import FrameRun, starts_of


@dataclass(frozen=True)
class StepSetting:
    """The suite whose steps are applied, its data, and the cache; `progress(done, total, note)`
    shows progress.
    """

    suite: Suite
    store: ArtifactStore
    data: SuiteData
    progress: Callable[[int, int, str], None]

    def context(
        self,
        step: Step,
        options: OptionsModel,
        before: Callable[[], Artifact],
        folder: Path,
        checkpoints: Checkpoints | None,
    ) -> BuildContext:
        """The context in which `step` is applied to the artifact that `before` opens; its files go
        into `folder`.
        """
        inputs = partial(self._inputs, before) if self.suite.state else self.data.inputs
        return BuildContext(
            folder=folder,
            example=self.data.example,
            inputs=inputs,
            data=self.data.split,
            trainer=(
                resolve(self.suite.trainer, "suite.trainer") if step.trains_with(options) else None
            ),
            seed=SEED,
            threads=self.suite.threads,
            progress=lambda done, total, note: self.progress(
                done, total, f"{step.name}: {note}" if note else step.name
            ),
            score=partial(self._score, step, options),
            model=lambda name: self._other_model(name, f"step {step.name}", folder),
            checkpoints=checkpoints,
            cache=self.store.cache(step.name),
        )

    def _other_model(self, name: str, where: str, folder: Path) -> Any:
        other = make(ModelSpec(name), fence_of(self.suite), where, folder)
        if other.artifact.kind != TORCH:
            raise BuildError(f"{name!r} is {other.artifact.kind}", where=where, valid=TORCH)
        return other.artifact.module

    def _score(self, step: Step, options: OptionsModel, artifact: Artifact, split: str) -> float:
        """The task's first metric over a split that is not the one that budgets are judged on."""
        if split == VALIDATION:
            raise BuildError("a step cannot score validation images: they judge its result")
        if split not in step.scores_with(options):
            raise BuildError(
                f"step {step.name!r} scores {split!r} images, and does not say so: its key lacks "
                "the code of the score",
                valid=", ".join(sorted(step.scores_with(options))) or "no scores",
                next_step=f"let {type(step).__name__}.scores_with give {split!r}",
            )
        session = self._session(artifact)
        try:
            data, run = self.data.split(split), FrameRun(self.data.declared, session)
            starts = starts_of(self.data.task, data)
            predictions = []
            for index in range(len(data.images)):
                begins = int(index in starts)
                predictions += run.step(self.data.images(split, [index]), begins=begins).predictions
        finally:
            session.close()
        values = self.data.task.evaluate(data, predictions).values
        return values[next(iter(self.data.task.metrics))]

    def _session(self, artifact: Artifact) -> InferenceSession:
        """A session on an artifact, of the runtime that its kind has in this process."""
        runtime, options = runtime_for(artifact.kind)
        context = OpenContext(threads=self.suite.threads, folder=self.store.root)
        return tiled(runtime.open(artifact, options, context), self.suite.input)

    def _inputs(self, before: Callable[[], Artifact], split: str, limit: int) -> Iterator[Inputs]:
        """As `SuiteData.inputs`, with the states that the model has before the step: those of the
        first frame alone would say nothing of their range.
        """
        session = self._session(before())
        try:
            yield from self.data.inputs(split, limit, session)
        finally:
            session.close()
