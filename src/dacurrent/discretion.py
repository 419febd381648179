"""The arguments of `setup` in no log: among them may be a secret that start-up gives to a process."""

import functools


class _Untold(tuple):
    """Arguments of which a log says only how many they are."""

    def __repr__(self):
        return f"<{len(self)} arguments>"


def cure_sim(sim):
    """Patch the command by which processes are set up."""
    stock = sim.DistProcess._cmd_Setup

    @functools.wraps(stock)
    def _cmd_Setup(self, source, arguments):
        number, values = arguments
        return stock(self, source, (number, _Untold(values)))

    sim.DistProcess._cmd_Setup = sim.internal(_cmd_Setup)
