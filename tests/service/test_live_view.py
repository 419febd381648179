"""The live page checks proofs as the client does: in a real browser."""

import base64
import json

import msgspec
import pytest
from lying import lying_gateway
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from bcr.chain.proofs import Answer
from bcr.objects import store_operations
from bcr.signed.encoding import decode, encode
from bcr_client import BadProof, Store
from bcr_client.proof import Proof
from bcr_service.pages import LIVE_PAGE

LIMIT_S = 60  # there for a hang
HARNESS = """<!doctype html><meta charset="utf-8"><body><script>
%s
(async () => {
  const told = [];
  for (const [proof, nonce, asked, olympus] of %s) {
    try { told.push((await shown(proof, nonce, asked, unhex(olympus))).results); } catch (error) { told.push(error.message); }
  }
  document.body.textContent = "[[" + btoa(unescape(encodeURIComponent(JSON.stringify(told)))) + "]]";
})();
</script></body>"""


def rules_of_the_page():
    script = LIVE_PAGE.read_text()
    return script[script.index("// -- MessagePack") : script.index("// -- keys")]


def judged(browser, folder, questions):
    """What the page makes of each (proof, nonce, operations asked, key of Olympus): results, or why not."""
    (folder / "page.html").write_text(HARNESS % (rules_of_the_page(), json.dumps(questions).replace("</", "<\\/")))
    browser.get((folder / "page.html").as_uri())
    body = browser.find_element(By.TAG_NAME, "body")
    WebDriverWait(browser, LIMIT_S).until(lambda _: body.text.endswith("]]"))
    return json.loads(base64.b64decode(body.text.strip("[]")))


def altered(proof):
    """The same proof, each time with something that is not as it was signed."""
    answer = decode(Answer, proof.answer)

    def with_answer(**changes):
        return msgspec.structs.replace(proof, answer=encode(msgspec.structs.replace(answer, **changes)))

    def flipped(field):
        data = getattr(proof, field)
        return msgspec.structs.replace(proof, **{field: data[:-1] + bytes([data[-1] ^ 1])})

    outcome = msgspec.structs.replace(answer.outcome, results=('{"value":6,"version":[0,0,0]}', "null"))
    return [
        with_answer(outcome=outcome),
        with_answer(proof=answer.proof[:2]),
        with_answer(proof=answer.proof[:1] * 3),
        with_answer(slot=answer.slot + 1),
        with_answer(request_path=(bytes(32),)),
        flipped("configuration"),
        flipped("request"),
    ]


def test_the_page_believes_what_the_client_believes_and_nothing_else(browser, service, olympus_key, tmp_path):
    with Store(service.url, olympus_key) as store:
        store.put("page ü", {"text": "x" * 300, "number": 70_000})
        store.get("page ü")
        proof = store.last_proof
    asked = [list(msgspec.structs.astuple(store_operations.get("page ü")))]
    right = (proof.plain(), proof.nonce, asked, olympus_key)
    wrong = [(each.plain(), proof.nonce, asked, olympus_key) for each in altered(proof)]
    wrong += [
        (proof.plain(), "another", asked, olympus_key),
        (proof.plain(), proof.nonce, [["get", "other", "*"]], olympus_key),
        (proof.plain(), proof.nonce, asked, "00" * 32),
    ]
    for each in altered(proof):
        with pytest.raises(BadProof):
            each.check(bytes.fromhex(olympus_key))
    believed, *refused = judged(browser, tmp_path, [right, *wrong])
    assert tuple(believed) == proof.check(bytes.fromhex(olympus_key)).results
    assert all(isinstance(each, str) for each in refused), refused


def test_a_proof_travels_as_json_and_back(service, olympus_key):
    with Store(service.url, olympus_key) as store:
        store.put("travels", 1)
        proof = store.last_proof
    assert Proof.from_plain(json.loads(json.dumps(proof.plain()))) == proof


# -- the page itself


def answer_of(browser):
    return browser.execute_script("return document.getElementById('answer').textContent")


def asked(browser, done, call, *arguments):
    """What the page shows when it has called one of its functions, once that has one of these marks."""
    browser.execute_script(f"document.getElementById('answer').textContent = ''; {call}(...arguments)", *arguments)
    WebDriverWait(browser, LIMIT_S).until(lambda _: any(mark in answer_of(browser) for mark in done))
    return answer_of(browser)


