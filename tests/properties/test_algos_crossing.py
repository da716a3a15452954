"""Matching conserves, respects rights, is maximal; wire ids are a permutation."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from pipeline.algos.crossing import match_parties
from pipeline.algos.wire_id import decode_wire_id, encode_wire_id

Problem = tuple[list[int], list[int], list[list[bool]]]


@st.composite
def problems(draw: st.DrawFn, high: int = 60, parties: int = 5) -> Problem:
    buyers, sellers = draw(st.integers(0, parties)), draw(st.integers(0, parties))
    buy = draw(st.lists(st.integers(0, high), min_size=buyers, max_size=buyers))
    sell = draw(st.lists(st.integers(0, high), min_size=sellers, max_size=sellers))
    row = st.lists(st.booleans(), min_size=sellers, max_size=sellers)
    return buy, sell, draw(st.lists(row, min_size=buyers, max_size=buyers))


def most_by_cuts(problem: Problem) -> int:
    """Maximum flow = minimum cut, by trying every set of buyers (no search in common)."""
    buy, sell, allowed = problem
    smallest = sum(buy) + sum(sell)
    for chosen in product([False, True], repeat=len(buy)):
        outside = sum(qty for qty, inside in zip(buy, chosen, strict=True) if not inside)
        reached = sum(
            qty for j, qty in enumerate(sell) if any(inside and allowed[i][j] for i, inside in enumerate(chosen))
        )
        smallest = min(smallest, outside + reached)
    return smallest


@given(problems() | problems(high=10**9, parties=7))
def test_matching_conserves_respects_rights_and_is_maximal(problem: Problem) -> None:
    buy, sell, allowed = problem
    crossed = match_parties(buy, sell, allowed)
    for i, qty in enumerate(buy):
        assert sum(crossed[i]) <= qty
    for j, qty in enumerate(sell):
        assert sum(row[j] for row in crossed) <= qty
    for i, j in product(range(len(buy)), range(len(sell))):
        assert crossed[i][j] >= 0
        assert allowed[i][j] or crossed[i][j] == 0
    assert sum(map(sum, crossed)) == most_by_cuts(problem)


@given(problems())
def test_sides_swapped_give_the_mirror_image(problem: Problem) -> None:
    buy, sell, allowed = problem
    mirror = [[row[j] for row in allowed] for j in range(len(sell))]
    if (buy, sell, allowed) == (sell, buy, mirror):
        return
    crossed = match_parties(buy, sell, allowed)
    swapped = match_parties(sell, buy, mirror)
    assert swapped == [[row[j] for row in crossed] for j in range(len(sell))]
    assert crossed == match_parties(tuple(buy), tuple(sell), allowed)


@given(
    st.lists(st.integers(1, 1_000), min_size=1, max_size=5),
    st.lists(st.integers(1, 1_000), min_size=1, max_size=5),
)
def test_where_all_may_meet_each_party_gets_its_part(buy: list[int], sell: list[int]) -> None:
    crossed = match_parties(buy, sell, [[True] * len(sell)] * len(buy))
    most = min(sum(buy), sum(sell))
    cells = len(buy) * len(sell)
    for i, qty in enumerate(buy):
        assert abs(sum(crossed[i]) - most * qty / sum(buy)) <= cells
    for j, qty in enumerate(sell):
        assert abs(sum(row[j] for row in crossed) - most * qty / sum(sell)) <= cells


@given(st.integers(0, 2**64 - 1), st.binary(min_size=16, max_size=64))
def test_wire_ids_read_back(number: int, secret: bytes) -> None:
    assert decode_wire_id(encode_wire_id(number, secret), secret) == number


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_wire_ids_never_collide(one: int, two: int) -> None:
    secret = b"sixteen bytes at least"
    same = encode_wire_id(one, secret) == encode_wire_id(two, secret)
    assert same == (one == two)


@given(st.integers(0, 2**64 - 1))
def test_every_text_of_the_range_is_somebodys_id(value: int) -> None:
    """Onto as well as one to one: decode then encode gives the text back."""
    secret = b"sixteen bytes at least"
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    text = "".join(alphabet[value >> 5 * k & 31] for k in reversed(range(13)))
    assert encode_wire_id(decode_wire_id(text, secret), secret) == text
