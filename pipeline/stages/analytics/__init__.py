"""Bars, volume curves, venue scores and reference prices that decisions may read."""
