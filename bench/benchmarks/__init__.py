"""Benchmarks, one module a subject: `cd bench && asv run --python=same --show-stderr`."""
