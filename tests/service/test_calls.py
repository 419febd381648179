"""What is asked over HTTP, as operations, and what came of them, as answers."""

import json

import pytest

from bcr.objects import store_operations as operations
from bcr_client import Refused
from bcr_client.answers import failure_in as failure_by_proof
from bcr_service import calls
from bcr_service.preconditions import LOOK_FIRST, preconditions_in
from bcr_service.problems import Problem


def told(call, *arguments):
    with pytest.raises(Problem) as problem:
        call(*arguments)
    return problem.value.status, problem.value.detail


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"type": "PUT", "value": "a"}, "The request value is not valid"),
        ({"type": "PUT", "value": [1]}, "The request value is not valid"),
        ({"type": "APPEND", "value": ["a"]}, "The request value is not valid"),
        ({"type": "put", "value": ["a"]}, "The request type is not correct"),
        ({"type": ["PUT"], "value": ["a"]}, "The request type is not correct"),
        ({"value": ["a"]}, "The request is not valid"),
        (["PUT", "a"], "The request is not valid"),
    ],
)
def test_the_assignments_errors_are_in_its_words_beside_a_sentence_that_says_more(body, text):
    with pytest.raises(Problem) as problem:
        calls.posted("k", json.dumps(body).encode(), None)
    assert (problem.value.status, problem.value.more) == (400, {"error": text})
    assert text not in problem.value.detail and ("PUT" in problem.value.detail or "APPEND" in problem.value.detail)


def test_a_body_that_is_no_json_is_no_valid_request_of_the_assignment():
    with pytest.raises(Problem) as problem:
        calls.posted("k", b"{bad", None)
    assert (problem.value.status, problem.value.more) == (400, {"error": "The request is not valid"})
    assert problem.value.detail.startswith("the body is no value: expected JSON")


def test_the_assignments_operations_are_put_and_append():
    assert calls.posted("k", b'{"type": "PUT", "value": ["a", "b"]}', None) == operations.put("k", '["a","b"]')
    assert calls.posted("k", b'{"type": "APPEND", "value": "c"}', None) == operations.append("k", '"c"')


def test_a_value_is_kept_as_it_was_written():
    assert calls.put("k", b' {"a" : 1.50} ', None) == operations.put("k", '{"a" : 1.50}')


@pytest.mark.parametrize(
    "number", ["9" * 4_301, "-" + "7" * 500_000, "1e400", "-1.5e400", "1e" + "9" * 30, "1.50", "0.1000000000000000000001", "-0"]
)
def test_a_number_of_a_transaction_is_kept_as_it_was_written_whatever_python_makes_of_it(number):
    put, append = f'{{"op":"put","key":"k","value":{{"a" : [{number}]}}}}', f'{{"op":"append","key":"l","value":{number}}}'
    body = f'{{"operations": [{put}, {append}]}}'
    assert calls.transaction(body.encode()) == (operations.put("k", f'{{"a":[{number}]}}'), operations.append("l", number))


@pytest.mark.parametrize("version", ["9" * 5_000, "1e400", "5"])
def test_a_number_is_no_version_however_long_it_is(version):
    body = f'{{"operations": [{{"op": "get", "key": "k", "version": {version}}}]}}'
    assert told(calls.transaction, body.encode())[0] == 400


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"NaN", b"[" * 200, b"1 2"])
def test_what_is_no_json_is_refused(body):
    assert told(calls.put, "k", body, None)[0] == 400


def condition(**fields):
    return preconditions_in({name.replace("_", "-").encode(): value.encode() for name, value in fields.items()}).condition()


def test_conditions_are_those_of_http():
    assert preconditions_in({}) is None
    assert condition(if_match='"1.2.3"') == (1, 2, 3)
    assert condition(if_none_match="*") == operations.ABSENT


@pytest.mark.parametrize(
    "fields",
    [{"if_match": "*"}, {"if_match": '"1.2"'}, {"if_match": 'W/"1.2.3"'}, {"if_match": '"01.2.3"'}, {"if_match": '"1.2.3", "1.2.4"'},
     {"if_none_match": '"1.2.3"'}, {"if_match": '"1.2.3"', "if_none_match": "*"}],
)  # fmt: skip
def test_a_condition_that_the_store_does_not_have_is_looked_at_first(fields):
    assert condition(**fields) is LOOK_FIRST


@pytest.mark.parametrize("field", ["if_match", "if_none_match"])
@pytest.mark.parametrize("text", ["", "1.2.3", '"1.2.3', '"a" "b"', '"a",', '*, "a"', 'w/"a"', '"ü"', "x" * 9_000])
def test_a_condition_that_makes_no_sense_is_refused(field, text):
    assert told(lambda: condition(**{field: text}))[0] == 400


@pytest.mark.parametrize(
    "operation",
    [5, {"op": "get"}, {"op": "steal", "key": "k"}, {"op": ["get"], "key": "k"}, {"op": "put", "key": "k"},
     {"op": "get", "key": ""}, {"op": "get", "key": "k", "version": "new"}],
)  # fmt: skip
def test_an_operation_of_a_transaction_that_makes_no_sense_is_refused(operation):
    assert told(calls.transaction, json.dumps({"operations": [operation]}).encode())[0] == 400


def test_a_transaction_has_a_limit():
    many = [{"op": "get", "key": "k"}] * (calls.MOST_OPERATIONS + 1)
    assert told(calls.transaction, json.dumps({"operations": many}).encode())[0] == 400


@pytest.mark.parametrize(
    ("results", "status"),
    [
        (['{"error":"aborted"}', '{"error":"condition","version":null}'], 412),
        (['{"error":"condition","version":[1,2,3]}'], 412),
        (['{"error":"kind"}'], 409),
        (['{"error":"too large"}'], 413),
        (['{"error":"malformed"}'], 400),
    ],
)
def test_each_failure_has_its_status(results, status):
    assert calls.failure_in(results).status == status


@pytest.mark.parametrize("code", ["kind", "too large", "malformed"])
def test_what_the_store_refuses_is_said_in_one_sentence_by_gateway_and_client(code):
    result = json.dumps({"error": code}, separators=(",", ":"))
    with pytest.raises(Refused) as refused:
        raise failure_by_proof([result])
    assert str(refused.value) == calls.failure_in([result]).detail == operations.WHY_NOT[code]
    assert refused.value.is_proved


def test_a_value_is_told_from_its_version_whatever_stands_in_it():
    value = '{"value":{"value":",\\"version\\":[9,9,9]}"},"version":[1,2,3]}'
    assert calls.got(value) == ('{"value":",\\"version\\":[9,9,9]}"}', (1, 2, 3))
    assert calls.got("null") is None
    assert calls.failure_in([value]) is None
