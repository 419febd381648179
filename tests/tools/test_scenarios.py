"""testing.txt against config/ and config/attacks/: that it names every scenario, each as its file is now."""

from bcr_runtime.places import PROJECT, SERVICE
from bcr_tools.scenarios import TESTING, scenario_files

FILES = scenario_files()


def test_testing_txt_tells_of_exactly_the_files_of_config():
    told = [line.split()[-1] for line in TESTING.read_text().splitlines() if line.startswith("file:")]
    assert told == [path.relative_to(PROJECT).as_posix() for path in FILES]


def test_every_scenario_of_config_is_among_them_whatever_its_folder():
    assert set(FILES) == {path for path in (PROJECT / "config").rglob("*") if path.is_file() and path != SERVICE}


def test_testing_txt_says_what_each_file_says_that_it_shows():
    text = " ".join(TESTING.read_text().split())
    for path in FILES:
        comment = [line.removeprefix("#").strip() for line in path.read_text().split("\n\n")[0].splitlines() if line[:1] == "#"]
        assert comment, f"{path.name} does not say what it shows"
        assert comment[0] in text, path.name
