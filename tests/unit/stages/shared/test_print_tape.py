"""The tape's sums: what chunks add up to is what their prints add up to, whatever was cancelled since."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.market import PrintKind, TradePrint
from pipeline.stages.shared.print_sums import TapeSums
from pipeline.stages.shared.print_tape import MINUTE_NS, Tape, minute_of
from pipeline.state import State, Task

T0 = 1_767_623_400_000_000_000
SPAN_NS = 3 * MINUTE_NS
MOMENTS = st.integers(T0, T0 + SPAN_NS)
PRINTS = st.lists(st.tuples(MOMENTS, st.integers(1, 50), st.booleans(), st.booleans()), max_size=200)


def a_print(number: int, event_ns: int, qty: int, counts: bool) -> TradePrint:
    return TradePrint(kind=PrintKind.TRADE, instrument="XYZ", venue="V", print_id=f"p{number}", event_ns=event_ns,
                      received_ns=event_ns, px=1_000 + number, qty=qty, eligible_vwap=counts)  # fmt: skip


def cancel(number: int, event_ns: int) -> TradePrint:
    return TradePrint(kind=PrintKind.CANCEL, instrument="XYZ", venue="V", print_id=f"c{number}", event_ns=event_ns,
                      received_ns=event_ns, px=1, qty=1, ref_print_id=f"p{number}")  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(PRINTS, st.lists(st.tuples(MOMENTS, MOMENTS), min_size=1, max_size=5))
def test_what_was_traded_between_two_moments_is_the_sum_of_its_prints(
    prints: list[tuple[int, int, bool, bool]], spans: list[tuple[int, int]]
) -> None:
    sums = TapeSums()
    tape = Tape(State(Task("tca", 0, 1)), sums)
    every = [(T0, T0 + SPAN_NS), *spans]

    def check() -> None:
        kept = [p for minute in range(minute_of(T0), T0 + SPAN_NS + 1, MINUTE_NS) for p in tape.minute("XYZ", minute)]
        for start_ns, end_ns in every:
            counted = [p for p in kept if p.vwap and start_ns <= p.event_ns <= end_ns]
            assert sums.between("XYZ", start_ns, end_ns) == (
                sum(p.qty for p in counted),
                sum(p.qty * p.px for p in counted),
            )

    for number, (at_ns, qty, counts, _) in enumerate(prints):
        tape.apply(a_print(number, at_ns, qty, counts))
        if number % 50 == 0:
            check()  # so that totals exist which the next prints make wrong
    check()
    for number, (at_ns, _, _, cancelled) in enumerate(prints):
        if cancelled:
            tape.apply(cancel(number, at_ns))
    check()
    tape.restored()
    check()
