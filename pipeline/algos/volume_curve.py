"""When in the day the volume comes: a curve in parts per billion, built from earlier days.

Source: Bialkowski, Darolles and Le Fol (2008), Improving VWAP strategies: a dynamic volume
approach, J. Banking & Finance 32(9), for the static part (the mean of each day's
fractions). A curve is a tuple of integers, one per bin of equal length from the opening,
that adds up to exactly `CURVE_TOTAL`. Quantisation: each day's fractions to 1e-9 by
largest remainder, then their mean again, so a bin is within 2e-9 of the exact mean.

First form: not yet re-estimated from today's volume.
"""

from collections.abc import Sequence

from pipeline.algos.pro_rata import largest_remainder

CURVE_TOTAL = 1_000_000_000
PPM = 1_000_000


class NoUsableDays(ValueError):
    """No earlier day is fit to build a curve from."""


def is_full_day(bin_qty: Sequence[int], bin_count: int, quiet_tail_ppm_max: int) -> bool:
    """True when the day has `bin_count` bins, volume, and did not close early.

    `bin_qty` is volume per bin (units). A day silent for more than the last `quiet_tail_ppm_max`
    of its bins closed early, or its record broke off: a US half day is silent for 46 % of a
    full day's bins, and the last tenth of a full day is its busiest. A half day averaged into
    a curve of full days would move volume to the morning, so it must be left out.
    """
    if len(bin_qty) != bin_count or not any(bin_qty):
        return False
    last = max(index for index, qty in enumerate(bin_qty) if qty)
    return (bin_count - 1 - last) * PPM <= quiet_tail_ppm_max * bin_count


def build_curve(
    days: Sequence[Sequence[int]],
    bin_count: int,
    quiet_tail_ppm_max: int,
) -> tuple[int, ...]:
    """Mean of the daily fractions of volume over the days that `is_full_day` accepts.

    days       earlier days, each a sequence of volume per bin (units)
    bin_count  bins of a full session
    quiet_tail_ppm_max  as for `is_full_day`

    A mean of fractions, not a sum of volumes: one huge day does not set the shape.
    Raises NoUsableDays when no day is left and ValueError for a negative volume.
    """
    sums = [0] * bin_count
    used = 0
    for day in days:
        if not is_full_day(day, bin_count, quiet_tail_ppm_max):
            continue
        used += 1
        for index, part in enumerate(largest_remainder(day, CURVE_TOTAL)):
            sums[index] += part
    if not used:
        raise NoUsableDays(f"none of {len(days)} days has {bin_count} bins and a full session")
    return tuple(largest_remainder(sums, CURVE_TOTAL))


def flat_curve(bin_count: int) -> tuple[int, ...]:
    """The curve where no earlier day is known: equal volume in each of `bin_count` bins, in parts per billion."""
    return tuple(largest_remainder([1] * bin_count, CURVE_TOTAL))


def curve_between(curve: Sequence[int], first_bin: int, end_bin: int) -> tuple[int, ...]:
    """Bins [first_bin, end_bin) re-normalised to add up to CURVE_TOTAL.

    Also the guard for a half day ahead: a session of 210 minutes takes
    `curve_between(curve, 0, 210)` of a 390-minute curve. Raises ValueError for bins
    outside the curve and NoUsableDays for bins without volume.
    """
    if not 0 <= first_bin < end_bin <= len(curve):
        raise ValueError(f"bins [{first_bin}, {end_bin}) of a curve of {len(curve)}")
    part = curve[first_bin:end_bin]
    if not any(part):
        raise NoUsableDays(f"no volume in bins [{first_bin}, {end_bin})")
    return tuple(largest_remainder(part, CURVE_TOTAL))


def volume_between(curve: Sequence[int], bin_ns: int, day_start_ns: int, start_ns: int, end_ns: int) -> int:
    """Curve volume in [start, end), linear inside a bin, as an exact integer in ppb x ns.

    Outside the curve there is no volume. 0 when end <= start. Raises ValueError for
    bin_ns below 1. That no bin is negative is not checked here, since this runs at every
    tick of every parent: whoever builds a curve (`build_curve`, `flat_curve`) ensures it.
    """
    if bin_ns < 1:
        raise ValueError(f"a bin must last at least 1 ns, not {bin_ns}")
    if end_ns <= start_ns:
        return 0
    return _before(curve, bin_ns, end_ns - day_start_ns) - _before(curve, bin_ns, start_ns - day_start_ns)


def progress(
    curve: Sequence[int], bin_ns: int, day_start_ns: int, start_ns: int, end_ns: int, now_ns: int
) -> tuple[int, int]:
    """Share of [start, end)'s volume expected by `now`, as an exact (part, whole).

    Whole is above 0 and 0 <= part <= whole. Where the curve has no volume in the window
    at all, time takes its place (TWAP). Raises ValueError for an end before the start.
    """
    if end_ns < start_ns:
        raise ValueError(f"end {end_ns} is before start {start_ns}")
    if now_ns >= end_ns:
        return 1, 1
    if now_ns <= start_ns:
        return 0, 1
    whole = volume_between(curve, bin_ns, day_start_ns, start_ns, end_ns)
    if whole == 0:
        return now_ns - start_ns, end_ns - start_ns
    return volume_between(curve, bin_ns, day_start_ns, start_ns, now_ns), whole


def fraction_done(curve: Sequence[int], bin_ns: int, day_start_ns: int, start_ns: int, end_ns: int, now_ns: int) -> int:
    """`progress` in parts per billion, floored. Raises ValueError as `progress` does."""
    part, whole = progress(curve, bin_ns, day_start_ns, start_ns, end_ns, now_ns)
    return part * CURVE_TOTAL // whole


def _before(curve: Sequence[int], bin_ns: int, offset_ns: int) -> int:
    if offset_ns <= 0:
        return 0
    whole_bins, inside_ns = divmod(offset_ns, bin_ns)
    if whole_bins >= len(curve):
        return sum(curve) * bin_ns
    return sum(curve[:whole_bins]) * bin_ns + curve[whole_bins] * inside_ns
