import json

import pytest
from serving import served

from bcr_client import Store


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    with served(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="session")
def olympus_key(service):
    return json.loads(service.ask("GET", "/configuration")[2])["olympus_key"]


@pytest.fixture
def store(service, olympus_key):
    with Store(service.url, olympus_key) as opened:
        yield opened
