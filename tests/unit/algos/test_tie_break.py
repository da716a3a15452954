from pipeline.algos.tie_break import tie_break


def test_the_draw_is_the_same_for_ever() -> None:
    # Frozen: another value would change who got a remainder unit on a recorded day.
    assert tie_break("P-1", "O-1") == 49290895970674949
    assert tie_break("P-1", "O-2") == 16745023572767072374


def test_ids_do_not_run_into_each_other() -> None:
    assert tie_break("a", "bc") != tie_break("ab", "c")


def test_draws_fit_64_bits_and_spread() -> None:
    draws = [tie_break("P", f"O-{n}") for n in range(1_000)]
    assert all(0 <= draw < 2**64 for draw in draws)
    assert len(set(draws)) == 1_000
    assert 420 < sum(draw >> 63 for draw in draws) < 580


def test_no_order_wins_under_every_parent() -> None:
    wins = sum(tie_break(f"P-{n}", "A") < tie_break(f"P-{n}", "B") for n in range(1_000))
    assert 420 < wins < 580
