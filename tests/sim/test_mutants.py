"""Mutants of the rules: what is made of a source, that ids last, and what is said of each that was tried."""

import json
import os
import subprocess
import sys

import pytest

from bcr_runtime.places import PROJECT
from bcr_sim.mutants import OPERATORS, Rules, mutants_of, parsed, probed, rules
from bcr_sim.survival import OF_PROTOCOLS, all_mutants, equivalents, is_test_of, results_in, scenario_texts
from bcr_sim.survival import test_files as files_of_tests
from bcr_sim.survivors import MutantResult, Tables, page

PLAIN = Rules({}, {}, {"journal": "logs"}, {"report": "reports"}, {"sent": "counts"}, {"ended": "the end"}, 99)

SAMPLE = b"""
class P(process):
    def on_shuttle(shuttle):
        \"\"\"1 < 2.\"\"\"
        shuttle.demand_valid(position)
        if shuttle.slot > next_slot:
            raise Hole('slot %d' % shuttle.slot)
        elif not (mode == ACTIVE and ready):
            timers.start(key, now, 5)
            queue.clear()
        to_successor('shuttle', shuttle)
        journal.step('slot', number=1)
        sent += 1
        -- waiting
        if await(heard or ended):
            pass
        elif timeout(1000):
            pass

    def report():
        send(1 < 2)
"""


def changes(source, file="P.da", declared=PLAIN):
    """Operator and changed line (or several) of each mutant of a source."""
    found = []
    for mutant in mutants_of(file, source, declared):
        before, after = source.decode().splitlines(), mutant.patched(source).decode().splitlines()
        changed = [line.strip() for line, was in zip(after, before, strict=True) if line != was]
        found.append((mutant.operator, *changed))
    return found


def of(operator, source, **more):
    return [each[1:] for each in changes(source, **more) if each[0] == operator]


def test_a_removed_violation_a_removed_demand_send_timer_and_call_leave_pass():
    assert of("raise", SAMPLE) == of("demand", SAMPLE) == of("timer", SAMPLE) == of("send", SAMPLE) == [("pass",)]
    assert of("call", SAMPLE) == [("pass",)]
    assert [mutant.line for mutant in mutants_of("P.da", SAMPLE, PLAIN) if mutant.operator in ("demand", "call")] == [
        5,
        10,
    ]


def test_a_comparison_becomes_its_neighbour_and_its_opposite():
    assert of("compare", SAMPLE) == [
        ("if shuttle.slot >= next_slot:",),
        ("if shuttle.slot <= next_slot:",),
        ("elif not (mode != ACTIVE and ready):",),
    ]
    source = b"def f():\n    return a == b, a != b, a < b, a <= b, a >= b, a in b, a not in b, a is b, a is not b, 0 <= a < b\n"
    whole = "return a == b, a != b, a < b, a <= b, a >= b, a in b, a not in b, a is b, a is not b, 0 <= a < b"
    expected = [("a == b", "a != b"), ("a != b", "a == b"), (" a < b, a <=", " a <= b, a <="), (" a < b, a <=", " a >= b, a <="),
                ("b, a <= b", "b, a < b"), ("b, a <= b", "b, a > b"), ("a >= b", "a > b"), ("a >= b", "a < b"),
                ("a in b", "a not in b"), ("a not in b", "a in b"), ("a is b", "a is not b"), ("a is not b", "a is b"),
                ("0 <= a", "0 < a"), ("0 <= a", "0 > a"), ("0 <= a < b", "0 <= a <= b"), ("0 <= a < b", "0 <= a >= b")]  # fmt: skip
    assert of("compare", source) == [(whole.replace(before, after, 1),) for before, after in expected]


def test_a_condition_always_and_never_holds_also_where_a_process_waits_for_it():
    assert of("condition", SAMPLE) == [
        ("if True:",),
        ("if False:",),
        ("elif True:",),
        ("elif False:",),
        ("if await(True):",),
        ("if await(False):",),
    ]
    source = b"def f():\n    while a:\n        x = [b for b in c if d] if e else g\n"
    assert of("condition", source) == [
        ("while True:",),
        ("while False:",),
        ("x = [b for b in c if True] if e else g",),
        ("x = [b for b in c if False] if e else g",),
        ("x = [b for b in c if d] if True else g",),
        ("x = [b for b in c if d] if False else g",),
    ]


