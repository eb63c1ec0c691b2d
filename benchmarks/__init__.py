"""Measurements of speed, memory and precision: `python -m benchmarks --help`; see docs/benchmarks.md."""
