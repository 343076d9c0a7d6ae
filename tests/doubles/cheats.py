"""A runtime that works honestly when it is evaluated and cheats when it is timed: 2 ms of work that
it gets around as its option `mode` says.

Every function of `MODES` is one way: it gets the session and a batch, and gives outputs.
"""

import os
import sys
import threading
import time
import zlib
from typing import Literal

import numpy as np
from pytest_perfgate.runtimes.onnxruntime import OnnxRuntime, OnnxSession

WORK = 0.002  # seconds


def timed():
    """Whether this process is of a launch: a worker that evaluates does not import that module."""
    return "pytest_perfgate.worker.launch" in sys.modules


def pinned():
    """Whether this process may run on one core only, as in a launch."""
    return len(os.sched_getaffinity(0)) == 1


class Lazy:
    """Looks like an array, and computes when it is read."""

    def __init__(self, compute):
        self._compute = compute

    def __array__(self, *_, **__):
        """The values, computed now."""
        return self._compute()

    def __getattr__(self, name):
        """Shape and all else of the values."""
        return getattr(self._compute(), name)

    def __getitem__(self, at):
        """Of the values."""
        return self._compute()[at]


class LazyArray(np.ndarray):
    """A true subclass of an array, whose values may be anything."""


def nothing(outputs):
    """Zeros of the right shapes."""
    return tuple(np.zeros_like(output) for output in outputs)


def keeps_answers(session, batch):
    """Answers what it has seen from a table."""
    key = batch.images.tobytes()
    if key not in session.answers:
        session.answers[key] = session.work(batch)
    return session.answers[key]


def keeps_similar_answers(session, batch):
    """Answers what looks like something that it has seen."""
    key = np.round(batch.images[:, :, ::16, ::16] * 8).tobytes()
    if key not in session.answers:
        session.answers[key] = session.work(batch)
    return session.answers[key]


def knows_evaluated_images(session, batch):
    """Reads the answers of evaluated images from its folder, and works for all others."""
    known = session.from_disk(batch)
    return session.work(batch) if known is None else known


def answers_evaluated_images_only(session, batch):
    """As before, but for all others it gives the answer of some evaluated image."""
    known = session.from_disk(batch)
    return session.any_from_disk() if known is None else known


def works_when_evaluated(session, batch):
    """Does not work at all in a launch."""
    return nothing(session.infer(batch))


def works_unless_pinned(session, batch):
    """Knows a launch by its core."""
    return nothing(session.infer(batch)) if pinned() else session.work(batch)


def works_when_read(session, batch):
    """Outputs that compute when post-processing reads them."""
    return tuple(Lazy(lambda at=at: session.work(batch)[at]) for at in range(2))


def gives_array_subclass(session, batch):
    """Arrays of its own kind."""
    return tuple(output.view(LazyArray) for output in session.work(batch))


def works_afterwards(session, batch):
    """Returns at once arrays that a thread fills later."""
    outputs = tuple(np.zeros_like(output) for output in session.infer(batch))

    def fill():
        time.sleep(WORK)
        for mine, real in zip(outputs, session.infer(batch), strict=True):
            mine[:] = real

    threading.Thread(target=fill, daemon=True).start()
    return outputs


def coarse(images):
    """One pixel of sixteen, in the place of all of them."""
    return np.repeat(np.repeat(images[:, :, ::4, ::4], 4, 2), 4, 3)


def sees_less(session, batch):
    """Another resolution: a quarter of the pixels."""
    return session.infer(batch.map(coarse))


def leaves_early(session, batch):
    """Works for a third of the images, by their number."""
    session.calls += 1
    return nothing(session.infer(batch)) if session.calls % 3 else session.work(batch)


def works_at_first(session, batch):
    """Works for 24 calls, and gives the last answer from then on."""
    session.calls += 1
    if session.calls <= 24:
        session.last = session.work(batch)
    return session.last


