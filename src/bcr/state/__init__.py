"""A replica's running state: the object by buckets, and the latest result of each client [3.2]."""
