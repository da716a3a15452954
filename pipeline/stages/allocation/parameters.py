"""Parameters of allocation: who gets what is left over, how often clients hear of progress, how long steps are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pipeline.domain.units import NS_PER_S
from pipeline.parameters import Allowed, Conflict, Parameters, count, nanos


class AllocationParameters(Parameters, frozen=True, kw_only=True):
    """Allocation: who gets what is left over, how often clients hear of progress, how much one step writes."""

    progress_ns: Annotated[
        int, nanos("Least session time between two rounds of progress to the clients.", 1)
    ] = 5 * NS_PER_S  # fmt: skip
    max_records: Annotated[
        int, count("About how many records one step writes at the most; what is left goes on at the next tick.")
    ] = 1_000  # fmt: skip
    chunk_shares: Annotated[int, count("Shares in one record on `epochs`.", most=10_000)] = 256
    chunk_closures: Annotated[int, count("Orders in one record on `order-closures`.", most=10_000)] = 256
    money_parts_max: Annotated[
        int,
        count(
            "In how many records one amount of money may be told that no record holds; what needs more is set aside.",
            most=1_000,
        ),
    ] = 100  # fmt: skip
    rounding_account: Annotated[str, Allowed("Who gets what rounding an average price leaves over.")] = "ROUNDING"
    error_account: Annotated[str, Allowed("Who owns what no client's order can take.")] = "ERROR"

    def conflicts(self) -> Iterable[Conflict]:
        """Two accounts of ours, or nobody can tell rounding from errors."""
        if self.rounding_account == self.error_account:
            text = "one account for both: rounding could not be told from errors any more"
            yield Conflict(("rounding_account", "error_account"), text)
