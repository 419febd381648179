"""Which statements a simulated run executes: sources with probes (bcr_sim.mutants) tell it here."""

REACHED: set[int] = set()

note_reached = REACHED.add
