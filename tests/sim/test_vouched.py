"""What Olympus vouches for is on the disks of the quorum before it does, and a lost Olympus is made anew with it (specification, 13.4, 13.9)."""

from importlib import import_module
from itertools import combinations

import pytest

from bcr.scenario.reading import parse_scenario
from bcr.stable.inspection import ReplicaDisk
from bcr.stable.vouched import vouched_state
from bcr_sim.observing import observe_processes
from bcr_sim.power import Power
from bcr_sim.simulated_run import simulate

TEXT = """t = {t}
num_client = 1
client_timeout = 600
head_timeout = 600
nonhead_timeout = 600
olympus_timeout = 2000
wedge_grace = 200
checkpt_interval = {interval}
durable = on
workload[0] = put('a','x'); append('a','y'); append('a','z'); get('a'); get('a')
failures[0,{position}] = shuttle(0,{slot}),crash()
simulation = seed(7); delay(50,3000)
"""


@pytest.fixture
def disks(monkeypatch):
    """The disks of a simulated run, by the names of their files."""
    found = {}
    stock = Power.open_disk

    def open_disk(power, container, path):
        found[path.name] = stock(power, container, path)
        return found[path.name]

    monkeypatch.setattr(Power, "open_disk", open_disk)
    return found


@pytest.mark.parametrize("interval", [3, 100])
@pytest.mark.parametrize(("t", "position"), [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("slot", [1, 3])
def test_whatever_t_disks_are_lost_with_that_of_olympus_the_others_have_what_it_vouches_for(
    disks, monkeypatch, t, position, slot, interval
):
    observe_processes()
    olympus_class = import_module("Olympus").Olympus
    stock = olympus_class.send_vouchers
    looked_at = []

    def send_vouchers(process, vouchers):
        state = process._state
        contents = {name: disk.read() for name, disk in disks.items() if name.endswith("-configuration_0")}
        kept = {name: ReplicaDisk.read(content, name) for name, content in contents.items()}
        assert len(kept) == 2 * t + 1
        for left in combinations(kept, t + 1):
            found = vouched_state(state.settings, contents, {name: kept[name] for name in left}, t + 1)
            if found is None:
                longest = max(state.change.histories[place].end for place in state.change.tried[-1])
                assert max(kept[name].end for name in left) >= longest
            else:
                assert found.digest() == state.change.snapshot.digest()
            looked_at.append(found)
        stock(process, vouchers)

    monkeypatch.setattr(olympus_class, "send_vouchers", send_vouchers)
    outcome = simulate(parse_scenario(TEXT.format(t=t, position=position, slot=slot, interval=interval), "x.config")[0])
    assert (outcome.breaches, outcome.judgement.status) == ((), "pass")
    assert any(found is not None for found in looked_at)
