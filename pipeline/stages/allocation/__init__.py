"""Shares executions and crosses out to the client orders, exactly, and ends the orders' lives."""
