"""What Byzantine chain replication can decide without a network.

Pure, typed values and functions; nothing here imports DistAlgo, opens a socket, or looks at a clock.
Section numbers are those of van Renesse, Ho and Schiper, "Byzantine Chain Replication", OPODIS 2012.
"""
