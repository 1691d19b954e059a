"""Live streams: their cost in one process, the delay of new entries, and the replay of missed entries."""
