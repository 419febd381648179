"""The lock pins everything by name, version and hash, and knows no address."""

import re
import tomllib

from checkout import PROJECT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bcr_tools import lock

TEXT = (PROJECT / "requirements.lock").read_text()
# One requirement with its hashes, over as many lines as they take.
ENTRIES = [entry for entry in re.split(r"\n(?! )", TEXT) if entry and not entry.startswith("#")]


def pinned():
    requirements = [Requirement(entry.partition(" \\\n")[0]) for entry in ENTRIES]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def test_every_requirement_is_one_version_with_hashes():
    for entry in ENTRIES:
        first, *hashes = [line.rstrip(" \\").strip() for line in entry.splitlines()]
        assert re.fullmatch(r"[a-z0-9.-]+==[^\s;*]+( ; .+)?", first)
        assert hashes
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes), first


def test_it_holds_no_address_no_path_and_no_option_of_an_index():
    assert "://" not in TEXT
    for line in "\n".join(ENTRIES).splitlines():
        assert not re.search(r"(^|\s)([/~.]|--(?!hash=))", line)


def test_it_holds_all_that_the_project_its_tests_and_its_build_ask_for():
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    wanted = [*settings["project"]["dependencies"], *settings["project"]["optional-dependencies"]["test"]]
    locked = pinned()
    for requirement in map(Requirement, [*wanted, *settings["build-system"]["requires"], *lock.BUILD]):
        [exact] = locked[canonicalize_name(requirement.name)].specifier
        assert requirement.specifier.contains(exact.version), requirement


def test_an_index_set_up_for_pip_is_the_resolvers_too(tmp_path):
    stand_in = tmp_path / "python"
    stand_in.write_text(
        "#!/bin/sh\n"
        "echo \"global.index-url='first'\"\n"
        "echo \"global.extra-index-url='extra'\"\n"
        "echo \"install.index-url='second'\"\n"
    )
    stand_in.chmod(0o755)
    assert lock.index_of_pip(str(stand_in)) == {"UV_DEFAULT_INDEX": "second"}


def test_a_resolver_that_fails_changes_nothing_and_says_why(monkeypatch, capsys):
    def failing(folder):
        raise lock.subprocess.CalledProcessError(1, "resolver", stderr="no versions of it\n")

    monkeypatch.setattr(lock, "resolve", failing)
    assert lock.main([]) == 1
    assert capsys.readouterr().err.startswith("no versions of it\nbcr lock: failed")
    assert (PROJECT / "requirements.lock").read_text() == TEXT


def test_an_address_is_never_written(monkeypatch, capsys):
    monkeypatch.setattr(lock, "resolve", lambda folder: "thing @ https://example.invalid/thing.whl\n")
    assert lock.main([]) == 1
    assert "wrote an address" in capsys.readouterr().err
    assert (PROJECT / "requirements.lock").read_text() == TEXT
