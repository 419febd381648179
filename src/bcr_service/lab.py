"""The laboratory of a service: what `--lab` allows to be done to its processes. Loaded only there."""

import os
import signal

from bcr_service.keeper import Keeping, pid_of

SIGNALS = {"kill": signal.SIGKILL, "pause": signal.SIGSTOP, "resume": signal.SIGCONT}


class ProcessLaboratory:
    """Kills, pauses and resumes replicas, by the signals of the operating system: what a crash, or a slow machine, does."""

    def __init__(self, keeping: Keeping) -> None:
        self._keeping = keeping

    def do(self, what: str, about: str) -> None:
        """Do it to `replica_i` of the current configuration; of what cannot be done a note is taken."""
        pid = pid_of(self._keeping, about)
        number = SIGNALS.get(what)
        if number is None or pid is None:
            self._keeping.note(f"the laboratory cannot {what} {about}")
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            self._keeping.note(f"{about} has ended already")
            return
        self._keeping.done(what, about)
