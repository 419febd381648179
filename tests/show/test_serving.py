"""All runs are listed, to this machine only."""

import http.client
import threading

import pytest

from bcr_show.serving import HOST, server_for


@pytest.fixture
def ask(copied):
    """Gets a path of a server of the folder that the copied run is in: status and text."""
    with server_for(copied.parent, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def got(path, **headers):
            connection = http.client.HTTPConnection(HOST, server.server_address[1], timeout=60)
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            return answer.status, text

        yield got
        server.shutdown()
        thread.join()


def test_the_list_has_each_run_with_its_verdict_and_leads_to_its_page(ask, copied):
    (copied.parent / "no run").mkdir()
    status, text = ask("/")
    assert status == 200
    assert 'class="verdict v-pass"' in text and 'href="/copied/"' in text
    assert "no run" not in text
    status, text = ask("/copied/")
    assert status == 200 and "was the first to ask Olympus" in text


@pytest.mark.parametrize("path", ["/..", "/%2e%2e/", "/copied/../..", "/copied%2fden", "/nothing", "/%00", "//etc", "/copied/result.json"])
def test_nothing_but_runs_is_served(ask, path):
    assert ask(path)[0] == 404


def test_who_asks_by_another_name_than_this_machine_s_gets_nothing(ask):
    assert ask("/", Host="evil.example:80")[0] == 403
