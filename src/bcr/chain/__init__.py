"""The rules of the chain: configurations, proofs, messages, histories, the choice of a quorum, slots, timers, limits."""
