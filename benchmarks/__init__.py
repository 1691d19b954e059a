"""Benchmarks: each operation of feedstore against the raw driver that does the same work, in one run."""
