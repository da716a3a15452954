"""Deliberate defects in the worker, each of which a cheap test must find: ``make mutants``."""
