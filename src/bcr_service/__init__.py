"""The service: a chain that stays up, HTTP in front of it, and the commands around it."""
