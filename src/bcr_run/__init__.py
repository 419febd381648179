"""The harness of every run: from a scenario file to processes, and from what they report to a result."""
