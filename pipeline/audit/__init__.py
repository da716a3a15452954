"""Checks a recorded day: replay, invariants, lineage of an id, seals. Pure; `runtime/auditing` feeds it."""
