"""What all tests share: signals that arrive, the flag by which golden runs are renewed, and a browser."""

import shutil
import signal

import pytest
from hypothesis import HealthCheck, settings

# Examples are drawn the same way in every run, and neither they nor their drawing is judged by time: the machine may be busy.
settings.register_profile("bcr", deadline=None, derandomize=True, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bcr")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
QUIET = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage")  # fmt: skip


def pytest_addoption(parser):
    parser.addoption("--renew", action="store_true", help="write the stories in tests/golden anew; look at the difference")


def pytest_configure():
    """A shell has what it starts in the background ignore these two, and so would everything that tests start and interrupt."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture
def browser(chromium):
    """A browser that shows no page yet, and whose log is empty; a page does not go on when its test has ended."""
    chromium.get_log("browser")
    yield chromium
    chromium.get("about:blank")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """Debian's Chromium, driven by Selenium."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no browser with its driver on this machine: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (*QUIET, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()
