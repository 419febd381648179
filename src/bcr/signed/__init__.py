"""What is said and signed: encoding, keys and authenticators, statements, pieces of large messages, and what may be wrong with them."""
