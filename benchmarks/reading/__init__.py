"""Merged, filtered and ranked pages, compared with the plain reads that they consist of."""
