"""The rules of the house: what may import what, where faults may stand, and that the pages agree with the code."""

import ast
import functools
import re
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
SOURCES = PROJECT / "src"
PROTOCOL = sorted(SOURCES.glob("*.da"))
PAGES = sorted((PROJECT / "pseudocode").glob("*.txt"))
NOT_OURS = {"logs", "build", "dist", "__pycache__"}
HIDDEN_BUT_OURS = {".ci", ".github", ".gitignore", ".pre-commit-config.yaml"}

# Package -> what its modules may import beside the standard library and themselves.
HARNESS = {"bcr", "bcr_run", "bcr_runtime"}
ARROWS = {
    "bcr": {"msgspec", "nacl", "solders", "yaml"},
    "bcr_disk": {"bcr"},
    "bcr_runtime": {"bcr", "bcr_disk", "dacurrent", "msgspec", "psutil"},
    "dacurrent": {"da", "msgspec", "nacl"},
    "bcr_run": {"bcr", "bcr_runtime", "da", "msgspec", "psutil", "rich"},
    "bcr_client": {"bcr", "msgspec", "nacl"},
    "bcr_service": HARNESS
    | {
        "bcr_client",
        "cryptography",
        "da",
        "msgpack",
        "msgspec",
        "prometheus_client",
        "prompt_toolkit",
        "starlette",
        "uvicorn",
        "uvloop",
        "yaml",
    },
    "bcr_sim": HARNESS
    | {
        "Participant",
        "RunSystem",
        "da",
        "dacurrent",
        "distributed",
        "greenlet",
        "hypothesis",
        "msgspec",
        "nacl",
        "psutil",
        "pytest",
        "rich",
        "yaml",
    },
    "bcr_bench": HARNESS
    | {
        "bcr_disk",
        "bcr_sim",
        "da",
        "dacurrent",
        "matplotlib",
        "msgspec",
        "nacl",
        "psutil",
        "pysyncobj",
        "rich",
        "starlette",
        "uvicorn",
        "yaml",
    },
    "bcr_fuzz": HARNESS | {"bcr_service", "bcr_sim", "da", "dacurrent", "msgspec", "psutil", "rich"},
    "bcr_show": {"bcr", "bcr_run", "bcr_runtime", "msgspec"},
    "bcr_spec": HARNESS | {"Figure2", "Shuttle", "bcr_sim", "da", "msgspec", "rich"},
    "bcr_tools": HARNESS
    | {
        "bcr_bench",
        "bcr_client",
        "bcr_disk",
        "bcr_fuzz",
        "bcr_service",
        "bcr_show",
        "bcr_sim",
        "bcr_spec",
        "argcomplete",
        "matplotlib",
        "msgspec",
        "psutil",
        "rich",
        "yaml",
    },
}
# The rooms of a package from the ground up: each imports only from those before it.
FLOORS = {
    "bcr": ["objects", "signed", "state", "chain", "stable", "raft", "braft", "faults", "scenario", "verdict", "evidence"],
    "bcr_bench": ["plans", "baselines", "running", "prediction", "studies", "pages"],
}
ROOMS = [(package, room) for package, rooms in FLOORS.items() for room in rooms]
# What stands in no room: the command, which rests on all of them.
ON_THE_ROOF = {"bcr": set(), "bcr_bench": {"bench.py"}}


def name_of(path):
    return path.relative_to(PROJECT).as_posix()


# -- who may import whom


def imported_by(path):
    """The top-level names that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("package", ARROWS)
def test_a_package_imports_only_what_stands_below_it(package):
    modules = sorted((SOURCES / package).rglob("*.py"))
    assert modules
    allowed = ARROWS[package] | {package} | set(sys.stdlib_module_names)
    wrong = {name_of(module): set(imported_by(module)) - allowed for module in modules}
    assert not {module: names for module, names in wrong.items() if names}


def test_nothing_else_imports_the_package_that_shows_runs():
    """But the command line's table: what shows a run knows nothing that a run needs."""
    modules = [path for path in SOURCES.rglob("*.py") if path.parent.name != "bcr_show"]
    assert {name_of(module) for module in modules if "bcr_show" in set(imported_by(module))} == {"src/bcr_tools/cli.py"}


