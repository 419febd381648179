"""A client's request that waits for its answer."""

from memory_chain import MemoryChain, get

from bcr.chain.outstanding import OutstandingRequest


def test_the_patience_of_a_client_doubles_with_every_try_up_to_16_timeouts():
    waiting = OutstandingRequest(MemoryChain().send(0, get("k")), 0)
    patience = []
    for waiting.attempts in range(1, 8):
        patience.append(waiting.patience())
    assert patience == [1, 2, 4, 8, 16, 16, 16]
