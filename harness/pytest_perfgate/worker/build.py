"""The "build" job: the links of a recipe that are the same on every machine, for another one."""

from __future__ import annotations

from pytest_perfgate.building.artifact_cache import ArtifactStore
from pytest_perfgate.building.builder import BuildRequest, build_portable
from pytest_perfgate.building.project_code import Watch
from pytest_perfgate.building.source_link import first_links
from pytest_perfgate.building.suite_data import SuiteData, splits_used
from pytest_perfgate.records.build_messages import BuildJob
from pytest_perfgate.worker.failures import failure
from pytest_perfgate.worker.protocol import Send
from pytest_perfgate.worker.sparse_progress import SparseProgress


def build_links(job: BuildJob, send: Send) -> None:
    """Builds links; sends `WorkProgress`, then `LinksBuilt`, or `Failed`."""
    suite = job.suite
    recipe = suite.recipes[job.recipe]
    progress = SparseProgress(send)
    try:
        watch, store = Watch(suite.root, job.cache, progress), ArtifactStore(job.cache)
        first = first_links(suite, recipe, store, watch)
        with watch.reading_data():
            data = SuiteData(suite, progress)
            for split in splits_used(recipe):  # before hours of training, not after them
                data.refuse_leak(split)
        request = BuildRequest(suite, recipe, store, watch, data, progress, first)
        send(build_portable(request))
    except Exception as error:  # noqa: BLE001 - whatever a step raises ends this recipe only
        send(failure(error, "build"))
