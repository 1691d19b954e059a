"""Queues beside the raw drivers, and how soon a change is heard of."""
