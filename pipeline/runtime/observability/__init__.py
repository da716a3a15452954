"""Logs, metrics, and the HTTP endpoint for both health checks."""