@pytest.mark.parametrize(("package", "room"), ROOMS)
def test_a_room_imports_only_from_those_before_it(package, room):
    floors = FLOORS[package]
    below = {f"{package}.{each}" for each in floors[: floors.index(room) + 1]}
    modules = sorted((SOURCES / package / room).glob("*.py"))
    assert len(modules) > 1
    of_package = {name_of(module): {each for each in rooms_imported_by(module) if each.startswith(f"{package}.")} for module in modules}
    assert not {module: rooms - below for module, rooms in of_package.items() if rooms - below}


def rooms_imported_by(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (".".join(name.split(".")[:2]) for name in names)


@pytest.mark.parametrize("package", FLOORS)
def test_each_module_stands_in_a_room(package):
    folder = SOURCES / package
    assert {path.name for path in folder.iterdir() if path.suffix in (".py", ".da")} == {"__init__.py"} | ON_THE_ROOF[package]
    assert {path.parent.name for path in folder.glob("*/__init__.py")} == set(FLOORS[package])


@pytest.mark.parametrize("folder", ["src", "tests"])
def test_no_two_modules_have_one_name(folder):
    names = [path.name for path in (PROJECT / folder).rglob("*.py") if path.name not in ("__init__.py", "__main__.py", "conftest.py")]
    assert {name for name in names if names.count(name) > 1} == set()


def test_each_exception_from_the_style_has_its_reason():
    text = (PROJECT / "pyproject.toml").read_text()
    table = text.partition("[tool.ruff.lint]")[2].partition("ignore = [")[2]
    exceptions = re.findall(r'(?m)^(?:    "[A-Z]+\d+",|"[\w/.*]+" = \[).*$', table)
    assert len(exceptions) > 10
    assert [line for line in exceptions if " # " not in line] == []


def test_each_package_has_its_arrows():
    assert {path.name for path in SOURCES.iterdir() if (path / "__init__.py").exists()} == set(ARROWS)


def test_the_types_of_each_package_are_checked():
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert settings["strict"]
    assert set(settings["packages"]) == set(ARROWS)


def test_each_package_says_that_it_has_types():
    assert {path.parent.name for path in SOURCES.glob("*/py.typed")} == set(ARROWS)


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "docs/architecture.svg"])
def test_the_architecture_and_its_picture_have_each_package_and_each_room(name):
    text = (PROJECT / name).read_text()
    assert {package for package in ARROWS if package not in text} == set()
    of_the_rules = FLOORS["bcr"]  # all that there is room for in the picture
    rooms = of_the_rules if name.endswith(".svg") else [room for _, room in ROOMS]
    assert {room for room in rooms if not re.search(rf"\b{room}\b", text)} == set()


ROW = re.compile(r"(?m)^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|")


def test_each_name_of_the_code_in_the_glossary_is_in_the_code():
    rows = ROW.findall((PROJECT / "docs" / "glossary.md").read_text())
    names = {name for _, code, _ in rows for name in re.findall(r"`([\w.]+)`", code)}
    assert len(names) > 20
    sources = "\n".join(path.read_text() for path in [*PROTOCOL, *SOURCES.rglob("*.py")])
    assert {name for name in names if not re.search(rf"\b{name.rpartition('.')[2]}\b", sources)} == set()


# -- the .da files


@cache
def parsed(source):
    """The tree of a .da text: labels blanked, and `await(…)`, which is a name there, called otherwise."""
    return ast.parse(re.sub(r"\bawait\s*\(", "await_(", re.sub(r"(?m)^\s*-- .*$", "", source)))


@functools.cache
def processes_of(path):
    return processes(parsed(path.read_text()))


def processes(tree):
    return [node for node in tree.body if isinstance(node, ast.ClassDef)]


def state_of(process):
    """The names that are the process's state: what setup takes, and what is assigned to self."""
    names = set()
    for node in ast.walk(process):
        if isinstance(node, ast.FunctionDef) and node.name == "setup":
            names |= {argument.arg for argument in node.args.args}
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names |= {node.attr} if names_in(node.value) == {"self"} else set()
    return names


