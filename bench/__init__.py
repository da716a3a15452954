"""The benchmark: `python -m bench` measures, `python -m bench report` writes ops/benchmarks.md."""
