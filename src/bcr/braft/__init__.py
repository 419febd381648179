"""The rules of Raft among servers that lie, as pure functions and values (specification, 16)."""