def test_a_guard_that_never_holds_is_its_raise_removed_and_is_made_once():
    source = b"def f():\n    if a:\n        raise B\n"
    assert changes(source) == [("condition", "if True:"), ("raise", "pass")]


def test_and_and_or_change_places_and_lose_an_operand_but_not_the_end_of_the_run():
    assert of("connect", SAMPLE) == [
        ("elif not (((mode == ACTIVE) or (ready))):",),
        ("elif not ((ready)):",),
        ("elif not ((mode == ACTIVE)):",),
        ("if await(((heard) and (ended))):",),
        ("if await((ended)):",),
    ]


def test_a_not_is_removed_and_a_constant_is_one_more_and_one_less_unless_it_is_large():
    assert of("not", SAMPLE) == [("elif (mode == ACTIVE and ready):",)]
    assert of("constant", SAMPLE) == [("timers.start(key, now, 6)",), ("timers.start(key, now, 4)",)]
    assert of("constant", b"LIMIT = 0\nLARGE = 1_000\nx = 'words'\ny = True\n") == [("LIMIT = 1",), ("LIMIT = (-1)",)]


def test_what_only_logs_reports_or_counts_is_left_alone():
    assert not [mutant for mutant in mutants_of("P.da", SAMPLE, PLAIN) if mutant.line in (2, 3, 4, 12, 13, 14, 17)]
    assert not [mutant for mutant in mutants_of("P.da", SAMPLE, PLAIN) if mutant.function == "P.report"]
    assert changes(b"def f():\n    if a < b:\n        journal.warn(1)\n") == []


def test_a_source_with_probes_tells_each_statement_before_it_is_executed():
    lines = probed("P.da", SAMPLE, lambda file, line: line).decode().splitlines()
    assert lines[0] == "from bcr_sim.reach import note_reached"
    assert lines[5:9] == ["        note_reached(5)", "        shuttle.demand_valid(position)",
                          "        note_reached(6)", "        if shuttle.slot > next_slot:"]  # fmt: skip
    place = lines.index("        note_reached(15)")
    assert lines[place + 1 : place + 3] == ["        -- waiting", "        if await(heard or ended):"]
    assert not any(line.strip() == "note_reached(8)" for line in lines)  # an elif


def test_a_mutant_knows_the_statement_without_which_it_changes_nothing():
    found = mutants_of("P.da", SAMPLE, PLAIN)
    assert {mutant.probe for mutant in found if mutant.operator == "raise"} == {7}
    assert {mutant.probe for mutant in found if mutant.operator == "not"} == {6}  # that of the if, for an elif
    assert [mutant.probe for mutant in found if mutant.operator == "condition"][:2] == [6, 7]  # never holds: the raise


def test_every_operator_occurs_in_the_sample():
    assert {operator for operator, *_ in changes(SAMPLE)} == set(OPERATORS)


def test_no_two_mutants_have_one_id_or_one_text():
    found = [(mutant, source) for mutant, source in all_mutants(rules())]
    assert len({mutant.id for mutant, _ in found}) == len(found)
    assert len({(mutant.file, mutant.patched(source)) for mutant, source in found}) == len(found)


def test_ids_last_when_lines_move_and_other_functions_change():
    before = [mutant.id for mutant in mutants_of("P.da", SAMPLE, PLAIN)]
    moved = SAMPLE.replace(b"    def on_shuttle", b"    # One more rule.\n    def other():\n        x = 1 < 2\n\n    def on_shuttle")
    after = [mutant.id for mutant in mutants_of("P.da", moved, PLAIN) if mutant.function == "P.on_shuttle"]
    assert after == before


def test_the_same_change_twice_in_a_function_has_two_ids():
    names = [mutant.id for mutant in mutants_of("f.py", b"def f():\n    a = g(x < 1)\n    b = h(x < 1)\n", PLAIN)]
    assert "f.py f compare: x < 1 -> <=" in names
    assert "f.py f compare: x < 1 -> <= #2" in names


def test_positions_are_right_behind_letters_of_several_bytes():
    assert of("compare", "def f():\n    return g('≤ …', a < b)\n".encode())[0] == ("return g('≤ …', a <= b)",)


def test_every_mutant_of_the_sources_parses():
    for mutant, source in all_mutants(rules()):
        parsed(mutant.file, mutant.patched(source))