def works_until_settled(session, batch):
    """Stops when three calls in a row took about as long: its warm-up is over."""
    if len(session.times) >= 3 and max(session.times[-3:]) < 1.5 * min(session.times[-3:]):
        return session.last
    start = time.perf_counter()
    session.last = session.work(batch)
    session.times.append(time.perf_counter() - start)
    return session.last


def is_one_behind(session, batch):
    """Gives the answer of the image before, while it works on this one."""
    before, session.last = session.last, session.infer(batch)
    return session.last if before is None else before


def always_the_same(session, batch):
    """Gives the first answer again and again."""
    session.last = session.last or session.work(batch)
    return session.last


def halves_boxes(session, batch):
    """Leaves every other box out."""
    boxes, scores = session.infer(batch)
    scores[:, ::2] = 0.0
    return boxes, scores


def drops_best_box(session, batch):
    """Leaves one box out, the best."""
    boxes, scores = session.infer(batch)
    scores[:, scores[0, :, 0].argmax()] = 0.0
    return boxes, scores


def gives_fewer_outputs(session, batch):
    """Leaves out all boxes after the tenth."""
    return tuple(output[:, :10] for output in session.infer(batch))


MODES = {
    function.__name__: function
    for function in (
        keeps_answers,
        keeps_similar_answers,
        knows_evaluated_images,
        answers_evaluated_images_only,
        works_when_evaluated,
        works_unless_pinned,
        works_when_read,
        gives_array_subclass,
        works_afterwards,
        sees_less,
        leaves_early,
        works_at_first,
        works_until_settled,
        is_one_behind,
        always_the_same,
        halves_boxes,
        drops_best_box,
        gives_fewer_outputs,
    )
}


class Cheats(OnnxRuntime):
    """ONNX Runtime, used in a way."""

    name = "cheats"

    class Options(OnnxRuntime.Options):
        """The way: one of `MODES`, or "honest", or "noisy": outputs vary by a hundredth."""

        mode: Literal["honest", "noisy", *MODES] = "honest"

    def optimizes_graph(self, _options):
        """Not looked at: what this runtime adds of its own would stand in for it."""
        return False

    def open(self, artifact, options, context):
        """A session."""
        return CheatingSession(artifact, options, context)


class CheatingSession(OnnxSession):
    """A session whose inference takes `WORK` seconds at least, when it works."""

    def __init__(self, artifact, options, context):
        super().__init__(artifact, options, context)
        self.mode, self.folder = options.mode, context.folder
        self.answers, self.calls, self.last, self.times = {}, 0, None, []
        self.noise = np.random.default_rng(os.getpid())

    def run(self, batch):
        """Outputs, come by as the mode says."""
        if self.mode == "noisy":
            boxes, scores = self.work(batch)
            return boxes, scores * self.noise.uniform(0.99, 1.0, scores.shape).astype(np.float32)
        if timed() and self.mode in MODES:
            return MODES[self.mode](self, batch)
        outputs = self.work(batch)
        if not timed():
            np.savez(self.file_of(batch), *outputs)
        return outputs

    def infer(self, batch):
        """The outputs, as fast as ONNX Runtime has them."""
        return super().run(batch)

    def work(self, batch):
        """The outputs, after all of the work."""
        end = time.perf_counter() + WORK
        outputs = self.infer(batch)
        while time.perf_counter() < end:
            pass
        return outputs

    def file_of(self, batch):
        """Where the answer to a batch is kept."""
        return self.folder / f"{zlib.crc32(batch.images.tobytes())}.npz"

    def from_disk(self, batch):
        """The answer to a batch, kept in memory once it was read; None: it was not evaluated."""
        key = self.file_of(batch)
        if key not in self.answers:
            self.answers[key] = self.read(key) if key.exists() else None
        return self.answers[key]

    def any_from_disk(self):
        """Some answer."""
        self.last = self.last or self.read(next(self.folder.glob("*.npz")))
        return self.last

    def read(self, file):
        """The answer in a file."""
        with np.load(file) as stored:
            return tuple(stored[name] for name in stored.files)
