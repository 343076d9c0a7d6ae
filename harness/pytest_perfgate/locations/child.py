"""The process that fetches: `python -m pytest_perfgate.locations.child fetch`, or `exchange`.

Clients of stores start threads, wait without an end and import much. What measures afterwards stays
as it was, and a client that hangs is ended with its process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from pytest_perfgate.errors import PerfgateError
from pytest_perfgate.locations import hubs, object_stores, store_folder
from pytest_perfgate.locations.transfer import Answer, Exchange, Order
from pytest_perfgate.locations.url import parse
from pytest_perfgate.machine.parent_death import die_with
from pytest_perfgate.plain_text import received

FETCH, EXCHANGE = "fetch", "exchange"
_ORDERS: dict[str, TypeAdapter[Any]] = {
    FETCH: TypeAdapter(Order),
    EXCHANGE: TypeAdapter(Exchange),
}


def carry_out(order: Order | Exchange) -> Answer:
    """Fetches or exchanges what is ordered; an error is part of the answer."""
    try:
        if isinstance(order, Exchange):
            return store_folder.exchange(order)
        location = parse(order.text)
        return hubs.CLIENTS.get(location.store, object_stores.fetch)(location, order)
    except PerfgateError as error:
        where = f"{error.where}: " if error.where else ""
        return Answer(
            problem=f"{where}{error.problem}", valid=error.valid, next_step=error.next_step
        )
    except Exception as error:  # noqa: BLE001 - whatever a client raises
        first = next(iter(str(error).splitlines()), "")
        return Answer(
            problem=received(f"{order.text} could not be fetched: {type(error).__name__}: {first}"),
            next_step="run it again: it continues where it ended",
        )


def main() -> None:
    """Reads an order from standard input, and writes the answer to standard output."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    order = _ORDERS[sys.argv[1]].validate_json(sys.stdin.buffer.read())
    die_with(os.getppid())
    answers = os.dup(1)
    os.dup2(2, 1)  # what clients print is no answer
    text = json.dumps(asdict(carry_out(order)))
    with os.fdopen(answers, "w", encoding="utf-8") as out:
        out.write(text)


if __name__ == "__main__":
    main()