def test_distalgo_compiles_a_mutant_of_each_operator_in_each_of_its_files():
    import da  # noqa: F401 - before its importer

    from dacurrent.importer import DistAlgoLoader

    first = {}
    for mutant, source in all_mutants(rules()):
        if mutant.file.endswith(".da"):
            first.setdefault((mutant.file, mutant.operator), (mutant, source))
    assert len(first) > 20
    for mutant, source in first.values():
        DistAlgoLoader("mutated", mutant.file).source_to_code(mutant.patched(source), mutant.file)


@pytest.mark.parametrize(("protocol", "room", "servers"), [("raft", "raft", "Raft"), ("byzantine_raft", "braft", "Braft")])
def test_of_another_protocol_its_rules_and_servers_are_mutated(protocol, room, servers):
    declared = rules(protocol)
    modules = {f"bcr/{room}/{path.name}" for path in (PROJECT / "src" / "bcr" / room).glob("[!_]*.py")}
    assert modules - {"bcr/raft/kept_logs.py", "bcr/raft/server_status.py"} == {file for file in declared.files if file.endswith(".py")}
    assert {f"{servers}.da", f"{servers}Process.da"} < {file for file in declared.files if file.endswith(".da")}
    assert set(declared.files.values()) == {protocol}
    texts = scenario_texts(protocol)
    assert texts and all(f"protocol = {protocol}\n" in text for text in texts.values())
    assert all((PROJECT / name).exists() for name in OF_PROTOCOLS[protocol])
    ids = [mutant.id for mutant, _ in all_mutants(declared)]
    assert len(ids) == len(set(ids)) > 300


def test_every_module_of_the_protocol_is_mutated_or_left_out_with_a_reason():
    declared = rules()
    rooms = [path for path in (PROJECT / "src" / "bcr").iterdir() if path.is_dir() and path.name != "scenario"]
    modules = {path.relative_to(PROJECT / "src").as_posix() for room in rooms for path in room.glob("[!_]*.py")}
    assert modules == {file for file in declared.files if file.endswith(".py")} | set(declared.left_out)
    roles = {
        "ChainProcess.da",
        "Client.da",
        "ClientProcess.da",
        "ClientSession.da",
        "Issuer.da",
        "OlympusProcess.da",
        "Olympus.da",
        "Participant.da",
        "Replica.da",
    }
    assert {file for file in declared.files if file.endswith(".da")} == roles
    for reasons in (declared.left_out, declared.calls, declared.functions, declared.names, declared.end):
        assert all(reasons.values())


def test_each_equivalent_is_a_mutant_of_the_sources_as_they_are_now():
    names = {mutant.id for protocol in ("shuttle", *OF_PROTOCOLS) for mutant, _ in all_mutants(rules(protocol))}
    assert [name for name in equivalents() if name not in names] == []


# -- what is said of them


def tables(outcomes, same=()):
    """Tables over as many mutants of the sample as there are outcomes, and the ids of these."""
    chosen = [(mutant, SAMPLE) for mutant in mutants_of("P.da", SAMPLE, PLAIN)][: len(outcomes)]
    known = {}
    for (mutant, source), (outcome, by) in zip(chosen, outcomes, strict=True):
        if outcome:
            key = mutant.id, mutant.digest(source)
            known[key] = MutantResult(id=key[0], hash=key[1], sources="s", outcome=outcome, by=by, seeds=7)
    names = [mutant.id for mutant, _ in chosen]
    return Tables(chosen, known, {names[index]: "no run can tell" for index in same}), names


def test_the_share_counts_neither_equivalents_nor_what_was_not_tried_as_noticed():
    outcomes = [
        ("killed", "seed 3"),
        ("killed", "config/x.config"),
        ("broken", "import"),
        ("alive", ""),
        ("", ""),
        ("alive", ""),
    ]
    made, names = tables(outcomes, same=[5])
    assert made.share == 3 / 5
    assert [mutant.id for mutant in made.alive()] == [names[3]]
    assert list(made.rows(lambda mutant: mutant.file))[-1] == (
        "all",
        "6",
        "1",
        "1",
        "1",
        "1",
        "0",
        "0",
        "1",
        "1",
        "60.0%",
    )


