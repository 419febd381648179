"""Benchmarks: what the protocol must cost, and what it does."""
