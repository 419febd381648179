"""The client of the service: every answer is checked against the pinned key of Olympus before it is returned."""
