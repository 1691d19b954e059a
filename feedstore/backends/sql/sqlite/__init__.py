"""SQLite: one file, write-ahead logging, a connection for each thread."""
