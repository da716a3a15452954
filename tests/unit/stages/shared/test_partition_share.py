"""The static shares of a limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.stages.shared.partition_share import partition_share


@given(whole=st.integers(0, 2**63 - 1), partitions=st.integers(1, 64))
def test_shares_sum_to_the_whole_and_differ_by_one_at_the_most(whole: int, partitions: int) -> None:
    shares = [partition_share(whole, n, partitions) for n in range(partitions)]
    assert sum(shares) == whole
    assert shares == sorted(shares, reverse=True) and shares[0] - shares[-1] <= 1
