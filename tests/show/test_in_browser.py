"""The page in a browser: its script runs under the page's own policy, and a violation is followed to its evidence.

Needs Chromium, which Debian has as `chromium`; it is asked for the page as it is after its script has run.
"""

import os
import re
import shutil
import signal
import subprocess

import pytest
from show.conftest import Page

from bcr_show.evidence import violations_of
from bcr_show.moments import moments_of
from bcr_show.page import page_of
from bcr_show.run_reading import read_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LIMIT_S = 120  # there for a hang

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")


@pytest.fixture
def seen(tmp_path, lying_tail):
    """The page as a browser has it that went to a place of it."""
    file = tmp_path / "index.html"
    file.write_text(page_of(read_run(lying_tail)))

    def at(anchor, width=1200):
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
                   f"--window-size={width},900", "--virtual-time-budget=2000", "--dump-dom", f"file://{file}#{anchor}"]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as process:
            try:
                text, _ = process.communicate(timeout=LIMIT_S)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        return Page(text.decode().removeprefix("<!DOCTYPE html>"))

    return at


def told(page):
    """What the line below the diagram says."""
    return re.sub(r"\s+", " ", page.text)


def test_a_violation_is_followed_to_its_evidence_and_that_to_the_message(seen, lying_tail):
    violation = violations_of(moments_of(read_run(lying_tail)))[0]
    page = seen(violation.evidence)
    assert violation.evidence in page.anchors()
    message = next(link for link in sorted(page.links()) if re.fullmatch(r"m\d+", link))
    there = seen(message)
    [chosen] = [each for each in there.of_class("chosen") if each.get("id")]
    assert chosen["id"] == message
    assert "k-alarm" in chosen["class"]


def test_the_place_of_a_moment_in_the_diagram_is_marked_and_told(seen, lying_tail):
    moment = violations_of(moments_of(read_run(lying_tail)))[0]
    page = seen(f"p{moment.number}")
    assert [each for each in page.of_class("p-violation") if "chosen" in each["class"].split()]
    assert page.text.count(moment.text) > seen("story").text.count(moment.text)


@pytest.mark.parametrize("width", [500, 1600])
def test_the_diagram_is_laid_out_by_the_script_for_the_width_that_there_is(seen, width):
    [picture] = list(seen("story", width).of_class("spacetime"))
    places = [float(each) for each in picture["data-px"].split()]
    is_fitted = places[-1] < 2.2 * width
    assert (float(picture["width"]) < width) == is_fitted
