"""What is replicated: the objects, what an object must say of itself (`replicated`), and how large things may be."""
