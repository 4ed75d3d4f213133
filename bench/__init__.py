"""Benchmarks: asv tracks the speed of fastbp from commit to commit, and scripts compare it with other libraries."""
