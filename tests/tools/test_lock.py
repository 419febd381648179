"""The lock pins everything by name, version and hash, and knows no address."""

import re
import tomllib

import pytest
from checkout import PROJECT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bcr_run.extras import EXTRAS
from bcr_tools import lock

LOCKS = [lock.path_of(extra) for extra in ("", *EXTRAS)]
TEXTS = {path: path.read_text() for path in LOCKS}
SETTINGS = tomllib.loads((PROJECT / "pyproject.toml").read_text())

every_lock = pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)


def entries(path):
    """Each requirement with its hashes, over as many lines as they take."""
    return [entry for entry in re.split(r"\n(?! )", TEXTS[path]) if entry and not entry.startswith("#")]


def pinned(path):
    requirements = [Requirement(entry.partition(" \\\n")[0]) for entry in entries(path)]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


@every_lock
def test_every_requirement_is_one_version_with_hashes(path):
    for entry in entries(path):
        first, *hashes = [line.rstrip(" \\").strip() for line in entry.splitlines()]
        assert re.fullmatch(r"[a-z0-9.-]+==[^\s;*]+( ; .+)?", first)
        assert hashes
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes), first


@every_lock
def test_it_holds_no_address_no_path_and_no_option_of_an_index(path):
    assert "://" not in TEXTS[path]
    for line in "\n".join(entries(path)).splitlines():
        assert not re.search(r"(^|\s)([/~.]|--(?!hash=))", line)


def asked_for(extra):
    optional = SETTINGS["project"]["optional-dependencies"]
    return [*SETTINGS["project"]["dependencies"], *(optional[extra] if extra else ())]


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_it_holds_all_that_running_or_an_extra_asks_for(extra):
    locked = pinned(lock.path_of(extra))
    wanted = asked_for(extra) + (SETTINGS["build-system"]["requires"] if extra == "test" else [])
    for requirement in map(Requirement, wanted):
        [exact] = locked[canonicalize_name(requirement.name)].specifier
        assert requirement.specifier.contains(exact.version), requirement


def test_a_package_has_the_same_version_in_every_lock():
    def versions(path):  # but for where it is needed, for which others may have reasons too
        return {name: requirement.specifier for name, requirement in pinned(path).items()}

    running = versions(lock.path_of(""))
    for path in LOCKS:
        assert running.items() <= versions(path).items()


def test_what_running_needs_is_nothing_else():
    """Twelve packages: those of pyproject.toml, and what three of them stand on."""
    beside = {"cffi", "pycparser", "markdown-it-py", "mdurl", "pygments"}
    assert set(pinned(lock.path_of(""))) == {canonicalize_name(Requirement(each).name) for each in asked_for("")} | beside


def test_what_checks_signatures_sooner_takes_three_packages_more():
    """Solders, and what it stands on."""
    assert set(pinned(lock.path_of("fast"))) - set(pinned(lock.path_of(""))) == {"solders", "jsonalias", "typing-extensions"}


def test_an_index_set_up_for_pip_is_the_resolvers_too(tmp_path):
    stand_in = tmp_path / "python"
    stand_in.write_text(
        "#!/bin/sh\necho \"global.index-url='first'\"\necho \"global.extra-index-url='extra'\"\necho \"install.index-url='second'\"\n"
    )
    stand_in.chmod(0o755)
    assert lock.index_of_pip(str(stand_in)) == {"UV_DEFAULT_INDEX": "second"}


def test_a_resolver_that_fails_changes_nothing_and_says_why(monkeypatch, capsys):
    def failing(folder):
        raise lock.subprocess.CalledProcessError(1, "resolver", stderr="no versions of it\n")

    monkeypatch.setattr(lock, "resolve", failing)
    assert lock.main([]) == 1
    assert capsys.readouterr().err.startswith("no versions of it\nbcr lock: failed")
    assert {path: path.read_text() for path in LOCKS} == TEXTS


def test_an_address_is_never_written(monkeypatch, capsys):
    monkeypatch.setattr(lock, "resolve", lambda folder: {"": "thing==1\n", "test": "thing @ https://example.invalid/thing.whl\n"})
    assert lock.main([]) == 1
    assert "wrote an address" in capsys.readouterr().err
    assert {path: path.read_text() for path in LOCKS} == TEXTS
