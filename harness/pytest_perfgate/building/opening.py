"""Opens a built artifact in the recipe's runtime."""

from __future__ import annotations

from pytest_perfgate import registry
from pytest_perfgate.building.artifact_handle import ArtifactHandle
from pytest_perfgate.building.builder import load
from pytest_perfgate.building.tiled_session import tiled
from pytest_perfgate.errors import BuildError, RuntimeFault
from pytest_perfgate.records.recipe import PlantedFault, Recipe, Suite
from pytest_perfgate.runtimes import InferenceSession, OpenContext, Runtime


def open_session(suite: Suite, recipe: Recipe, artifact: ArtifactHandle) -> InferenceSession:
    """A session of the recipe's runtime on a built artifact. What the runtime compiled when the
    artifact was evaluated is found again. It has the fault that the suite plants in the recipe.

    Raises:
        BuildError: the artifact was not evaluated.
        RuntimeFault: the runtime does not open it.
        DoesNotApply: the artifact cannot have the planted fault.
    """
    context, planted = context_of(suite, artifact), planted_in(suite, recipe)
    runtime: Runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    options = runtime.Options.model_validate(dict(recipe.runtime.options))
    try:
        opened = load(artifact)
        if planted is not None:  # no other process imports what plants faults
            from pytest_perfgate.proving.weights import plant_in_artifact

            opened = plant_in_artifact(opened, planted, context.folder)
        session = runtime.open(opened, options, context)
    except RuntimeFault as error:
        if recipe.chain or error.where != str(artifact.path) or error.next_step:
            raise
        # Nothing was made of the suite's file: the copy in the cache is of no use to anybody.
        raise RuntimeFault(
            error.problem,
            where=f"suite.model = {suite.model.name!r}",
            valid=error.valid,
            next_step="copy the file anew, with those that belong to it: it is damaged, or the "
            "library is older than what wrote it",
        ) from error
    registry.derived(session, InferenceSession, f"the runtime {recipe.runtime.name!r} opens")
    if planted is not None:
        from pytest_perfgate.proving.sessions import plant_in_session

        session = plant_in_session(session, planted)
    return tiled(session, suite.input)


def planted_in(suite: Suite, recipe: Recipe) -> PlantedFault | None:
    """The fault that the suite has planted in a recipe, None for none."""
    planted = suite.planted
    return planted if planted is not None and planted.recipe == recipe.name else None


def context_of(suite: Suite, artifact: ArtifactHandle) -> OpenContext:
    """The terms on which a suite's sessions on `artifact` are opened.

    Raises:
        BuildError: the artifact was not evaluated.
    """
    if artifact.compiled is None:
        raise BuildError("the artifact has no folder for the code that its runtime compiles")
    artifact.compiled.mkdir(parents=True, exist_ok=True)
    return OpenContext(threads=suite.threads, folder=artifact.compiled)
