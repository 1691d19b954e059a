"""The raw drivers: for each, the fastest way that was found to do the work by hand."""