@pytest.fixture
def page(browser, service, olympus_key):
    """The live page, which knows the key of Olympus."""
    browser.get(service.url)
    WebDriverWait(browser, LIMIT_S).until(lambda _: browser.execute_script("return ready && $('olympus').value") == olympus_key)
    return browser


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("12345678901234567890", "12345678901234567890"),
        ("[1.10,-0.0,1e400, {}, []]", "[\n 1.10,\n -0.0,\n 1e400,\n {},\n []\n]"),
        ('{"a":[{"b c":"\\"},[:"}],"a":2}', '{\n "a": [\n  {\n   "b c": "\\"},[:"\n  }\n ],\n "a": 2\n}'),
        ('"left\u202eright ü"', '"left\\u202eright ü"'),
    ],
)
def test_the_page_shows_the_value_that_was_signed_to_the_last_digit(page, service, stored, shown):
    assert service.ask("PUT", "/keys/exact", stored.encode())[0] == 204
    assert asked(page, "✓✗", "readKey", "exact").startswith(f"{shown}✓ verified")


@pytest.mark.parametrize("key", [".", "..", "...", "a/..", "?", "/"])
def test_the_page_reads_and_writes_every_key(page, key):
    shown = asked(page, "✓✗", "writeKey", key, "[12345678901234567890]")
    assert shown.startswith("[\n 12345678901234567890\n]✓ verified")
    assert "not to be trusted" not in asked(page, "✓✗", "readKey", key)


def test_the_page_says_what_a_value_would_be(page):
    assert "a value is JSON" in asked(page, "✓✗", "writeKey", "..", "no JSON")


def test_the_page_takes_nothing_that_is_older_than_what_it_has_seen(page, olympus_key):
    assert "✓ verified" in asked(page, "✓✗", "readKey", "seen")
    configuration, place = page.execute_script("const kept = seen(arguments[0]); return [kept.configuration, kept.place]", olympus_key)
    assert configuration >= 0
    page.execute_script("seenUnder[arguments[0]].place = arguments[1]", olympus_key, [place[0], place[1] + 1_000_000, 0])
    assert "✗ not to be trusted: executed at" in asked(page, "✓✗", "readKey", "seen")
    page.execute_script("seenUnder[arguments[0]] = {configuration: arguments[1], place: [-1, -1, -1]}", olympus_key, configuration + 1)
    assert "✗ not to be trusted: configuration" in asked(page, "✓✗", "readKey", "seen")


def test_the_page_goes_on_with_the_story_of_a_service_that_has_started_again(browser):
    """It asks for what came behind the last event that it heard of, and begins anew where it is told that there is no such event."""
    last_heard = []

    def told(identity, kind, **values):
        return f"id: {identity}\nevent: {kind}\ndata: {json.dumps({'at': 'T00:00:00.000', 'kind': kind, **values})}\n\n"

    def gateway(_method, path, _body, _forward):
        if path == "/":
            return 200, LIVE_PAGE.read_bytes()
        if path.startswith("/events"):
            last_heard.append(path.partition("=")[2])
            change = told("one-6", "reconfiguration", number=6, source=0, target=1, requested_by="x", reason="x", blamed=None, active_ms=1)
            first = change + told("one-7", "leader", number=7, leader=0, term=1)
            again = told("two-0", "beginning", number=0) + told("two-1", "leader", number=1, leader=2, term=1)
            return 200, {"": first, "one-7": again}.get(last_heard[-1], "").encode()
        return 503, b"{}"

    with lying_gateway("", gateway) as url:
        browser.get(url)
        WebDriverWait(browser, LIMIT_S).until(lambda _: last_heard[-1:] == ["two-1"])
        lines = [each.text for each in browser.find_elements(By.CSS_SELECTOR, "#story li")]
        assert browser.execute_script("return lastChange") is None
        browser.get("about:blank")
    assert last_heard[:3] == ["", "one-7", "two-1"]
    assert [line.partition(" ")[2] for line in lines] == ["server 2 leads in term 1"]


def text_of(browser, name):
    return browser.execute_script("return document.getElementById(arguments[0]).textContent", name)


def test_the_page_shows_requests_that_travel_and_how_long_they_took(page, service, olympus_key):
    def is_shown(_):
        assert service.ask("PUT", "/keys/travels", b"1")[0] == 204
        return " operation of 1 caller) in " in text_of(page, "sampled") and "ms on average" in text_of(page, "latency")

    WebDriverWait(page, LIMIT_S).until(is_shown)
    assert "slot " in text_of(page, "sampled")
    assert page.execute_script("return travelled") > 0
    assert page.execute_script("return document.querySelectorAll('#delays polyline, #curve polyline').length") == 2
    chain = text_of(page, "chain")
    assert f"Olympus {olympus_key[:16]}" in chain
    assert "issued configuration 0; nothing was replaced" in chain
    assert [chain.count(each) for each in ("behind, in memory only", "gateway 0", "active")] == [3, 1, 3]
    assert f"0 at 127.0.0.1:{service.port} (this page's)" in text_of(page, "gateways")


