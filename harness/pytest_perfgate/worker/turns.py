"""The turns of a launch's arms: rounds, visits, batches, and the energy of inferences.

Arms that are compared with each other make a *block*: they take turns at every single inference,
so that what disturbs one disturbs the other. A round is one timed turn of every arm of a block, in
random order. A launch visits its blocks again and again, some rounds at a time; the first turn of a
visit is not timed, because the blocks before it have left the caches to it, and how many they are
must not matter. An arm may be in several blocks. Blocked turns, which a suite may ask for, are the
same visits with each arm's turns in a row.

An arm whose turn is a run of its own (`Workload.runs`) has few turns in a launch. Blocks with such
arms that share one are joined, so that it has its turns once, beside all that it is compared with.
"""

from __future__ import annotations

import math
import random
import time

from pytest_perfgate.machine.cpu_sensors import Sensors
from pytest_perfgate.machine.gpu_sensors import Devices
from pytest_perfgate.records.recipe import BLOCKED
from pytest_perfgate.records.yardsticks import needed
from pytest_perfgate.worker.arm import BATCH, ENERGY, PAIR, SAMPLE
from pytest_perfgate.worker.arm_process import HeldArm, failing, take_turn
from pytest_perfgate.worker.protocol import LaunchPlan, Send, WorkProgress
from pytest_perfgate.workloads.varied_images import ROUNDS, WARM_UP

_SILENT = 20.0  # seconds between two words to the session, at most, but for one turn's time
_FEW_VISITS = 2  # of every block, however slow its arms are

_ENERGY_SECONDS = 1.0  # of inferences: a device's energy counter moves a few times a second

_PAIRS = 8  # turns of each arm that are compared request by request: their middle is a launch's
_FIRST_PAIR = 1 << 17
"""Number of the first of them: of no other turn, so that no run has the same arrivals."""

Span = tuple[int, float, float]
"""A round's number, begin and end, in seconds of `time.monotonic`."""


