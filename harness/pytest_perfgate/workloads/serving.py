"""Requests as MLPerf's scenarios send them: one by one, in groups, at random times, or all at once.

In process MLPerf LoadGen sends them, and the recipe is the system under test; to an endpoint the
open-loop generator sends them. A request is a network's input that was pre-processed before; its
time ends with the output arrays.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from typing_extensions import override

from pytest_perfgate import registry
from pytest_perfgate.errors import RuntimeFault
from pytest_perfgate.machine.scheduling import run_when_due
from pytest_perfgate.registry import Requirement
from pytest_perfgate.workloads import Work, WorkContext, Workload
from pytest_perfgate.workloads.serving_options import COLUMNS, METRICS, SOAK, ServingOptions


class Serving(Workload):
    """The workload of this file."""

    Options = ServingOptions

    name = "serving"
    columns = COLUMNS
    metrics = MappingProxyType({**METRICS, **SOAK})
    goal = "request_latency_p99"
    runs = 1
    requires = (registry.from_extra("mlperf_loadgen", "serving"),)

    @override
    def open(self, options: Any, context: WorkContext) -> Work:
        """The recipe as LoadGen's system under test, or its endpoint under the load generator.

        Raises:
            RuntimeFault: the endpoint cannot be measured.
        """
        run_when_due()
        # NumPy is imported with them, and pytest's process reads the options alone.
        if context.endpoint:
            from pytest_perfgate.workloads.serving_endpoint import AtEndpoint

            return AtEndpoint(options, context)
        if options.replicas > 1:
            raise RuntimeFault(
                f"replicas = {options.replicas}, and the recipe runs in this process, once",
                where="workload.replicas",
                valid="endpoints: the runtimes kserve and http",
                next_step='workload = { name = "replicas", devices = 2 }: several processes',
            )
        from pytest_perfgate.workloads.serving_in_process import InProcess

        return InProcess(options, context)

    @override
    def requires_with(self, options: Any) -> tuple[Requirement, ...]:
        """LoadGen."""
        return self.requires
