"""Pairs of turns of two endpoints, until they prove something or the time is over."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_perfgate import registry
from pytest_perfgate.artifact import Artifact
from pytest_perfgate.building.import_path import enter
from pytest_perfgate.building.suite_data import SuiteData
from pytest_perfgate.errors import PerfgateError, RecipeError, RuntimeFault
from pytest_perfgate.inputs import Inputs
from pytest_perfgate.load import Client
from pytest_perfgate.load.load_run import LoadRun
from pytest_perfgate.machine.cores import usable_cores
from pytest_perfgate.records.recipe import VALIDATION, Recipe, Suite
from pytest_perfgate.records.verdict import Status
from pytest_perfgate.runtimes import OpenContext, Runtime
from pytest_perfgate.runtimes.endpoint import EndpointSession
from pytest_perfgate.sources.naming import finished_files
from pytest_perfgate.suite.tables import Place
from pytest_perfgate.verdicts.side_by_side import Decision, decide, log_ratio
from pytest_perfgate.workloads.kept_answers import refuse_kept_answers
from pytest_perfgate.workloads.serving_options import ServingOptions
from pytest_perfgate.workloads.serving_turns import paired_turn

NAMES = ("A", "B")

_IMAGES = 32  # validation images whose requests are sent again and again
_FIRST = 20  # requests to each endpoint before the first pair
_DECIDED = {Status.PASS, Status.FAIL}


@dataclass(frozen=True)
class Terms:
    """How two endpoints are compared.

    Attributes:
        options: of the workload: timeout, errors allowed, limit of the latency.
        rate: requests per second, on average.
        requests: in a turn.
        share: percentile of the latency, 0 to 1.
        budget: by how much B may be slower, 0.02 is 2 %.
        seconds: time for all pairs.
        alpha: chance of a wrong FAIL, and of a wrong PASS.
        seed: of arrival times and of the order of turns.
    """

    options: ServingOptions
    rate: float
    requests: int
    share: float
    budget: float
    seconds: float
    alpha: float
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What was measured.

    Attributes:
        ratios: the log of B's latency over A's, of each pair.
        late: pairs in which the load generator was late, which have no ratio.
        reason: of the last of these.
    """

    decision: Decision
    ratios: tuple[float, ...] = ()
    late: int = 0
    reason: str = ""


class Pairs:
    """Turns of two endpoints.

    Args:
        sessions: of A and of B.
        requests: what both are sent.
        terms: how they are compared.
        show: is told of each pair.

    Raises:
        RuntimeFault: an endpoint does not take the requests.
    """

    def __init__(
        self,
        sessions: Sequence[EndpointSession],
        requests: Sequence[Inputs],
        terms: Terms,
        show: Callable[[str], None],
    ) -> None:
        self._sessions, self._terms, self._show = sessions, terms, show
        self._clients: list[Client] = []
        self._ratios: list[float] = []
        self._late, self._reason = 0, ""
        self._order = np.random.default_rng(terms.seed)
        try:
            for session, name in zip(sessions, NAMES, strict=True):
                try:
                    session.run(requests[0])  # a server may start threads at its first request
                    self._clients.append(session.load_client(requests))
                except PerfgateError as error:
                    raise error.at(name) from None
        except BaseException:
            self.close()
            raise

    def run(self) -> Outcome:
        """Pairs until something is proven, or none more fits into the time.

        Raises:
            RuntimeFault: more requests failed than may, or an answer cannot be read.
        """
        self._turns(min(_FIRST, self._terms.requests), 0)
        begin = time.monotonic()
        longest = 0.0
        number = 0
        while True:
            number += 1
            before = time.monotonic()
            self._measure(number)
            longest = max(longest, time.monotonic() - before)
            outcome = self.outcome()
            if outcome.decision.status in _DECIDED:
                return outcome
            if time.monotonic() + longest > begin + self._terms.seconds:
                return outcome
            self._show(f"{number} pairs of turns")

    def outcome(self) -> Outcome:
        """What the pairs up to now say."""
        terms = self._terms
        decision = decide(self._ratios, terms.budget, terms.alpha)
        return Outcome(decision, tuple(self._ratios), self._late, self._reason)

    def _measure(self, number: int) -> None:
        """One pair; it has no ratio where the load generator was late in one of its turns."""
        terms = self._terms
        runs = self._turns(terms.requests, number)
        late = next(filter(None, (run.too_late(terms.options.limit_seconds) for run in runs)), "")
        if late:
            self._late, self._reason = self._late + 1, late
        else:
            self._ratios.append(log_ratio(runs[0], runs[1], terms.share))

    def _turns(self, requests: int, number: int) -> list[LoadRun]:
        """A turn of each in a drawn order: both with the same requests at the same times."""
        terms = self._terms
        runs: dict[int, LoadRun] = {}
        for side in self._order.permutation(len(self._clients)).tolist():
            try:
                runs[side] = paired_turn(
                    self._sessions[side],
                    self._clients[side],
                    terms.options,
                    rate=terms.rate,
                    requests=requests,
                    seed=terms.seed + number,
                )
            except PerfgateError as error:
                raise error.at(NAMES[side]) from None
        return [runs[side] for side in range(len(self._clients))]

    def close(self) -> None:
        """Closes the connections."""
        for client in self._clients:
            client.close()


def is_url(text: str) -> bool:
    """Whether an argument is an address; else it is a file."""
    return text.startswith(("http://", "https://"))


