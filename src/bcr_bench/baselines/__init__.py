"""What the system is compared with: one server without replicas, PySyncObj, DistAlgo's own raft, under the same load."""
