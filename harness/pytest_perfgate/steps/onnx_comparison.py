"""Another runtime's outputs for an ONNX file beside ONNX Runtime's, and the operator at which the
two part.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_perfgate.errors import BuildError
from pytest_perfgate.inputs import Inputs, as_dtype
from pytest_perfgate.runtimes import InferenceSession
from pytest_perfgate.runtimes.onnxruntime_inputs import taken_by
from pytest_perfgate.steps.onnx_parts import Operator, Parts
from pytest_perfgate.steps.output_check import (
    NOTHING_IN_COMMON,
    batches,
    difference,
    hides_nan,
    onnx_outputs,
    onnx_session,
    spread,
    usual_size,
)
from pytest_perfgate.steps.probe_inputs import is_real, probes

_CODES = 8
"""Codes of 8 bits that an operator may be off by itself. OpenVINO's were off by one at the most in
two quantized detectors, wrong ones by dozens."""

_LOCAL = 0.01
"""The same for a value that is not quantized, as the root mean square relative to its own."""

_LOCAL_16_BITS = 0.05
"""The same in 16 bits: bfloat16 has three digits, and products of it are added up."""

Open = Callable[[Path], InferenceSession]
"""Opens an ONNX file in the runtime that is compared."""


@dataclass(frozen=True)
class Widest:
    """The largest difference of two runtimes.

    Attributes:
        difference: relative to the output's largest value, see `output_check.difference`; of a
            quantized graph the root mean square, relative to the output's own.
        output: the graph's name for it.
        probe: the input, as `probe_inputs.probes` calls it.
        hides_nan: whether the runtime gives a number there where the other one gives NaN.
    """

    difference: float = 0.0
    output: str = ""
    probe: str = ""
    hides_nan: bool = False


class Comparison:
    """An ONNX file in ONNX Runtime, as ONNX defines each operator, and inputs for it.

    Args:
        path: the file.
        inputs: of some images, see `probe_inputs.probes`.
        threads: of ONNX Runtime.

        in_16_bits: whether the runtime is told to compute in 16-bit floating point.

    Attributes:
        parts: the file's graph.
        is_coarse: whether 8 or 16 bits are computed in, whose rounding adds up over the layers.
    """

    def __init__(
        self, path: Path, inputs: Inputs, threads: int, *, in_16_bits: bool = False
    ) -> None:
        import onnx

        model = onnx.load(path)
        self.parts = Parts(model)
        self._path = path
        self._threads = threads
        rows = batches(model)[0]
        self._in_16_bits = in_16_bits or self.parts.is_half
        self.is_coarse = self._in_16_bits or self.parts.is_quantized
        self._measure = spread if self.is_coarse else difference
        self._known: dict[tuple[str, str], Any] = {}
        self._probes = {name: one.repeated(rows) for name, one in probes(inputs).items()}

    def widest(self, open_file: Open, session: InferenceSession | None = None) -> Widest:
        """The largest difference of the runtime that `open_file` opens, over all inputs.

        Args:
            open_file: opens another file as the runtime's options say.
            session: the opened file itself; None: it is opened.

        Raises:
            BuildError: ONNX Runtime or the runtime does not run the file.
        """
        outputs = self.parts.comparable
        whole = outputs == self.parts.outputs
        if whole and session is not None:
            return self._widest(outputs, session, list(self._probes))
        with tempfile.TemporaryDirectory() as folder:
            opened = open_file(self._part(outputs, Path(folder)))
            try:
                return self._widest(outputs, opened, list(self._probes))
            finally:
                opened.close()

    def parting(self, widest: Widest, open_file: Open, tolerance: float) -> Operator | None:
        """The operator whose output differs by more than `tolerance` for the input of `widest`,
        while everything that it reads agrees; None where no part of the graph differs by itself.

        Each value is looked at as the last one of a graph that is cut there, so that the runtime
        fuses before it what it fuses in the whole.
        """
        known: dict[str, bool] = {}

        def differs(value: str) -> bool:
            if value not in known:
                values = self._values([value], widest.probe, open_file)
                known[value] = (
                    bool(values)
                    and self._measure(values[value], self._exact(value, widest.probe), 0.0)
                    > tolerance
                )
            return known[value]

        value = widest.output
        if not differs(value):
            return None
        while True:
            line = self.parts.steps_to(value)
            # In the graph's order what agrees comes first: the place of the change is halved.
            low, high = -1, len(line) - 1
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if differs(line[middle]) else (middle, high)
            value = line[high]
            # A branch beside it may part earlier.
            earlier = next((name for name in self.parts.sources(value) if differs(name)), None)
            if earlier is None:
                return self.parts.operator(value)
            value = earlier

    def wrong_operator(self, widest: Widest, open_file: Open) -> tuple[Operator | None, bool]:
        """The first operator that gives something else than ONNX says for what the runtime itself
        computed before it, and whether every operator could be judged.

        Rounding to 8 or 16 bits adds up over the layers of a network until its outputs have little
        in common, with every operator right. So each operator is judged by its own inputs, and one
        of each kind of neighbourhood is enough.
        """
        every = True
        judged = set()
        outputs = dict.fromkeys((widest.output, *self.parts.comparable))
        for value in dict.fromkeys(step for name in outputs for step in self.parts.steps_to(name)):
            around = self.parts.neighbourhood(value)
            if around in judged:
                continue
            judged.add(around)
            sources = self.parts.sources(value)
            values = self._values([value, *sources], widest.probe, open_file)
            if not values:
                every = False
            elif self._wrong(value, values, self._from(value, sources, values, widest.probe)):
                return self.parts.operator(value), every
        return None, every

    def _wrong(self, value: str, values: Mapping[str, Any], theirs: Any) -> bool:
        import numpy as np

        ours = values[value]
        if ours.shape != theirs.shape or not np.isfinite(ours[np.isfinite(theirs)]).all():
            return True
        step = self.parts.code(value)
        if step:
            return bool(np.abs(ours - theirs).max(initial=0.0) > _CODES * step)
        # What two large values differ by is rounded as they are.
        terms = values.values() if self.parts.operator(value).kind in {"Add", "Sub"} else ()
        usual = max(map(self._size, terms), default=0.0)
        most = _LOCAL_16_BITS if self._in_16_bits else _LOCAL
        return spread(ours, theirs, usual) > most

    def _from(
        self, value: str, sources: Sequence[str], values: Mapping[str, Any], probe: str
    ) -> Any:
        """`value` as ONNX defines it, from `values` of what it is computed from."""
        model = self.parts.between(sources, (value,)).SerializeToString()
        session = onnx_session(model, self._threads, exact=True)
        inputs = self._probes[probe]
        known = {**inputs.others, self.parts.image: inputs.images, **values}
        fed = {
            name: as_dtype(known[name], dtype, f"the input {name!r} takes")
            for name, dtype in taken_by(session).items()
        }
        return session.run(None, fed)[0]

    def _values(self, names: Sequence[str], probe: str, open_file: Open) -> dict[str, Any]:
        """Values of the graph in the runtime, each as the last one of a graph that ends there; none
        where the runtime refuses such a graph.
        """
        import numpy as np

        values = {}
        for name in names:
            if (name, probe) not in self._known:
                with tempfile.TemporaryDirectory() as folder:
                    try:
                        session = open_file(self._part((name,), Path(folder)))
                    except Exception:  # noqa: BLE001 - runtimes refuse a part in many ways
                        return {}
                    try:
                        (array,) = _run(session, self._probes[probe], probe)
                    finally:
                        session.close()
                    self._known[name, probe] = np.asarray(array)
            values[name] = self._known[name, probe]
        return values

    def _exact(self, value: str, probe: str) -> Any:
        model = self.parts.upto((value,)).SerializeToString()
        return onnx_outputs(onnx_session(model, self._threads, exact=True), self._probes[probe])[0]

    def _part(self, outputs: Sequence[str], folder: Path) -> Path:
        import onnx

        path = folder / "model.onnx"
        onnx.save(self.parts.upto(outputs), path)
        return path

    def _widest(
        self, outputs: Sequence[str], session: InferenceSession, names: Sequence[str]
    ) -> Widest:
        import numpy as np

        model = self.parts.upto(outputs).SerializeToString()
        exact = onnx_session(model, self._threads, exact=True)
        expected = {name: onnx_outputs(exact, self._probes[name]) for name in names}
        real = [values for name, values in expected.items() if is_real(name)]
        usual = [
            max((self._size(values[place]) for values in real), default=0.0)
            for place in range(len(outputs))
        ]
        widest = Widest()
        for name, theirs in expected.items():
            ours = _run(session, self._probes[name], name)
            for place, output in enumerate(outputs):
                apart = NOTHING_IN_COMMON
                if len(ours) == len(outputs) and np.shape(ours[place]) == theirs[place].shape:
                    if is_real(name) and hides_nan(ours[place], theirs[place]):
                        return Widest(NOTHING_IN_COMMON, output, name, hides_nan=True)
                    apart = self._measure(ours[place], theirs[place], usual[place])
                if apart > widest.difference:
                    widest = Widest(apart, output, name)
        return widest

    def _size(self, values: Any) -> float:
        return usual_size(values, coarse=self.is_coarse)


def _run(session: InferenceSession, inputs: Inputs, name: str) -> tuple[Any, ...]:
    try:
        return session.run(inputs.map(lambda array: array.copy()))
    except Exception as error:
        raise BuildError(
            f"the runtime does not run the input {name!r}: {type(error).__name__}: {error}"
        ) from error
