"""Both values of a difference, short enough for a line."""

from __future__ import annotations

from pipeline.audit.findings import Finding, FindingKind, Findings, shortened


def test_short_values_are_shown_whole() -> None:
    assert shortened(7, "x") == ("7", "'x'")


def test_of_long_values_the_part_around_the_first_difference_is_shown() -> None:
    was, now = shortened("a" * 1000 + "b" + "c" * 1000, "a" * 1000 + "d" + "c" * 1000)
    assert "ab" in was and "ad" in now and "ab" not in now
    assert len(was) < 150 and len(now) < 150
    assert was.startswith("…") and "(from character " in was


def test_a_value_that_only_goes_on_shows_where() -> None:
    was, now = shortened("a" * 1000, "a" * 1200)
    assert was != now


def test_the_first_findings_are_kept_and_all_are_counted() -> None:
    findings = Findings()
    finding = Finding(FindingKind.ENTRY, "intake/0", 3, "journal", 0, -1, "runs", "1", "2")
    for _ in range(50):
        findings.add(finding)
    assert len(findings.kept) == 20 and findings.count == 50
    assert str(finding) == (
        "the journal says otherwise: journal/0, field runs: recorded 1, replayed 2 (task intake/0, journal entry 3)"
    )