def test_an_equivalent_that_was_noticed_or_is_gone_is_told():
    made, names = tables([("killed", "seed 3"), ("alive", "")], same=[0, 1])
    assert made.wrong == [names[0]]
    assert any("not equivalent, for it was noticed" in line for line in made.lines())
    gone = Tables([(mutant, SAMPLE) for mutant in mutants_of("P.da", SAMPLE, PLAIN)], {}, {"P.da f not: x": "gone"})
    assert gone.stale == ["P.da f not: x"]


def test_the_page_names_each_survivor_and_each_equivalent_with_its_reason():
    made, names = tables([("killed", "seed 3"), ("alive", ""), ("alive", "")], same=[2])
    text = page(made, "a day")
    assert "**1 of the 2 that were tried were noticed: 50.0%.**" in text
    assert f"- `{names[1]}`: alive after 7 seeds; no runs execute it" in text
    assert f"- `{names[2]}`: no run can tell" in text
    assert "Measured on a day: " in text
    assert "- seeds of the hunt: 1\n" in text
    assert text.startswith("# Mutants\n\n`./bcr bugs --all --docs` made 3 mutants ")
    of_raft = page(made, "a day", "raft")
    assert of_raft.startswith("# Mutants of Raft\n\n`./bcr bugs --all --protocol raft --docs` made 3 mutants ")
    assert of_raft.partition(" made ")[2] == text.partition(" made ")[2]


def test_a_result_of_another_text_of_the_same_mutant_does_not_count():
    made, _ = tables([("killed", "seed 3")])
    [(mutant, _)] = [(mutant, SAMPLE) for mutant in made.mutants]
    old = MutantResult(id=mutant.id, hash="another", sources="s", outcome="killed", by="seed 3")
    assert Tables([(mutant, SAMPLE)], {(old.id, old.hash): old}, {}).class_of(mutant.id) == "not tried"


def test_tests_about_a_module_are_those_that_import_from_it_and_those_of_processes():
    tests = files_of_tests("shuttle")
    of_processes = {name for name in tests if is_test_of("Replica.da", name)}
    assert of_processes == {name for name in tests if name.startswith("tests/sim/")} >= {"tests/sim/test_checks.py"}
    of_pauses = {name for name in tests if is_test_of("bcr/chain/pauses.py", name)}
    assert of_pauses - of_processes == {"tests/bcr/test_numbers.py", "tests/bcr/test_pauses.py"}
    untested = [
        file
        for file in rules().files
        if file.endswith(".py") and not any(is_test_of(file, name) for name in tests if name.startswith("tests/bcr/"))
    ]
    assert untested == []


def test_a_verdict_stays_when_another_function_of_the_file_changes_and_goes_when_its_own_does():
    def digest(source):
        [mutant] = [each for each in mutants_of("f.py", source, PLAIN) if each.operator == "not"]
        return mutant.digest(source)

    source = b"def f(a):\n    return g(not a)\n\ndef h(a):\n    return a\n"
    assert digest(source) == digest(source.replace(b"return a\n", b"return [a]\n")) == digest(b"import x\n\n" + source)
    assert digest(source) != digest(source.replace(b"g(not a)", b"k(not a)"))


def test_what_a_test_noticed_and_what_a_scenario_noticed_is_counted_apart():
    made, names = tables([("killed", "test tests/bcr/test_x.py"), ("killed", "config/x.config"), ("killed", "hang")])
    assert [made.class_of(name) for name in names] == ["by a unit test", "by a scenario", "hangs"]


