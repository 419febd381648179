"""Sends runs, handlers and codec what nobody should send."""
