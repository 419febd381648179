"""A replica's running state: the object by buckets, and the latest result of each client (specification, 3.7, 8.2)."""
