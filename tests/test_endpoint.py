import json
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import endpoint
from curation.endpoint import Endpoint, EndpointSpec, NoReply, Reply, Request, read_reply
from curation.errors import StageError
from tests.endpoints import completion, drip, hang, serving, upper


def _ask(url: str, texts: list[str], kept: list | None = None, **settings) -> list[Reply]:
    settings = {"backoff_seconds": 0.01, "retries": 2, "timeout_seconds": 5.0} | settings
    spec = EndpointSpec(base_url=url, model="m", **settings)
    requests = [Request((("user", text),), at) for at, text in enumerate(texts)]
    keep = (lambda *told: kept.append(told)) if kept is not None else (lambda *_: None)
    return Endpoint(spec, "rewrite").ask(requests, keep)


def test_good_answers_come_in_order_with_their_tokens() -> None:
    kept: list = []
    with serving(upper) as server:
        replies = _ask(server.url, [f"text {n}" for n in range(30)], kept, concurrency=3)
    assert replies == [Reply(f"TEXT {n}", 11, 7) for n in range(30)]
    assert sorted(kept) == list(enumerate(replies))
    assert 1 <= server.most_busy <= 3
    asked = {question["messages"][0]["content"]: question for question in server.asked}
    assert asked["text 4"] == {
        "model": "m", "messages": [{"role": "user", "content": "text 4"}], "temperature": 0.7,
        "top_p": 1.0, "max_tokens": 1024, "seed": 4,
    }  # fmt: skip
    assert set(server.keys) == {None}


def test_the_key_is_read_from_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("KEY_OF_A_TEST", "secret")
    with serving(upper) as server:
        _ask(server.url, ["a"], api_key_env="KEY_OF_A_TEST")
    assert server.keys == ["Bearer secret"]


def test_what_passes_is_tried_again() -> None:
    def sometimes(handler, question, number):
        if number % 2 == 0:
            status = [429, 500, 503, 408][number // 2 % 4]
            handler.send(b"later", status, retry_after="0.01")
        else:
            upper(handler, question, number)

    with serving(sometimes) as server:
        replies = _ask(server.url, list("abcdefgh"), concurrency=1)
    assert [reply.text for reply in replies] == list("ABCDEFGH")
    assert len(server.asked) == 16


def test_a_server_says_how_long_to_wait() -> None:
    def wait(handler, question, number):
        if number == 0:
            handler.send(b"", 429, retry_after="0.7")
        else:
            upper(handler, question, number)

    start = time.monotonic()
    with serving(wait) as server:
        assert _ask(server.url, ["a"])[0].text == "A"
    assert time.monotonic() - start >= 0.7


BAD = [
    (lambda h, *_: h.send(b"slow down", 429), "endpoint_busy", "HTTP 429: slow down", 3),
    (lambda h, *_: h.send(b"<h1>no", 500), "endpoint_failed", "HTTP 500: <h1>no", 3),
    (lambda h, *_: h.send(b"too long", 400), "endpoint_refused", "HTTP 400: too long", 1),
    (lambda h, *_: h.send(b"", 302, location="http://a"), "endpoint_refused", "HTTP 302", 1),
    (lambda h, *_: h.send(b"\xff{rubbish"), "answer_unreadable", "Decode", 3),
    (lambda h, *_: h.send(b""), "answer_unreadable", "Decode", 3),
    (lambda h, *_: h.send({}), "answer_unreadable", "KeyError", 3),
    (lambda h, *_: h.send(b"[" * 100_000), "answer_unreadable", "", 3),
    (lambda h, *_: h.send(completion(7)), "answer_unreadable", "content is int", 3),
    (lambda h, *_: h.send(completion("x", prompt_tokens=-4)), "answer_unreadable", "-4", 3),
    (lambda h, *_: h.send(completion("  ")), "answer_empty", "stop", 1),
    (lambda h, *_: h.send(completion(None)), "answer_empty", "stop", 1),
    (lambda h, *_: h.send(completion("half", "length")), "answer_cut", "length", 1),
    (lambda h, *_: h.send(completion("", "content_filter")), "answer_withheld", "filter", 1),
    (hang, "endpoint_timeout", "no whole answer within 1.5 s", 3),
    (drip, "endpoint_timeout", "no whole answer within 1.5 s", 3),
    (lambda h, *_: h.connection.shutdown(socket.SHUT_RDWR), "endpoint_unreachable", "", 3),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "reason", "detail", "tries"), BAD)
