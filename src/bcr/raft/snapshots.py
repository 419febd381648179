"""Snapshots: the running state at an index, which replaces the log up to there, and how it travels (specification, 14.7)."""

from bcr.chain.limits import state_limits
from bcr.chain.settings import Settings
from bcr.raft.log import Position
from bcr.raft.rpcs import InstallSnapshot
from bcr.signed.encoding import decode
from bcr.state.running import RunningState, Snapshot


def state_of(snapshot: bytes, settings: Settings) -> RunningState:
    """The running state that a snapshot holds; of no bytes the state in which a service begins."""
    if not snapshot:
        return RunningState(settings.client_window, state_limits(settings), settings.object_name)
    kept = decode(Snapshot, snapshot)
    return RunningState.restored(kept, settings.client_window, state_limits(settings), settings.object_name)


class Arriving:
    """The snapshot that a follower is being sent, as far as it has come."""

    def __init__(self) -> None:
        self._last: Position | None = None
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, message: InstallSnapshot) -> bytes | None:
        """Take a piece that is the next one; the whole, once it is there. Another snapshot takes the place of this one."""
        if message.last != self._last:
            self._last, self._pieces, self._size = message.last, [], 0
        if message.offset == self._size:
            self._pieces.append(message.data)
            self._size += len(message.data)
            if message.is_done:
                snapshot = b"".join(self._pieces)
                self._last, self._pieces, self._size = None, [], 0
                return snapshot
        return None

    @property
    def size(self) -> int:
        """How many bytes of it there are."""
        return self._size
