"""What an operation must cost: counted from the protocol, with the cost of each part on this machine."""
