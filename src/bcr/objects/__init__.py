"""What is replicated: the object, its operations, and how large they may be."""