# -- trying them


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where results are, and beside them what the runs without a mutant execute: that is found out once."""
    return tmp_path_factory.mktemp("mutants")


@pytest.fixture
def results(folder, request):
    return folder / f"{request.node.name[:40]}.jsonl"


def try_all(results, *arguments):
    command = [sys.executable, "-m", "bcr_tools.cli", "bugs", "--all", "--jobs", "1", "--output", str(results), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)


def only_result(results):
    [result] = results_in(results).values()
    return result


def mutant_of_timers(operator, text):
    """The id of the first such mutant of a module that is small and simulated all the time."""
    return next(
        mutant.id for mutant, _ in all_mutants(rules())
        if mutant.file == "bcr/chain/timers.py" and mutant.operator == operator and text in mutant.id
    )  # fmt: skip


def test_a_mutant_that_a_scenario_notices_is_killed_and_not_tried_again(results):
    name = mutant_of_timers("compare", "deadline <= now_s -> >")
    done = try_all(results, "--only", name, "--count", "1", "--no-tests")
    assert done.returncode == 0, done.stdout + done.stderr
    result = only_result(results)
    assert result.id == name
    assert result.outcome in ("killed", "broken")
    assert "100.0%" in done.stdout
    again = try_all(results, "--only", name, "--count", "1", "--no-tests")
    assert again.returncode == 0
    assert "mutants to try" not in again.stdout


def test_a_mutant_that_nothing_can_notice_is_alive_and_goes_on_where_it_stopped(results):
    name = mutant_of_timers("compare", "deadline <= now_s -> <")  # no clock is so exact
    done = try_all(results, "--only", name, "--count", "1", "--no-tests")
    assert done.returncode == 1, done.stdout + done.stderr
    assert (only_result(results).outcome, only_result(results).seeds) == ("alive", 1)
    try_all(results, "--only", name, "--count", "2", "--no-tests")
    lines = [json.loads(line) for line in (results).read_text().splitlines()]
    assert [line["seeds"] for line in lines] == [1] * (len(lines) - 1) + [2]
    numbers = [len(line["had"]) for line in lines]  # first a few scenario files, later more
    assert 0 < numbers[0] < numbers[-1] <= len(scenario_texts())


IN_ONE_PROCESS = """
from bcr_sim import attempt, survival
from bcr_sim.mutants import rules

declared, files = rules(), ["tests/bcr/test_numbers.py", "tests/bcr/test_pauses.py", "tests/bcr/test_replicated.py"]
attempt.warm(declared)
attempt.prepare_probes(declared)
def tried():
    units = [name for name in attempt._tests[0].items if "test_replicated" not in name or "room_that_is_given_back" in name]
    for file, words in (("chain/pauses.py", "module constant: 4 -> 3"), ("chain/pauses.py", "constant: 2 -> 3"),
                        ("objects/room.py", "growth > 0 -> >="), ("", "")):
        found = [(mutant, source) for mutant, source in survival.all_mutants(declared)
                 if mutant.file == "bcr/" + file and words in mutant.id] or [(None, b"")]
        for mutant, source in found:
            if "objects" in file:
                attempt.IMPORTED.add(attempt.number_of(mutant))  # as if some test file executed it while it is imported
            trial = attempt.MutantTrial(mutant, source, {}, range(0), "any", units)
            [(_, said)] = attempt.attempts([trial], 1, 600)
            print(mutant and mutant.id, said["outcome"], said["by"], sep=" | ")

attempt.with_collected(files, tried)
"""


def test_a_test_notices_a_mutant_whether_its_function_is_exchanged_or_its_module_imported_anew():
    command = [sys.executable, "-c", IN_ONE_PROCESS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT, env=os.environ | {"PYTHONPATH": "src"})
    lines = [line.split(" | ") for line in done.stdout.splitlines() if " | " in line]
    assert lines, done.stderr
    assert lines[-1] == ["None", "alive", ""]
    noticed = {name.split()[1]: (outcome, by) for name, outcome, by in lines[:-1]}
    assert noticed == {
        "module": ("killed", "test tests/bcr/test_numbers.py"),  # a constant
        "Pauses.owed_ms": ("killed", "test tests/bcr/test_pauses.py"),
        "Repetitions.heeds": ("killed", "test tests/bcr/test_pauses.py"),
        "Room.takes": ("killed", "test tests/bcr/test_replicated.py"),  # which imports an example, too
    }


def test_without_time_nothing_is_tried_and_the_list_says_so(results):
    done = try_all(results, "--file", "bcr/chain/timers.py", "--for", "1e-9")
    assert done.returncode == 1
    assert not results_in(results)
    listed = try_all(results, "--file", "bcr/chain/timers.py", "--list")
    lines = [line for line in listed.stdout.splitlines() if line.startswith("bcr/chain/timers.py ")]
    assert len(lines) == sum(mutant.file == "bcr/chain/timers.py" for mutant, _ in all_mutants(rules()))
    assert all(line.endswith(": not tried") for line in lines)


def test_a_file_that_is_not_mutated_is_refused_with_those_that_are(results):
    done = try_all(results, "--file", "bcr/verdict/judge.py")
    assert done.returncode == 2
    assert "mutants are made of Replica.da, Olympus.da" in done.stderr
