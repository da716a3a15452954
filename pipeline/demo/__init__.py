"""The job of `make demo`: made-up orders, a market, every unit; then the books and the audit."""
