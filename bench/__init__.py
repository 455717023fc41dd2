"""Measuring this project against what people use instead: `make bench` writes docs/benchmarks.md."""
