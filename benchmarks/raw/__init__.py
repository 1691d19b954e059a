"""The raw drivers: for each, the fastest hand-written code that was found."""
