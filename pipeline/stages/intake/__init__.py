"""Validates a client's request, refuses it with a named reason, or takes it in."""
