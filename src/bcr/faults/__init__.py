"""What may go wrong on purpose: fault plans, when they strike, and what a liar can forge."""
