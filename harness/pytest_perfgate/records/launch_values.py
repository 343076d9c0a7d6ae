"""One value per launch and metric, read from a record: what the rules of a verdict work on."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pytest_perfgate.metric import COUNTED, OVER_FOLDS, PARITY, Better, Metric, Over, Rule
from pytest_perfgate.records.accuracy import Accuracy
from pytest_perfgate.records.launch import Growth, Launch
from pytest_perfgate.records.recipe_record import RecipeRecord
from pytest_perfgate.records.session import Spread
from pytest_perfgate.records.soak import SOAK_ERRORS, SOAK_METRICS

PEAKS = frozenset({"peak_memory", "device_memory"})
"""Metrics that are the highest of what a launch did, so that it matters what it did."""


PAIRED = "request_latency_p50"
"""The metric that is compared in paired turns, where arms have them."""


def batch_of(launch: Launch, metric: str = "") -> int:
    """Images in the batches that a metric of a launch was taken beside, 0 when there were none."""
    if metric == "peak_memory" and launch.peak_batch is not None:
        return launch.peak_batch
    return launch.batch_size if launch.batches else 0


def launch_value(launch: Launch, metric: str) -> float | None:
    """The value of one metric in one launch, in the metric's base unit; None: not measured.

    Times are the launch's median, 95th or 99th percentile (linear between order statistics), or
    the mean of their slowest twentieth, a workload's other values their median.
    """
    samples, statistic = _samples(launch, metric)
    if samples is not None:
        return _of_samples(samples, statistic) if samples else None
    if metric == "throughput":
        if not launch.batches or not launch.batch_size:
            return None
        return launch.batch_size / quantile(launch.batches, 0.5)
    if metric == "peak_memory":
        return None if launch.peak_memory is None else float(launch.peak_memory)
    if metric == "load_time":
        return launch.load_time
    if metric == "device_memory":
        known = launch.device_memory_process
        size = launch.device_memory_allocator if known is None else known
        return None if size is None else float(size)
    if metric == "energy":
        return quantile(launch.energies, 0.5) if launch.energies else None
    return None


def launch_ratio(launch: Launch, other: Launch, metric: str) -> float | None:
    """Log of the ratio of one metric in two arms of one launch; None: not measured in both.

    Times are compared over the rounds in which both arms had their turn. Medians are compared
    round by round: its samples are of the same image and of the same moment, so what disturbs
    both cancels, which the ratio of two medians leaves in. The result is the mean of the middle
    half of the rounds' log ratios (the midmean: Tukey 1977, "Exploratory Data Analysis"); on a
    machine in bursts of other guests' work its spread between identical arms was a half to two
    thirds of that of medians. The slowest twentieth is compared round by round, too (see
    `pytest_perfgate.stats.tails.tail`). Where both arms had turns of the same requests at the same
    times, the median latency of requests is compared by these, request by request
    (`pytest_perfgate.stats.paired_turns`). Everything else is compared by its value.
    """
    if metric == PAIRED and launch.pairs and other.pairs:
        from pytest_perfgate.stats.paired_turns import middle_log_ratio

        ratio = middle_log_ratio(other.pairs, launch.pairs)
        if ratio is not None:
            return ratio
    ours, statistic = _samples(launch, metric)
    theirs, _ = _samples(other, metric)
    if ours is not None and theirs is not None:
        both = _in_common(launch, ours, other, theirs)
        if not both:
            return None
        if statistic == _TAIL:
            from pytest_perfgate.stats.tails import tail

            return tail([_round_logs(both)])
        if statistic == "p50":
            logs = sorted(_round_logs(both))
            cut = len(logs) // 4
            middle = logs[cut : len(logs) - cut]
            return math.fsum(middle) / len(middle)
        sides = ([sample for pair in both for sample in pair[side]] for side in (0, 1))
        above, below = (log_value(_of_samples(side, statistic)) for side in sides)
        return above - below
    if metric in PEAKS and batch_of(launch, metric) != batch_of(other, metric):
        return None  # a batch takes the most memory
    one, two = launch_value(launch, metric), launch_value(other, metric)
    if one is None or two is None or not (math.isfinite(one) and math.isfinite(two)):
        return None
    return log_value(one) - log_value(two) if min(one, two) >= 0 else None


def round_ratios(launch: Launch, other: Launch, metric: str) -> list[float]:
    """Log of the ratio of a time in each round in which both arms of one launch had their turn;
    none where one of them did not measure it.
    """
    ours, theirs = _samples(launch, metric)[0], _samples(other, metric)[0]
    if ours is None or theirs is None:
        return []
    return _round_logs(_in_common(launch, ours, other, theirs))


_Pairs = list[tuple[Sequence[float], Sequence[float]]]
"""Samples of two arms in the rounds that both took part in."""


def _in_common(
    launch: Launch, ours: Sequence[float], other: Launch, theirs: Sequence[float]
) -> _Pairs:
    beside = _by_round(other, theirs)
    return [
        (samples, beside[number])
        for number, samples in _by_round(launch, ours).items()
        if number in beside
    ]


def _round_logs(pairs: _Pairs) -> list[float]:
    return [log_value(_middle(a)) - log_value(_middle(b)) for a, b in pairs]


def _middle(samples: Sequence[float]) -> float:
    # Nearly all rounds have one sample of an arm, and there are a thousand rounds.
    return samples[0] if len(samples) == 1 else quantile(samples, 0.5)


def _samples(launch: Launch, metric: str) -> tuple[tuple[float, ...] | None, str]:
    """The samples that a metric is a statistic of and that statistic; None for other metrics."""
    if metric in launch.values:
        return launch.values[metric], "p50"
    stage, _, statistic = metric.rpartition("_")
    stages = {
        **launch.values,
        "latency": launch.latency,
        "preprocess": launch.preprocess,
        "inference": launch.inference,
        "postprocess": launch.postprocess,
        "device_time": launch.device,
    }
    taken = stages.get(stage, ())  # none: the workload has no such stage
    return (taken, statistic) if taken and statistic in _STATISTICS else (None, "")


def _by_round(launch: Launch, samples: Sequence[float]) -> dict[int, Sequence[float]]:
    """Round to its samples: one, or equally many in every round."""
    rounds = launch.rounds or range(len(samples))
    count, left = divmod(len(samples), max(1, len(rounds)))
    if left:
        raise ValueError(f"{len(samples)} samples of {len(rounds)} rounds")
    return {number: samples[at * count : (at + 1) * count] for at, number in enumerate(rounds)}


_TAIL = "tail"
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_STATISTICS = frozenset({*_QUANTILES, _TAIL})
_TINY = 1e-12


def _of_samples(samples: Sequence[float], statistic: str) -> float:
    if statistic == _TAIL:
        from pytest_perfgate.stats.tails import slowest_mean

        return slowest_mean(samples)
    return quantile(samples, _QUANTILES[statistic])


def log_value(value: float) -> float:
    """The logarithm of a measured value; 0 counts as the least that a clock could show."""
    return math.log(max(value, _TINY))


def quantile(samples: Sequence[float], q: float) -> float:
    """The q-quantile of samples, linear between order statistics (Hyndman & Fan 1996, "Sample
    Quantiles in Statistical Packages", type 7; numpy's default). A verdict asks
    for one per round of every launch, where numpy's function takes 40 to 100 times as long.
    """
    ordered = sorted(samples)
    at = (len(ordered) - 1) * q
    left = int(at)
    right = min(left + 1, len(ordered) - 1)
    # Weighing both keeps the result between them; a step from one side can round past the other.
    share = at - left
    value = (1.0 - share) * ordered[left] + share * ordered[right]
    return min(max(value, ordered[left]), ordered[right])


def launch_values(record: RecipeRecord, metric: Metric) -> dict[int, float]:
    """Launch number to value, for the launches in which the metric was measured.

    A batch takes the most memory: where some launches ran one, its peak is that of those.
    """
    values = {}
    launches = record.launches
    if metric.name in PEAKS:
        launches = tuple(one for one in launches if batch_of(one, metric.name)) or launches
    for launch in launches:
        value = launch_value(launch, metric.name)
        if value is not None and math.isfinite(value) and value >= 0:
            values[launch.index] = value
    return values


def level(record: RecipeRecord, metric: Metric) -> float | None:
    """The value of one metric over the whole session: the geometric mean over launches, the
    evaluator's value, the artifact's size, a count, what was observed once; None when it was not
    measured.
    """
    if metric.rule is Rule.IMAGES:
        return None if record.accuracy is None else score_of(record.accuracy, metric)
    if metric.name == "artifact_size":
        return float(record.artifact.size) if record.artifact else None
    if metric.name == PARITY:
        return record.parity.value if record.parity else None
    if metric.name in COUNTED:
        counted = record.counts.values.get(metric.name) if record.counts else None
        return None if counted is None else float(counted)
    if metric.rule is Rule.STRETCHES:
        stretches = stretches_of(record, metric)
        return statistics.fmean(stretches[0]) if stretches else None
    if metric.name == SOAK_ERRORS:
        return float(record.soak.errors) if record.soak else None
    if metric.rule is Rule.FOLDS:
        scores = record.folds.scores if record.folds else {}
        over = scores.get(metric.name.removesuffix(OVER_FOLDS))
        return statistics.fmean(over) if over else None
    if metric.name == "load_time_cold":
        return record.load_time_cold
    if metric.name == "build_time":  # the first link is the model itself
        steps = record.lineage[1:]
        return math.fsum(link.seconds for link in steps) if record.lineage else None
    if metric.rule is Rule.EXACT:  # what the last link says of itself
        fact = record.lineage[-1].effect.get(metric.name) if record.lineage else None
        return None if fact is None else float(fact)
    values = list(launch_values(record, metric).values())
    return geometric_mean(values) if values else None


def score_of(accuracy: Accuracy, metric: Metric) -> float | None:
    """A score of an evaluation and its sets; None: it has none, or several, each with its own."""
    if metric.over in {Over.ALL, Over.SLICES}:
        return None
    if metric.over is not Over.WORST:
        own = accuracy.on(metric.of_set)
        return None if own is None else own.values.get(metric.score_name)
    values = [one.values.get(metric.score_name) for one in (accuracy, *accuracy.sets.values())]
    known = [value for value in values if value is not None]
    if len(known) < len(values):  # the one that is missing may be the worst
        return None
    return min(known) if metric.better is Better.HIGHER else max(known)


_PAGE = 4096


def stretches_of(record: RecipeRecord, metric: Metric) -> tuple[Sequence[float], float] | None:
    """The sample of a long run that is cut into stretches, and the least standard deviation that
    it is taken to have; None: not measured.
    """
    if metric.name in SOAK_METRICS:
        return record.soak.sample(metric.name) if record.soak else None
    growth = record.growth
    return (growth.stretches, growth_resolution(growth)) if growth else None


def growth_resolution(growth: Growth) -> float:
    """Standard deviation of a stretch's growth, in bytes per 1,000 images, below which memory
    cannot be told: it is counted in pages.
    """
    return _PAGE * 1000.0 * len(growth.stretches) / max(1, growth.images)


LEAST_CLOCK_EFFECT = 0.03
"""Relative differences of time below this are not worth a line."""

EQUAL_CYCLES = 1 / 3
"""Cycles count as equal when they differ by at most this share of what the times differ."""


def equal_cycles(times: float, clocks: float) -> bool:
    """Whether a difference of times is the clock's; both are logs of ratios of the same two
    things, `times` seconds and `clocks` Hz.
    """
    return abs(times) >= math.log1p(LEAST_CLOCK_EFFECT) and abs(
        times + clocks
    ) <= EQUAL_CYCLES * abs(times)


def geometric_mean(values: Sequence[float]) -> float:
    """Exp of the mean of logs; 0 when any value is 0."""
    if min(values) <= 0:
        return 0.0
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def spread_of(record: RecipeRecord) -> Spread | None:
    """The variance of a recipe's latency, None when there are too few launches."""
    from pytest_perfgate.stats.variance import components

    rows = [[log_value(sample) for sample in launch.latency] for launch in record.launches]
    if sum(len(row) > 1 for row in rows) < 2 or not all(rows):
        return None
    parts = components(rows)
    return Spread(
        within=math.sqrt(parts.within),
        between=math.sqrt(parts.between),
        launch=parts.sd,
        samples=parts.samples,
        launches=parts.launches,
    )
