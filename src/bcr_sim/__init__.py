"""The same `.da` files in one OS thread: virtual time, a seeded schedule, and an oracle."""
