"""PostgreSQL: a pool of connections, arrays as parameters, headers that are locked in one order."""