def test_a_dot_goes_down_the_chain_and_then_one_to_the_caller_and_one_to_the_head(page):
    """Where they are at times that the test gives, in the order of their colours."""
    status = {"chain": [{"position": i, "role": "", "mode": "active", "slots": 0, "in_flight": 0, "pid": 1} for i in range(3)], "gateway": 0,
              "outstanding": 0, "configuration": 0, "answers": 1, "samples": [{"number": 1, "configuration": 0, "slot": 7, "operations": 1, "callers": 1, "took_ms": 3}]}  # fmt: skip
    at_once = """const status = arguments[0]; look = async () => {}; travelling = []; sampled = answers = 0; drawSamples(status);
        const began = travelling[0].at, places = after => { frame(began + after); return [...dots.children].map(dot => [dot.getAttribute("fill"), Math.round(dot.getAttribute("cx"))]); };
        return [places(0), places(LEG_MS - 1), places(LEG_MS + 1), places(2 * LEG_MS - 1), places(2 * LEG_MS + 1)];"""
    begins, at_tail, splits, ends, gone = page.execute_script(at_once, status)
    assert begins == [["var(--accent)", 95]]
    assert at_tail[0][0] == "var(--accent)"
    assert abs(at_tail[0][1] - 600) <= 1
    for found, wanted in ((splits, (692, 600)), (ends, (50, 315))):
        assert [colour for colour, _ in found] == ["var(--good)", "var(--warn)"]
        assert all(abs(x - there) <= 3 for (_, x), there in zip(found, wanted, strict=True)), found
    assert gone == []


def test_the_page_shows_disks_lag_and_what_olympus_has_done(page):
    replicas = [
        {"position": i, "role": "r", "mode": "active", "slots": 10 - i, "in_flight": 0, "pid": 1, "has_room": i != 2} for i in range(3)
    ]
    shown = """tell({kind: "reconfiguration", at: "2000-01-01T00:00:00", source: 0, target: 1, requested_by: "replica_0", reason: "x", blamed: null, quorum: [0, 1], active_ms: 12.4});
        tell({kind: "revived", at: "2000-01-01T12:34:56", name: "olympus"}); drawChain(arguments[0]); drawGateways(arguments[0]);
        return [$("chain").textContent, $("gateways").textContent];"""
    status = {
        "chain": replicas,
        "durable": True,
        "gateway": 1,
        "gateways": ["a:1", "b:2"],
        "gone": [0],
        "outstanding": 0,
        "configuration": 1,
        "olympus_key": "ab" * 32,
    }
    chain, gateways = page.execute_script(shown, status)
    assert "issued configuration 1; 0 was replaced in 12 ms" in chain
    assert "Olympus abababababababab, began again 12:34:56" in chain
    assert all(each in chain for each in ("not behind, disk has room", "1 behind, disk has room", "2 behind, disk nearly full"))
    assert gateways == "gateways: 0 at a:1 (gone), 1 at b:2 (this page's)"


@pytest.mark.parametrize("width", [400, 700, 1300])
def test_the_page_is_as_wide_as_its_window(page, width):
    size = page.get_window_size()
    try:
        page.set_window_size(width, 900)
        assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    finally:
        page.set_window_size(size["width"], size["height"])


def test_a_page_that_is_left_listens_no_longer(browser, service):
    """A browser has six connections to a gateway, and keeps pages to come back to."""
    usual_s = browser.timeouts.page_load
    browser.set_page_load_timeout(LIMIT_S / 3)  # a page that found no connection came after a minute
    try:
        for _ in range(8):
            browser.get(service.url)
            WebDriverWait(browser, LIMIT_S).until(lambda _: browser.execute_script("return ready && told"))
            browser.get("about:blank")
        browser.back()
        WebDriverWait(browser, LIMIT_S).until(lambda _: browser.execute_script("return typeof ready === 'boolean' && ready && told"))
    finally:
        browser.set_page_load_timeout(usual_s)


def test_the_page_tells_who_has_come_as_well_as_who_has_gone(page):
    events = [{"kind": "gateway", "gateway": 1, "host": "b", "gone": gone} for gone in (True, False)]
    events += [{"kind": "host", "host": "b", "present": present} for present in (True, False)]
    tell = (
        "$('story').replaceChildren(); arguments[0].forEach(tell); return [...$('story').children].map(line => line.lastChild.textContent);"
    )
    told = page.execute_script(tell, [{"at": "2000-01-01T00:00:00", **event} for event in events])
    assert told[::-1] == ["gateway 1 has ended", "gateway 1 takes calls", "host b has come", "host b is away"]
