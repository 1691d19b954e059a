"""What feedstore costs: each operation against the raw driver that does the same work, in one run."""
