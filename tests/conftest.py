"""What all tests share: the flag by which golden runs are renewed."""


def pytest_addoption(parser):
    parser.addoption("--renew", action="store_true", help="write the stories in tests/golden anew; look at the difference")
