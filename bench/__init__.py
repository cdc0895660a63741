"""Benchmarks: ratios of two ways to do the same, measured in one run. Never a pass or fail of a test."""
