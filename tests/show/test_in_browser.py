"""The page in a browser: its script runs under the page's own policy, and a violation is followed to its evidence."""

import re

import pytest
from selenium.webdriver.common.by import By

from bcr_show.evidence import violations_of
from bcr_show.moments import moments_of
from bcr_show.page import page_of
from bcr_show.run_reading import read_run


@pytest.fixture(scope="module")
def address(tmp_path_factory, lying_tail):
    file = tmp_path_factory.mktemp("page") / "index.html"
    file.write_text(page_of(read_run(lying_tail)))
    return file.as_uri()


@pytest.fixture
def at(browser, address):
    """Goes to a place of the page, in a window so wide."""

    def go(anchor, width=1200):
        browser.set_window_size(width, 900)
        browser.get("about:blank")
        browser.get(f"{address}#{anchor}")
        return browser

    return go


@pytest.fixture(scope="module")
def violation(lying_tail):
    return violations_of(moments_of(read_run(lying_tail)))[0]


def place_of(page):
    return page.current_url.partition("#")[2]


def is_in_window(page, element):
    bounds = page.execute_script("const r = arguments[0].getBoundingClientRect(); return [r.top, r.bottom, innerHeight]", element)
    return 0 <= bounds[0] < bounds[2]


def test_a_violation_is_followed_to_its_evidence_and_that_to_the_message(at, violation):
    """By clicks, as somebody who reads does it: line of the violation, evidence, message in the diagram."""
    page = at("moments")
    page.find_element(By.CSS_SELECTOR, f"#moments a[href='#{violation.evidence}']").click()
    assert place_of(page) == violation.evidence
    evidence = page.find_element(By.ID, violation.evidence)
    assert is_in_window(page, evidence)
    message = next(a for a in evidence.find_elements(By.TAG_NAME, "a") if re.search(r"#m\d+$", a.get_attribute("href")))
    named = message.get_attribute("href").partition("#")[2]
    message.click()
    assert place_of(page) == named
    arrow = page.find_element(By.ID, named)
    assert {"chosen", "k-alarm"} <= set(arrow.get_attribute("class").split())


def test_the_place_of_a_moment_in_the_diagram_is_marked_and_told(at, violation):
    told = at("story").find_element(By.TAG_NAME, "body").text.count(violation.text)
    page = at(f"p{violation.number}")
    assert page.find_elements(By.CSS_SELECTOR, ".p-violation.chosen")
    assert page.find_element(By.TAG_NAME, "body").text.count(violation.text) > told


SIDES = """const text = document.querySelector(".tick text"), frame = document.getElementById("scroller");
text.textContent = "-1,234,567.89";
return [text.getBoundingClientRect().left - frame.getBoundingClientRect().left, frame.scrollLeft, frame.scrollWidth - frame.clientWidth];"""


@pytest.mark.parametrize("width", [900, 1600])
def test_the_first_time_of_the_diagram_is_whole_and_all_of_it_fits_the_window(at, width):
    page = at("diagram", width)
    assert page.execute_script(SIDES)[0] >= 0
    page.find_element(By.CSS_SELECTOR, "button[data-zoom='fit']").click()
    left, scrolled, hidden = page.execute_script(SIDES)
    assert (left >= 0, scrolled, hidden) == (True, 0, 0)


@pytest.mark.parametrize("width", [500, 1600])
def test_the_diagram_is_laid_out_by_the_script_for_the_width_that_there_is(at, width):
    picture = at("story", width).find_element(By.CLASS_NAME, "spacetime")
    places = [float(each) for each in picture.get_attribute("data-px").split()]
    is_fitted = places[-1] < 2.2 * width
    assert (float(picture.get_attribute("width")) < width) == is_fitted


def test_no_place_of_the_page_is_an_error_to_its_script(at):
    at("story")
    assert [entry for entry in at("diagram").get_log("browser") if entry["level"] == "SEVERE"] == []