def names_in(node):
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def local_names(process):
    """Name and line of what is meant to be local: targets of loops, several targets at once, patterns, parameters."""
    for function in [node for node in process.body if isinstance(node, ast.FunctionDef) and node.name != "setup"]:
        for node in ast.walk(function):
            names = set()
            if isinstance(node, (ast.For, ast.comprehension)):
                names = names_in(node.target)
            elif isinstance(node, ast.Assign):
                names = {name for target in node.targets if isinstance(target, ast.Tuple) for name in names_in(target)}
            elif isinstance(node, ast.With):
                names = {name for item in node.items if item.optional_vars for name in names_in(item.optional_vars)}
            elif isinstance(node, ast.ExceptHandler):
                names = {node.name}
            elif isinstance(node, (ast.FunctionDef, ast.Lambda)) and getattr(node, "name", "") != "receive":
                names = {argument.arg for argument in node.args.args}
            elif isinstance(node, ast.FunctionDef):
                names = {name for pattern in node.args.defaults for name in names_in(pattern)}
            line = function.lineno if isinstance(node, ast.comprehension) else node.lineno if names else 0
            yield from ((name, line) for name in names)


def shadowing(source, inherited=frozenset()):
    """What a local name of a process method shadows, as `process.name in line …`."""
    return sorted(
        f"{process.name}.{name} in line {line}"
        for process in processes(parsed(source))
        for name, line in local_names(process)
        if name in state_of(process) | inherited
    )


def methods_of(process):
    return {node.name for node in process.body if isinstance(node, ast.FunctionDef)}


def assigned_over_methods(source, inherited=frozenset()):
    """What a process assigns that is the name of a method, as `process.name in line …`."""
    return sorted(
        f"{process.name}.{node.id} in line {node.lineno}"
        for process in processes(parsed(source))
        for node in ast.walk(process)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in methods_of(process) | inherited
    )


@functools.cache
def ancestors(path):
    """The processes of other files that those of this file are made from."""
    found = []
    bases = {base.id for process in processes_of(path) for base in process.bases} - {"process"}
    for other in PROTOCOL:
        for process in processes_of(other) if other != path else ():
            if process.name in bases:
                found += [process, *ancestors(other)]
    return found


def test_the_processes_that_misbehave_are_made_from_those_that_do_not():
    names = {path.name: [process.name for process in ancestors(path)] for path in PROTOCOL}
    assert names["Participant.da"] == []
    assert names["Replica.da"] == ["ChainProcess", "Participant"]
    assert names["OlympusProcess.da"] == names["ClientProcess.da"] == ["Participant"]
    assert names["Issuer.da"] == ["OlympusProcess", "Participant"]
    assert names["ClientSession.da"] == ["ClientProcess", "Participant"]
    assert names["Client.da"] == ["ClientSession", "ClientProcess", "Participant"]
    assert names["Olympus.da"] == ["Issuer", "OlympusProcess", "Participant"]
    assert names["Maker.da"] == ["Olympus", "Issuer", "OlympusProcess", "Participant"]
    assert names["Byzantine.da"] == ["Replica", "ChainProcess", "Participant"]
    assert names["Adversary.da"] == ["ByzantineReplica", "Replica", "ChainProcess", "Participant"]
    assert names["ByzantineClient.da"] == ["Client", "ClientSession", "ClientProcess", "Participant"]
    assert set(names["Gateway.da"]) == {"GatewayProcess", "Client", "ClientSession", "ClientProcess", "Participant"}
    assert set(names["RaftGateway.da"]) == {"GatewayProcess", "RaftClient", "ClientProcess", "Participant"}


@pytest.mark.parametrize("path", PROTOCOL, ids=lambda path: path.name)
def test_nothing_is_assigned_to_the_name_of_a_method(path):
    """To DistAlgo that name is the process's from then on: `record = …` in one method takes `record(…)` from all."""
    inherited = {name for process in ancestors(path) for name in methods_of(process)}
    assert not assigned_over_methods(path.read_text(), inherited)


def test_the_check_finds_a_method_that_is_assigned_over():
    source = "class P(process):\n    def record():\n        pass\n    def other():\n        record = 1\n"
    assert assigned_over_methods(source) == ["P.record in line 5"]


def inherited_state(path):
    return {name for process in ancestors(path) for name in state_of(process)}


@pytest.mark.parametrize("path", PROTOCOL, ids=lambda path: path.name)
def test_no_local_name_of_a_process_method_is_a_state_variable(path):
    """DistAlgo would assign the state variable: `for (client, number) in …` sets self.number where number is state."""
    assert not shadowing(path.read_text(), inherited_state(path))


