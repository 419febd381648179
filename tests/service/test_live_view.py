"""The live page checks proofs as the client does: in a real browser."""

import base64
import json

import msgspec
import pytest
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
