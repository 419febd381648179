"""The small shell through which the DistAlgo processes meet the world: time, randomness, logs, addresses."""