class Turns:
    """Asks arms for their turns; one that dies leaves `live`, and the others go on.

    Args:
        live: the arms of the launch; shared with it.
        plan: what is measured.
        silence: seconds without an answer after which an arm counts as hung.
        order: in which turns are drawn.
        launch: number of the launch in its suite.
    """

    def __init__(
        self,
        live: list[HeldArm],
        plan: LaunchPlan,
        silence: float,
        order: random.Random,
        send: Send,
        launch: int,
    ) -> None:
        self._launch = launch
        self._live = live
        self._plan = plan
        self._silence = silence
        self._order = order
        self._send = send
        self._said = time.monotonic()
        self._at = 0, 0  # visits that are over, of how many
        paces = [arm.pace for arm in live if plan.paced and not arm.cores_yardstick]
        self._longest = max([plan.longest, *map(needed, paces)])

    def untimed(self) -> None:
        """A turn of every arm that counts for nothing."""
        for arm in self._drawn(self._live):
            with failing(arm, self._live, self._send):
                take_turn(arm, SAMPLE, WARM_UP if arm.runs else 0, self._silence)

    def visits(self, sensors: Sensors, devices: Devices) -> list[Span]:
        """All visits of all blocks; gives when each of their rounds was."""
        spans: list[Span] = []
        visit = self._visit_blocked if self._plan.turns == BLOCKED else self._visit
        runs, blocks = self._with_runs()
        visits = math.ceil(self._plan.rounds / ROUNDS)
        # Each launch goes on where the one before it ended: one comes by a part of the images, and
        # a change may slow down few of them. Warm-ups have the numbers from `WARM_UP` on.
        turns = visits * len(self._plan.blocks) * ROUNDS
        first = self._launch * turns % max(1, WARM_UP - turns) // ROUNDS * ROUNDS
        for number, arms in enumerate(self._order.sample(runs, len(runs)), 1):
            spans += self._run(arms, first)
            first += ROUNDS
            sensors.look()
            devices.look()
            self._say(number, len(runs))
        start = time.monotonic()
        for number in range(visits if blocks else 0):
            if number >= _FEW_VISITS and time.monotonic() - start > self._plan.seconds:
                break
            # Drawn anew each time: what runs at a fixed period on this machine then meets all
            # blocks alike.
            for block in self._order.sample(blocks, len(blocks)):
                arms = [arm for arm in self._live if arm.label in block]
                alone = len(arms) == 1 and arms[0].cores_yardstick
                if not alone or number % self._plan.yardstick_every == 0:
                    self._at = number, visits
                    spans += visit(arms, first)
                first += ROUNDS
            # Between visits, so that reading /sys and NVML is nobody's time.
            sensors.look()
            devices.look()
            self._say(number + 1, visits)
        return spans

    def _with_runs(self) -> tuple[list[list[HeldArm]], list[tuple[str, ...]]]:
        """The joined blocks of arms that have runs, and the other blocks."""
        joined: list[set[str]] = []
        others = []
        runs = {arm.label for arm in self._live if arm.runs}
        for block in self._plan.blocks:
            if runs.isdisjoint(block):
                others.append(block)
                continue
            apart = [group for group in joined if group.isdisjoint(block)]
            beside = [group for group in joined if not group.isdisjoint(block)]
            joined = [*apart, set(block).union(*beside)]
        groups = [[arm for arm in self._live if arm.label in group] for group in joined]
        return groups, others

    def _run(self, group: list[HeldArm], first: int) -> list[Span]:
        """As many turns as each arm has runs, each behind one that is not timed: the others' runs
        before it took seconds.
        """
        spans = []
        most = min(ROUNDS, max(arm.runs for arm in group))
        for number in range(first, first + most):
            begin = time.monotonic()
            for arm in self._drawn(group):
                if number - first < max(1, arm.runs):
                    self._one(arm, WARM_UP + number, timed=False)
                    self._one(arm, number, timed=True)
            spans.append((number, begin, time.monotonic()))
        self._pairs([arm for arm in group if arm.paired and arm.label in self._plan.paired])
        return spans

    def _pairs(self, arms: list[HeldArm]) -> None:
        """Turns of requests that come to all of these arms alike, the arms in an order that is
        drawn anew: a machine that is slower for a second is so for all of them.
        """
        if len(arms) < 2:  # nothing to compare
            return
        first = _FIRST_PAIR + self._launch * _PAIRS
        for number in range(first, first + _PAIRS):
            for arm in self._drawn([arm for arm in arms if arm in self._live]):
                with failing(arm, self._live, self._send):
                    times = take_turn(arm, PAIR, number, self._silence)[: arm.paired]
                    arm.pairs.append(() if any(map(math.isnan, times)) else times)
            if time.monotonic() - self._said > _SILENT:
                self._say(*self._at)

    def _say(self, number: int, visits: int) -> None:
        self._said = time.monotonic()
        self._send(WorkProgress(number, visits, "visits"))

    def _visit(self, block: list[HeldArm], first: int) -> list[Span]:
        """A turn of each arm that is not timed, and then the rounds from number `first` on."""
        spans = []
        for turn in range(ROUNDS + 1):
            number, begin = first + max(0, turn - 1), time.monotonic()
            # In random order: with a fixed one, each arm would find the caches as the same
            # neighbour leaves them, and the difference would look like the arm's own.
            for arm in self._drawn(block):
                self._one(arm, number, timed=turn > 0)
            if turn:
                spans.append((number, begin, time.monotonic()))
        return spans

    def _visit_blocked(self, block: list[HeldArm], first: int) -> list[Span]:
        """As `_visit`, one arm after the other: what another has left behind is gone by an arm's
        second turn.
        """
        spans = []
        for arm in self._drawn(block):
            for turn in range(ROUNDS + 1):
                number, begin = first + max(0, turn - 1), time.monotonic()
                self._one(arm, number, timed=turn > 0)
                if turn:
                    spans.append((number, begin, time.monotonic()))
        return spans

    def _one(self, arm: HeldArm, number: int, *, timed: bool) -> None:
        if arm not in self._live:  # it died in an earlier turn of this visit
            return
        with failing(arm, self._live, self._send):
            what = self._longest if arm.cores_yardstick else number
            times = take_turn(arm, SAMPLE, what, self._silence)
            if timed:
                arm.rounds.append(number)
                arm.times.append(times)
        # Where turns take seconds, a visit takes minutes, and who is silent counts as hung.
        if time.monotonic() - self._said > _SILENT:
            self._say(*self._at)

    def batches(self) -> None:
        """A batch of every arm that one is asked of, however few the rounds were."""
        for arm in self._drawn(self._live):
            if arm.label in self._plan.batches:
                with failing(arm, self._live, self._send):
                    seconds = take_turn(arm, BATCH, 0, self._silence)[0]
                    if not math.isnan(seconds):  # its workload has no batches
                        arm.batches.append(seconds)

    def energies(self, devices: Devices) -> None:
        """What the devices use while one arm infers, and the others wait."""
        for arm in self._drawn(self._live):
            if arm.label not in self._plan.energies or not arm.on_device:
                continue
            with failing(arm, self._live, self._send):
                take_turn(arm, ENERGY, 0, self._silence)  # its inputs are prepared
                before = devices.energy()
                if before is None:
                    continue
                milliseconds = round(_ENERGY_SECONDS * 1e3)
                _, count, *_ = take_turn(arm, ENERGY, milliseconds, self._silence)
                after = devices.energy()
                if after is not None and after > before and count:
                    arm.energies.append((after - before) / count)

    def _drawn(self, arms: list[HeldArm]) -> list[HeldArm]:
        return self._order.sample(arms, len(arms))