def assigned_for_nobody(source, inherited=frozenset()):
    """Names that a method assigns, that it does not read and that are no state, as `process.name in line …`."""
    return sorted(
        f"{process.name}.{node.id} in line {node.lineno}"
        for process in processes(parsed(source))
        for function in process.body
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id != "_"
        and node.id not in state_of(process) | inherited | names_read(function)
    )  # fmt: skip


def names_read(function):
    return {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


@pytest.mark.parametrize("path", PROTOCOL, ids=lambda path: path.name)
def test_whatever_a_process_assigns_is_read_or_state(path):
    """`has_moved = True` in a base whose setup does not have it changes nothing: to DistAlgo it is a local name."""
    assert not assigned_for_nobody(path.read_text(), inherited_state(path))


def test_the_check_finds_what_is_assigned_for_nobody():
    source = "class P(process):\n    def setup(x):\n        pass\n    def run():\n        moved = True\n"
    assert assigned_for_nobody(source) == ["P.moved in line 5"]
    assert not assigned_for_nobody(source, {"moved"})


@pytest.mark.parametrize(
    "body",
    ["for (client, number) in pairs:\n            pass", "(number, other) = pair", "x = [number for number in pairs]",
     "f = lambda number: 1", "with a as number:\n            pass"],
)  # fmt: skip
def test_the_check_finds_a_state_variable_that_is_shadowed(body):
    process = f"class P(process):\n    def setup(x):\n        self.number = 0\n    def run():\n        -- label\n        {body}\n"
    assert [each.partition(" ")[0] for each in shadowing(process)] == ["P.number"]
    handler = "class P(process):\n    def setup(number):\n        pass\n    def receive(msg=('m', number)):\n        pass\n"
    assert shadowing(handler) == ["P.number in line 4"]


# -- the seams: all methods by which somebody else takes hold of a process

TAKE_HOLD = {
    "Byzantine.da",
    "Adversary.da",
    "ByzantineClient.da",
    "Gateway.da",
    "GatewayProcess.da",
    "RaftGateway.da",
    "RaftLaboratory.da",
    "BraftGateway.da",
    "BraftLaboratory.da",
    "Hosts.da",
    "Laboratory.da",
    "Maker.da",
    "RaftFaults.da",
    "BraftFaults.da",
}
ROLES = {"Participant.da", "OlympusProcess.da", "Issuer.da", "Olympus.da", "ChainProcess.da", "Replica.da", "ClientProcess.da", "ClientSession.da",
         "Client.da", "RaftProcess.da", "Raft.da", "RaftChanges.da", "RaftClient.da", "BraftProcess.da", "Braft.da", "BraftRepair.da",
         "BraftClient.da"}  # fmt: skip


def seams():
    """The list that Participant.da declares: name of a method -> what it is there for."""
    tree = parsed((SOURCES / "Participant.da").read_text())
    [listed] = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "SEAMS"]
    return ast.literal_eval(listed)


def overridden(path):
    """Methods of a role that the processes of this file have of their own."""
    of_roles = {
        name
        for process in ancestors(path)
        if process.name + ".da" in ROLES
        or process.name in {"Olympus", "Replica", "Client", "Server", "ChangingServer", "BraftServer", "LastingServer"}
        for name in methods_of(process)
    }
    own = {name for process in processes(parsed(path.read_text())) for name in methods_of(process)}
    return (own & of_roles) - {"setup", "receive"}


def taken_hold_of():
    return {name for path in PROTOCOL if path.name in TAKE_HOLD for name in overridden(path)}


def test_nobody_overrides_a_method_of_a_role_that_is_no_seam():
    assert {path.name for path in PROTOCOL} == ROLES | TAKE_HOLD | {
        "StartUp.da",
        "RunSystem.da",
        "RaftHarness.da",
        "BraftHarness.da",
        "Service.da",
        "RaftService.da",
        "BraftService.da",
    }
    wrong = {path.name: overridden(path) - set(seams()) for path in PROTOCOL if path.name in TAKE_HOLD}
    assert not {name: methods for name, methods in wrong.items() if methods}


