"""All stages in one process without a broker: for simulation, property tests, research and replay."""
