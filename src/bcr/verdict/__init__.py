"""What a run has shown: the record of what clients saw, and the judge's verdict on it."""
