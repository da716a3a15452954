"""Transaction cost analysis: what each child, parent and client order cost against its benchmarks."""
