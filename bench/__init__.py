"""Benchmarks: `asv run` tracks our own speed from commit to commit."""
