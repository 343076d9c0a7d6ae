"""The "soak" job: requests to a recipe's server for as long as its workload says."""

from __future__ import annotations

import os

from pytest_perfgate.building.opening import open_session
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.runtimes.endpoint import EndpointSession
from pytest_perfgate.worker.loading import read_images
from pytest_perfgate.worker.protocol import Send, SoakJob, SoakMeasured, WorkProgress
from pytest_perfgate.workloads.serving_options import ServingOptions
from pytest_perfgate.workloads.serving_soak import soak as send_requests


def soak(job: SoakJob, send: Send) -> None:
    """Watches a recipe's server under load; sends one `SoakMeasured`.

    Raises:
        RuntimeFault: the recipe is at no endpoint, or its server cannot be measured.
    """
    if job.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job.cores)
    recipe = job.suite.recipes[job.recipe]
    options = ServingOptions.model_validate(dict(recipe.workload.options))
    session = open_session(job.suite, recipe, job.artifact)
    try:
        if not isinstance(session, EndpointSession):
            raise RuntimeFault(
                "a long run of requests is sent to a server",
                where="runtime",
                valid='"kserve" or "http"',
            )
        pipeline = SuiteData(job.suite).pipeline
        inputs = [pipeline.preprocess([image])[0] for image in read_images(job.images)]
        session.run(inputs[0])
        client = session.load_client(inputs)

        def show(done: int, total: int) -> None:
            send(WorkProgress(done, total, "soak"))

        measured = send_requests(session, inputs[0], client, options, show)
    finally:
        session.close()
    send(SoakMeasured(measured))
