"""The benchmark: `python -m ops.bench` measures, `python -m ops.bench report` writes ops/benchmarks.md."""
