"""`pipeline audit lineage ID`, `audit explain ID` and `tca report` on a cluster: read topics once, print the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pipeline.audit.lineage import History
from pipeline.domain.record import Record
from pipeline.errors import EXIT_FOUND, EXIT_GOOD, PipelineError
from pipeline.runtime.auditing.topic_reader import read_records
from pipeline.runtime.contracts.codec import SchemaSource
from pipeline.runtime.settings import Settings
from pipeline.tca.report import report
from pipeline.topics import (
    ALLOCATIONS,
    CHILD_ORDERS,
    CROSSES,
    FILLS,
    LINEAGE,
    ORDER_EVENTS,
    ORDERS,
    PARENTS,
    SLICES,
    TCA,
)

Say = Callable[[str], None]
ORDER_PATH: Final = (ORDERS, ORDER_EVENTS, LINEAGE, PARENTS, CROSSES, SLICES, CHILD_ORDERS, FILLS, ALLOCATIONS)


def lineage(settings: Settings, wanted: str, say: Say = print, schemas: SchemaSource | None = None) -> int:
    """Print the tree around an id; returns the exit code: 1 for an id that no record has, 3 when Kafka is away."""
    return _answered(settings, wanted, say, schemas, History.tree)


def explain(settings: Settings, child_id: str, say: Say = print, schemas: SchemaSource | None = None) -> int:
    """Print why a child was sent (by its id or wire id); returns the exit code as :func:`lineage` does."""
    return _answered(settings, child_id, say, schemas, History.explain)


def tca_report(settings: Settings, say: Say = print, schemas: SchemaSource | None = None) -> int:
    """Print the cost report; returns the exit code: 1 when there is no TCA row yet, 3 when Kafka is away."""
    rows: list[Record] = []
    try:
        read_records(settings, (TCA,), rows.append, say, schemas)
    except PipelineError as error:
        say(str(error))
        return error.exit_code
    if not rows:
        say(f"there is no row on {TCA.name} at {settings.bootstrap_servers}: a parent's comes when it is over")
        return EXIT_FOUND
    for line in report(rows):
        say(line)
    return EXIT_GOOD


def _answered(
    settings: Settings,
    wanted: str,
    say: Say,
    schemas: SchemaSource | None,
    ask: Callable[[History, str], list[str] | None],
) -> int:
    # All in memory: some hundred bytes for each record of the order path.
    history = History()
    try:
        read_records(settings, ORDER_PATH, history.add, say, schemas)
    except PipelineError as error:
        say(str(error))
        return error.exit_code
    lines = ask(history, wanted)
    if lines is None:
        say(
            f"no record has the id {wanted!r}. It may be of an order (order_id or ClOrdID), parent, child, fill, "
            f"execution (ExecID), allocation or cross; `explain` takes a child's."
        )
        return EXIT_FOUND
    for line in lines:
        say(line)
    return EXIT_GOOD
