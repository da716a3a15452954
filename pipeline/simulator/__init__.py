"""Simulated markets and venues: pure, and the same for the same seed."""