def test_each_bad_answer_is_a_reason_and_its_neighbours_are_unharmed(
    answer, reason, detail, tries
) -> None:
    def mixed(handler, question, number):
        bad = question["messages"][0]["content"] == "bad"
        (answer if bad else upper)(handler, question, number)

    start = time.monotonic()
    with serving(mixed) as server:
        replies = _ask(server.url, ["a", "bad", "b"], timeout_seconds=1.5)
    assert time.monotonic() - start < 30
    assert (replies[0].text, replies[1].text, replies[2].text) == ("A", None, "B")
    assert replies[1].reason == reason
    assert detail in (replies[1].detail or "")
    assert "\n" not in (replies[1].detail or "")
    questions = [question["messages"][0]["content"] for question in server.asked]
    assert questions.count("bad") == tries


def test_nobody_listens() -> None:
    with serving(upper) as server:
        url = server.url
    [reply] = _ask(url, ["a"])
    assert reply.reason == "endpoint_unreachable"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_no_request_will_survive_stops_the_run(status) -> None:
    with (
        serving(lambda h, *_: h.send(b'{"error": "no\nsuch"}', status)) as server,
        pytest.raises(StageError, match=f"answers {status}.*correct base_url") as caught,
    ):
        _ask(server.url, ["a"] * 10)
    assert "\n" not in str(caught.value)
    assert len(server.asked) <= 4


def test_an_endpoint_that_is_down_stops_the_run_soon_and_loses_nothing(monkeypatch) -> None:
    monkeypatch.setattr(endpoint, "GIVE_UP_AFTER", 5)
    kept: list = []

    def dies(handler, question, number):
        if number < 3:
            upper(handler, question, number)
        else:
            handler.send(b"", 500)

    with (
        serving(dies) as server,
        pytest.raises(StageError, match="gave no answer for 5 documents in a row"),
    ):
        _ask(server.url, ["a"] * 100, kept, retries=0, concurrency=1)
    assert [reply.text for _, reply in kept[:3]] == ["A"] * 3
    assert len(server.asked) == 8


def test_too_large_an_answer_is_given_up(monkeypatch) -> None:
    monkeypatch.setattr(endpoint, "MOST_BYTES", 1000)
    with serving(lambda h, *_: h.send(completion("x" * 2000))) as server:
        [reply] = _ask(server.url, ["a"])
    assert (reply.reason, len(server.asked)) == ("answer_unreadable", 1)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["choices", "message", "content", "usage", "finish_reason"]), inner
            )
        ),
    ).map(lambda found: json.dumps(found).encode())
)
def test_no_body_can_break_the_reader(body):
    try:
        reply = read_reply(body)
    except NoReply as error:
        reason = error.reason
    else:
        reason = reply.reason
        assert (reply.text is None) == (reason is not None)
    assert reason is None or reason.startswith("answer_")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_url": "127.0.0.1:8000"}, "expected an address such as http://127"),
        ({"base_url": "file:///etc/passwd"}, "expected an address"),
        ({"base_url": "http://me:secret@127.0.0.1/v1"}, "holds a name or a password"),
        ({"api_key_env": "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE, which is not set"),
    ],
)
def test_what_can_be_known_without_asking(settings, message) -> None:
    spec = EndpointSpec(**{"base_url": "http://127.0.0.1:1/v1", "model": "m", **settings})
    with pytest.raises(ValueError, match=message):
        endpoint.check_endpoint(spec)


def test_without_httpx(monkeypatch) -> None:
    monkeypatch.setattr(endpoint, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match="needs httpx"):
        endpoint.check_endpoint(EndpointSpec(base_url="http://127.0.0.1:1/v1", model="m"))