def options_for(recipe: Recipe, target: str, name: str) -> Any:
    """The options of the recipe's runtime with which a session on an address, or on a file that the
    recipe's server is started with, is opened.

    Raises:
        RecipeError: the runtime is no endpoint's, does not start a server for the file, or may not
            send to the address.
    """
    runtime: Runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    place = f"recipe {recipe.name!r}: runtime"
    if not runtime.endpoint:
        raise RecipeError(
            f"the runtime {runtime.name!r} infers in process",
            where=place,
            valid="a recipe whose runtime is kserve or http: --recipe NAME",
        )
    given: Mapping[str, Any] = dict(recipe.runtime.options)
    if is_url(target):
        started = {"start", "environment", "ready", "url"}
        given = {key: value for key, value in given.items() if key not in started}
        given = {**given, "url": target}
    elif not given.get("start"):
        raise RecipeError(
            f"{name} is a file, and the recipe starts no server for it",
            where=f"{place}.start",
            next_step=f"give {name} as the address of a server that has it",
        )
    return Place(name).validate(runtime.Options, given, "runtime")


def artifact_of(target: str, name: str) -> Artifact:
    """What a server is started with; of an address there is no file.

    Raises:
        RecipeError: it is no file that is a model.
    """
    if is_url(target):
        return Artifact("onnx")
    for source in finished_files():
        if target.endswith(source.suffixes):
            if not Path(target).is_file():
                break
            return Artifact(source.gives, path=Path(target).resolve())
    suffixes = " ".join(suffix for source in finished_files() for suffix in source.suffixes)
    raise RecipeError(
        f"{target!r} is no file that is a model, and no address",
        where=name,
        valid=f"http:// or https://, or a file ({suffixes})",
    )


def requests_of(suite: Suite) -> tuple[list[Inputs], Callable[[EndpointSession], None]]:
    """The network's inputs of the first validation images, one in each request; and what refuses an
    endpoint that keeps its answers, for they come again and again.

    Raises:
        RecipeError: an image is more than one input, or depends on the one before it.
    """
    if suite.state or suite.input.get("resize") == "tiles":
        raise RecipeError(
            "a request has one image by itself, and the suite has tiles or a state",
            where="suite",
            valid="suites without [suite.state] and tiles",
        )
    data = SuiteData(suite)
    count = min(_IMAGES, len(data.split(VALIDATION).images))
    images = list(data.images(VALIDATION, range(count)))

    def preprocess(some: Sequence[Any]) -> Inputs:
        return data.pipeline.preprocess(some)[0]

    def refuse_kept(session: EndpointSession) -> None:
        refuse_kept_answers(session.run, preprocess, images, 1)

    return [preprocess([image]) for image in images], refuse_kept


@contextlib.contextmanager
def opened(
    suite: Suite, recipe: Recipe, targets: Sequence[str], folder: Path
) -> Iterator[list[EndpointSession]]:
    """Sessions of A and B, whose servers, where they are started, are on the same cores.

    Raises:
        RuntimeFault: an endpoint does not answer, a server does not start, or there is one core
            alone for servers and requests.
    """
    runtime: Runtime = registry.find(registry.RUNTIMES, recipe.runtime.name)
    pairs = [
        (artifact_of(target, name), options_for(recipe, target, name))
        for target, name in zip(targets, NAMES, strict=True)
    ]
    cores = usable_cores()
    with contextlib.ExitStack() as stack:
        sessions: list[EndpointSession] = []
        for (artifact, options), name in zip(pairs, NAMES, strict=True):
            _use(cores)  # the server before took all of them but the last
            try:
                session = runtime.open(artifact, options, OpenContext(suite.threads, folder))
            except PerfgateError as error:
                raise error.at(name) from None
            stack.callback(session.close)
            if not isinstance(session, EndpointSession):
                raise RuntimeFault(
                    f"the runtime {runtime.name!r} opens no EndpointSession", where=name
                )
            if session.apart is False:
                raise RuntimeFault(
                    "the server and the load generator share a core, so that one would be timed "
                    "with the other",
                    where=name,
                    valid="two cores or more",
                )
            sessions.append(session)
        yield sessions


def compare(
    suite: Suite,
    recipe: Recipe,
    targets: Sequence[str],
    terms: Terms,
    folder: Path,
    show: Callable[[str], None],
) -> Outcome:
    """Measures A and B, and says what the pairs prove. Ctrl-C ends it with what was proven before.

    Raises:
        PerfgateError: an endpoint, a file or the suite cannot be used.
        Interrupted: Ctrl-C, with the outcome until then.
    """
    enter(suite)
    requests, refuse_kept = requests_of(suite)
    with opened(suite, recipe, targets, folder) as sessions:
        for session, name in zip(sessions, NAMES, strict=True):
            try:
                refuse_kept(session)
            except PerfgateError as error:
                raise error.at(name) from None
        pairs = Pairs(sessions, requests, terms, show)
        try:
            return pairs.run()
        except KeyboardInterrupt:
            raise Interrupted(pairs.outcome()) from None
        finally:
            pairs.close()


class Interrupted(Exception):
    """Ctrl-C."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("interrupted")
        self.outcome = outcome


def _use(cores: Sequence[int]) -> None:
    if sys.platform == "linux":
        os.sched_setaffinity(0, cores)
