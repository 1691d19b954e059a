"""The real servers that the suite starts as its own child processes, once a session, and stops by their handles."""
