"""Commands are taken only from whom they may come, and only in their form.

What identity means here: every connection has proved that it holds the cookie, and says itself which process it speaks
for.  So these rules keep out mistakes, leftovers of other runs, and whoever lacks the cookie; a holder of the cookie
who forges the id of a process's parent is still believed.  Programs that must not trust each other sign what matters.

| command | taken from |
|---|---|
| Setup, Start, End, Config | the process's parent, or its node |
| New | any process, but only by a node, and only for process classes of loaded `.da` modules |
| Resolve | processes of the same node |
| NodeJoin, NodeLeave, NodePing | nodes |
| acknowledgements and replies | anybody, for sequence numbers that are being waited for |
"""

import functools
import logging

from dacurrent.limited import LimitedLog

NEW_LIMIT = 1_000
PROPERTY_LIMIT = 20
METHODS = ("process", "thread")

_log = LimitedLog(logging.getLogger("da.sim.commands"))


class Refused(Exception):
    """A command that is not taken; the text says why."""


def cure_sim(sim):
    """Put a check before each command of `da.sim`'s processes and nodes."""

    def from_parent(process, source, _arguments):
        if source not in (process._DistProcess__parent, process._DistProcess__procimpl._nodeid):
            raise Refused("it comes from neither the parent nor the node")

    def from_own_node(process, source, _arguments):
        if source.hostname != process._id.hostname or source.nodename != process._id.nodename:
            raise Refused("it comes from another node")

    def from_node(_process, source, _arguments):
        if not source.nodename or source.name != source.nodename:
            raise Refused("it does not come from a node")

    def is_setup(_process, _source, arguments):
        seqno, values = arguments
        _require(type(seqno) is int and isinstance(values, (tuple, list)), "(sequence number, arguments)")

    def is_number(_process, _source, arguments):
        _require(type(arguments) is int, "a number")

    def is_new(process, _source, arguments):
        if not process._DistProcess__procimpl.is_node():
            raise Refused("only a node makes processes for others")
        cls, names, method, is_daemon, seqno, properties = arguments
        _require(isinstance(cls, type) and issubclass(cls, sim.DistProcess), "a process class")
        _require(sim.common.modules.get(cls.__module__) is not None, "a process class of a loaded module")
        _require(type(names) in (range, list, tuple, set, frozenset) and len(names) <= NEW_LIMIT, "names or a number")
        _require(method in METHODS and type(is_daemon) is bool and type(seqno) is int, "a way to run it")
        _require(type(properties) is dict and len(properties) <= PROPERTY_LIMIT, "properties")
        _require(all(type(name) is str for name in properties), "properties with names")

    def is_resolve(_process, _source, arguments):
        full_name, host, port, seqno = arguments
        _require(type(full_name) is tuple and len(full_name) == 2, "a name")
        _require(all(type(part) is str for part in full_name) and type(seqno) is int, "a name")
        _require(type(host) in (str, type(None)) and type(port) in (int, type(None)), "an address")

    def is_join(_process, _source, arguments):
        _names, seqno = arguments
        _require(type(seqno) is int, "(names, sequence number)")

    def is_reply(_process, _source, arguments):
        seqno, _result = arguments
        _require(type(seqno) is int, "(sequence number, result)")

    checks = {
        "Setup": (from_parent, is_setup),
        "Start": (from_parent, is_number),
        "End": (from_parent, is_number),
        "Config": (from_parent,),
        "New": (is_new,),
        "Resolve": (from_own_node, is_resolve),
        "NodeJoin": (from_node, is_join),
        "NodeLeave": (from_node,),
        "NodePing": (from_node,),
    }
    for name in {ack.name for ack in sim.NodeProcess.AckCommands}:
        checks[name] = (is_reply,)

    stock = sim.DistProcess._init_dispatch_table

    @sim.internal
    @functools.wraps(stock)
    def _init_dispatch_table(self):
        stock(self)
        table = self._DistProcess__command_dispatch_table
        for name, wanted in checks.items():
            number = sim.Command[name].value
            if table[number] is not None:
                table[number] = _checked(self, name, table[number], wanted)

    sim.DistProcess._init_dispatch_table = _init_dispatch_table


def _require(condition, form):
    if not condition:
        raise Refused(f"it is malformed: not {form}")


def _checked(process, name, command, wanted):
    def call(source, arguments):
        try:
            for check in wanted:
                check(process, source, arguments)
        except (Refused, TypeError, ValueError) as why:
            _log.log(logging.WARNING, (name, source), "%s: command %s from %s is ignored: %s", process._id, name, source, why)
            return None
        return command(source, arguments)

    return call
