"""The import of `.da` files: which bytecode is taken, and where it lies."""

import importlib
import importlib.util
import os
import sys

import da
import pytest
from da import common
from da.importer import da_cache_from_source
from running import run_da

from dacurrent import hook, importer

PROGRAM = "def main(): output('says', {!r})\n"


@pytest.fixture(autouse=True)
def bytecode_beside_its_source(monkeypatch):
    monkeypatch.setattr(sys, "pycache_prefix", None)


def run(folder, *options):
    # The tests' own environment may forbid bytecode.
    return run_da(folder, *options, "program.da", PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX="").stdout


def bytecode(folder):
    return sorted(path.name for path in (folder / "__pycache__").glob("program.*"))


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.da"
    path.write_text(PROGRAM.format("one"))
    return path


def rewrite_unseen(path, text):
    """Change the file's text, leaving all that Python checks of it: its size and its time."""
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def test_bytecode_is_written_once_and_taken_again(tmp_path, program):
    assert "compiled with" in run(tmp_path)
    assert "compiled with" not in run(tmp_path)
    assert "OUTPUT: says one" in run(tmp_path)


def test_the_name_of_the_bytecode_holds_the_versions_of_python_distalgo_and_this_layer(tmp_path, program):
    run(tmp_path)
    assert bytecode(tmp_path) == [f"program.{sys.implementation.cache_tag}.da-{common.__version__}-{importer.layer_tag()}.pyc"]
    assert da_cache_from_source(str(program)) == str(tmp_path / "__pycache__" / bytecode(tmp_path)[0])


def test_a_change_of_this_layer_changes_the_tag(monkeypatch, tmp_path):
    before = importer.layer_tag()
    (tmp_path / "importer.py").write_text("changed")
    monkeypatch.setattr(importer, "__file__", str(tmp_path / "importer.py"))
    assert importer.layer_tag() != before


def test_bytecode_of_the_stock_importer_or_of_python_is_not_taken(tmp_path, program):
    run(tmp_path)
    (ours,) = (tmp_path / "__pycache__").glob("program.*")
    plain = importlib.util.cache_from_source(str(program))
    for stale in (plain, plain.replace(".pyc", f".da-{common.__version__}.pyc")):
        os.replace(ours, stale)
        assert "compiled with" in run(tmp_path)


def test_an_edited_source_is_compiled_again(tmp_path, program):
    run(tmp_path)
    program.write_text(PROGRAM.format("another"))
    assert "OUTPUT: says another" in run(tmp_path)


def test_recompile_takes_no_bytecode(tmp_path, program):
    run(tmp_path)
    rewrite_unseen(program, PROGRAM.format("two"))
    assert "OUTPUT: says one" in run(tmp_path)
    assert "OUTPUT: says two" in run(tmp_path, "--recompile")
    assert "OUTPUT: says two" in run(tmp_path)


def test_a_da_file_is_preferred_to_a_python_file_of_the_same_name(tmp_path, program):
    (tmp_path / "program.py").write_text("raise SystemExit('the wrong one')\n")
    assert "OUTPUT: says one" in run(tmp_path)


def test_a_module_beside_one_that_was_imported_before_is_found(tmp_path):
    """The finder of a folder that was searched before knows nothing of `.da` unless the cache is cleared."""
    (tmp_path / "plain_neighbour.py").write_text("x = 1\n")
    (tmp_path / "da_neighbour.da").write_text("import plain_neighbour\nx = plain_neighbour.x + 1\n")
    source = "import sys; sys.path.insert(0, '.'); import plain_neighbour, da, da_neighbour; print(da_neighbour.x)"
    (tmp_path / "start.py").write_text(source)
    assert run_da(tmp_path, module="start").stdout.splitlines()[-1] == "2"


def test_a_loaded_module_is_registered_with_distalgo(tmp_path, monkeypatch):
    (tmp_path / "registered.da").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("registered")
    assert da.modules["registered"] is module


def test_tracebacks_show_the_lines_of_the_da_file(tmp_path, program):
    program.write_text("x = 1\n\n\ny = x / 0\ndef main(): pass\n")
    done = run(tmp_path)
    assert 'program.da", line 4, in <module>' in done
    assert "y = x / 0" in done


def test_the_hook_leaves_a_foreign_package_of_the_same_name_alone(tmp_path):
    (tmp_path / "da").mkdir()
    (tmp_path / "da" / "__init__.py").write_text("")
    (tmp_path / "da" / "common.py").write_text("foreign = True\n")
    (tmp_path / "da" / "__main__.py").write_text("from da import common\nprint(common.foreign)\n")
    done = run_da(tmp_path)
    assert (done.returncode, done.stdout) == (0, "True\n")


def test_the_hook_is_installed_once():
    hook.install()
    assert sum(isinstance(finder, hook.Finder) for finder in sys.meta_path) == 1
    assert not any(getattr(finder, "__name__", "") == "DistAlgo" for finder in sys.meta_path)


def test_a_python_that_does_not_import_da_loads_nothing_of_the_layer(tmp_path):
    loaded = "(name for name in sys.modules if name.split('.')[0] in ('da', 'dacurrent'))"
    (tmp_path / "loaded.py").write_text(f"import sys; print(*{loaded})")
    assert run_da(tmp_path, module="loaded").stdout.split() == []


def test_that_a_file_was_compiled_is_said_to_who_wants_information_and_problems_to_all(tmp_path, program):
    quiet = ("-L", "warning", "--recompile")
    assert "compiled with 0 errors" in run_da(tmp_path, "--recompile", program).stdout
    assert "compiled with" not in run_da(tmp_path, *quiet, program).stdout
    program.write_text(program.read_text().replace("def main():", "def main():\n    self.x = = 1"))
    assert "SyntaxError: invalid syntax" in run_da(tmp_path, *quiet, program).stdout
