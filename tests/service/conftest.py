import json

import pytest
from serving import served


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    with served(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="session")
def olympus_key(service):
    return json.loads(service.ask("GET", "/configuration")[2])["olympus_key"]
