"""The processes that a benchmark starts beside itself."""