def test_every_seam_is_a_method_that_somebody_takes_hold_of():
    roles = {name for path in PROTOCOL if path.name in ROLES
             for process in processes(parsed(path.read_text())) for name in methods_of(process)}  # fmt: skip
    assert set(seams()) <= roles
    assert set(seams()) - {"happened"} == taken_hold_of()
    assert all(seams().values())


def replaced_by(source):
    """Attributes that a module assigns to, or by setattr, of what it imports from a process file."""
    tree = ast.parse(source)
    files = {path.stem for path in PROTOCOL}
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
        if (getattr(node, "module", None) or alias.name) in files
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and names_in(node.value) & names:
            yield node.attr
        if isinstance(node, ast.Call) and names_in(node.func) == {"setattr"} and names_in(node.args[0]) & names:
            yield ast.unparse(node.args[1])


def test_the_simulator_replaces_the_one_seam_that_is_there_for_it():
    found = {name for module in SOURCES.rglob("*.py") for name in replaced_by(module.read_text())}
    assert found == {"happened"}


def test_the_check_finds_a_method_that_is_replaced_by_name():
    assert list(replaced_by("from Replica import Replica\nReplica.execute = print\n")) == ["execute"]
    assert list(replaced_by("from Client import Client as C\nsetattr(C, 'finish', print)\n")) == ["'finish'"]
    assert not list(replaced_by("from bcr.x import Replica\nReplica.execute = print\n"))


@pytest.mark.parametrize("name", sorted(ROLES - {"Participant.da"}))
def test_no_role_knows_of_byzantine_processes(name):
    """Participant.da alone says who takes hold of a process, and by what."""
    assert not re.findall(r"(?i)byzantine|malicious|\binject\w*|bcr\.faults", (SOURCES / name).read_text())


@pytest.mark.parametrize("name", ["ChainProcess.da", "Replica.da"])
def test_nothing_in_the_replica_is_a_failure(name):
    from bcr.faults.vocabulary import FAILURES

    source = (SOURCES / name).read_text()
    assert "bcr.scenario" not in source
    words = names_in(parsed(source)) | {
        node.attr for node in ast.walk(parsed(source)) if isinstance(node, ast.Attribute)
    } | {node.value for node in ast.walk(parsed(source)) if isinstance(node, ast.Constant)}  # fmt: skip
    # How long it waits for its timers, what becomes of a message that shows nothing about anybody, and that it asks Olympus.
    assert words & set(FAILURES) <= {"pause", "drop", "ask"}


# -- the pages of pseudocode


def file_of(page):
    return SOURCES / f"{page.stem.capitalize()}.da"


# A server's rules, and those for messages that were lost; and those by which servers come and go.
GOES_ON = {"Braft.da": [SOURCES / "BraftRepair.da"], "Raft.da": [SOURCES / "RaftChanges.da"]}


def source_of(page):
    """The text of the page's file, behind that of the files whose process classes it is made from, with what goes on from it."""
    file = file_of(page)
    return "\n".join(path.read_text() for path in [*with_bases(file), *GOES_ON.get(file.name, [])])


def with_bases(path):
    text = path.read_text()
    bases = {base.id for process in processes(parsed(text)) for base in process.bases if isinstance(base, ast.Name)}
    files = [SOURCES / f"{base}.da" for base in sorted(bases - {"process"})]
    return [each for file in files for each in with_bases(file)] + [path]


def messages_of(source):
    """The message names of a .da text: patterns' first words, and what is given as a message's name."""
    return set(re.findall(r"'([a-z]+(?:_[a-z]+)*)'", source))


