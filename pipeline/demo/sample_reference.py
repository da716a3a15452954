"""Sample reference data to start from, as the JSON lines that `pipeline reference load` reads: the demo's, for today.

    python -m pipeline.demo.sample_reference SIMX > reference.jsonl

One instrument at 50.00 whose session opens now and lasts six and a half hours; three sources with twenty accounts each;
three simulated venues with their fees; limits; crossing rules. Edit the lines, or write your own: the fields, with
their units, are in schemas/instruments.avsc, accounts.avsc, venues.avsc, limits.avsc and crossing-rules.avsc.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from pipeline.demo.reference_data import Listed, SessionDay, records
from pipeline.domain.units import NS_PER_S, PX_ONE
from pipeline.gateways.reference_file import line_of

SESSION_NS = 23_400 * NS_PER_S


def lines(symbol: str, open_ns: int) -> Iterator[str]:
    """The lines, for a session of ``symbol`` that opens at ``open_ns`` (ns since 1970)."""
    trade_date = int(time.strftime("%Y%m%d", time.gmtime(open_ns // NS_PER_S)))
    day = SessionDay(trade_date, open_ns, open_ns + SESSION_NS)
    return (line_of(record) for record in records(day, [Listed(symbol, 50 * PX_ONE, 8_000_000)]))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit((__doc__ or "").strip())
    print("\n".join(lines(sys.argv[1], time.time_ns())))
