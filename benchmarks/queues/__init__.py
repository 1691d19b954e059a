"""Queues against the raw drivers, and the delay of notifications."""