def test_each_protocol_file_has_its_page():
    assert [file_of(page).name for page in PAGES] == ["Braft.da", "Client.da", "Olympus.da", "Raft.da", "Replica.da"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_labels_of_a_page_are_those_of_its_file(page):
    on_page = re.findall(r"(?m)^\s*-- (\w+)", page.read_text())
    in_file = re.findall(r"(?m)^\s*-- (\w+)", source_of(page))
    assert on_page
    assert set(on_page) == set(in_file)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_messages_of_a_page_are_those_of_its_file(page):
    text = re.sub(r"\([^)]*\)", "", page.read_text())  # remarks, not rules
    on_page = set(re.findall(r"(?m)^on (\w+)", text)) | set(re.findall(r"\bsend ([a-z]+(?:_[a-z]+)*)", text))
    assert on_page
    assert on_page <= messages_of(source_of(page))


# -- the argument why it is safe

SAFETY = PROJECT / "docs" / "safety.md"


@cache
def owners_and_names():
    """What the source defines: (class or module, name) of each function, class, field and constant, and names alone."""
    pairs, bases = set(), {}
    for path in [*PROTOCOL, *(SOURCES / "bcr").rglob("*.py"), *(SOURCES / "bcr_sim").glob("*.py")]:
        tree = parsed(path.read_text()) if path.suffix == ".da" else ast.parse(path.read_text())
        pairs |= {(path.stem, name) for node in tree.body for name in defined_by(node)}
        for owner in [node for node in tree.body if isinstance(node, ast.ClassDef)]:
            pairs |= {(owner.name, name) for node in owner.body for name in defined_by(node)}
            pairs |= {(owner.name, node.attr) for node in ast.walk(owner)
                      if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}  # fmt: skip
            bases[owner.name] = [base.id for base in owner.bases if isinstance(base, ast.Name)]
    return pairs, bases


def defined_by(node):
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def unknown_names(text):
    """Backticked names of the text that the source does not have: `owner.name`, or a name with an underscore alone."""
    pairs, bases = owners_and_names()
    names = {name for pair in pairs for name in pair}

    def has(owner, name):
        return (owner, name) in pairs or any(has(base, name) for base in bases.get(owner, ()))

    words = set(re.findall(r"`([A-Za-z_]+(?:\.[A-Za-z_]+)?)`", text))
    dotted = {word for word in words if "." in word and not word.endswith(".py")}
    alone = {word for word in words if "_" in word and "." not in word} - names
    keys = set(re.findall(r'"([a-z_]+)"', (SOURCES / "bcr" / "scenario" / "reading.py").read_text()))
    return {word for word in dotted if not has(*word.split("."))} | alone - keys


def test_the_functions_on_which_the_argument_rests_are_there():
    assert not unknown_names(SAFETY.read_text())


def test_the_check_finds_a_function_that_is_not_there():
    assert unknown_names("`Replica.extend`, `Replica.record`, `on_shuttle`") == set()
    assert unknown_names("`Replica.exceed`, `proofs.check`, `on_nothing`") == {
        "Replica.exceed",
        "proofs.check",
        "on_nothing",
    }


def test_the_checks_that_the_argument_names_are_there():
    text = SAFETY.read_text()
    noticed = " ".join(re.findall(r"(?s)\*Noticed by:\* (.*?)\n\n", text))
    bugs = {re.sub(r"\s+", " ", name) for name in re.findall(r'"([^"]+)"', noticed)}
    known = set(re.findall(r"(?m)^- name: (.*)$", (SOURCES / "bcr_sim" / "bugs.yaml").read_text()))
    assert bugs
    assert bugs <= known
    told = "".join((SOURCES / "bcr_sim" / name).read_text() for name in ("oracle.py", "properties.py"))
    properties = {name for name in re.findall(r"`([a-z]+(?: [a-z]+)*)`", noticed) if name != "linearizability"}
    assert properties
    assert properties <= set(re.findall(r'tell\(\s*"([a-z ]+)"', told))
    assert all((PROJECT / path).is_file() for path in re.findall(r"`((?:config|tests|src)/[\w/.]+)`", text))


# -- every file


def our_files():
    for path in sorted(PROJECT.rglob("*")):
        parts = set(path.relative_to(PROJECT).parts) - HIDDEN_BUT_OURS
        if path.is_file() and not NOT_OURS & parts and not any(part.startswith(".") for part in parts):
            yield path


def test_no_file_names_a_package_registry_or_a_path_of_one_machine():
    registry = r"py" + r"pi\.|pythonho" + r"sted|anaconda\.org|conda-" + r"forge"
    machine = r"(?<![\w.])/(?:root|home|work|Users|mnt|opt)/\w"
    wrong = {}
    for path in our_files():
        found = re.search(f"{registry}|{machine}", path.read_bytes().decode("utf-8", "ignore"))
        if found:
            wrong[name_of(path)] = found.group()
    assert not wrong


@pytest.mark.parametrize("path", sorted([*SOURCES.rglob("*.py"), *PROTOCOL]), ids=name_of)
def test_a_source_file_has_some_450_lines_and_never_more_than_500(path):
    assert len(path.read_text().split("\n")) <= 500
