"""Real parts for tests and benchmarks: stores, a node, a client, data, a counting proxy."""
