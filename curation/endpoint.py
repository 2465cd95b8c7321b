"""Answers of an OpenAI-compatible endpoint: several at once, in bounded time, with what they cost.

`POST <base_url>/chat/completions`, as OpenAI, vLLM, llama.cpp, Ollama and others have it. What can
go wrong with one request becomes a reason, never an exception: the document is rejected, and its
neighbours are not. What would go wrong with every request stops the run at once: a wrong key, an
unknown model, or an endpoint that failed for `GIVE_UP_AFTER` documents in a row.
"""

import asyncio
import json
import math
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from curation.errors import StageError

MOST_BYTES = 16 << 20
"""Of an answer; more is no answer to a document."""
GIVE_UP_AFTER = 20
"""Documents in a row for which the endpoint gave no answer at all."""
_FATAL = {401: "the key is wrong", 403: "the key may not do this", 404: "no such path or model"}
_AGAIN = {408, 409, 425, 429}
_LONGEST_WAIT = 60.0


class EndpointSpec(BaseModel):
    """Where and how to ask."""

    model_config = ConfigDict(frozen=True)

    base_url: str
    """Up to and with "/v1"."""
    model: str
    temperature: float = 0.7
    top_p: float = 1.0
    max_tokens: int = 1024
    api_key_env: str | None = None
    """Name of the environment variable with the key: the key itself is in no recipe."""
    retries: int = Field(default=4, ge=0)
    backoff_seconds: float = Field(default=1.0, ge=0)
    """Before the first retry; doubled each time, up to a minute."""
    timeout_seconds: float = Field(default=120.0, gt=0)
    """For one request from its start to the last byte."""
    concurrency: int = Field(default=4, ge=1)


class Request(NamedTuple):
    """One question."""

    messages: tuple[tuple[str, str], ...]
    """Role and text of each."""
    seed: int


class Reply(NamedTuple):
    """What came of it."""

    text: str | None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reason: str | None = None
    """Why there is no text."""
    detail: str | None = None


class NoReply(Exception):  # noqa: N818 - no error of the program's
    """A try failed; `again` says whether another may do better."""

    def __init__(self, reason: str, detail: str, *, again: bool, wait: float = 0.0) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.again, self.wait = reason, detail, again, wait


class Endpoint:
    """An endpoint, asked by one process."""

    def __init__(self, spec: EndpointSpec, name: str) -> None:
        """Takes where to ask, and the name of the stage for messages."""
        self._spec, self._name = spec, name
        self._silent = 0

    def ask(self, requests: Sequence[Request], keep: Callable[[int, Reply], None]) -> list[Reply]:
        """Asks n questions, `concurrency` at a time; returns when each has its answer or reason.

        Args:
            requests: The questions.
            keep: Called with the place of a question and its reply as soon as that is there.

        Raises:
            StageError: No question can be answered: key, model, or the endpoint as a whole.
        """
        return asyncio.run(self._ask_all(requests, keep))

    async def _ask_all(
        self, requests: Sequence[Request], keep: Callable[[int, Reply], None]
    ) -> list[Reply]:
        import httpx

        async def ask_one(place: int) -> Reply:
            async with limit:
                reply = await self._ask(client, requests[place])
            keep(place, reply)
            self._count(reply)
            return reply

        spec = self._spec
        limit = asyncio.Semaphore(spec.concurrency)
        async with httpx.AsyncClient(
            headers=_headers(spec),
            timeout=spec.timeout_seconds,
            trust_env=not _is_local(spec.base_url),
        ) as client:
            tasks = [asyncio.create_task(ask_one(place)) for place in range(len(requests))]
            try:
                return list(await asyncio.gather(*tasks))
            finally:
                for task in tasks:
                    task.cancel()

    def _count(self, reply: Reply) -> None:
        """Counts the documents that were given no answer; stops where they are too many."""
        silent = reply.reason in ("endpoint_unreachable", "endpoint_timeout", "endpoint_failed")
        self._silent = self._silent + 1 if silent else 0
        if self._silent >= GIVE_UP_AFTER:
            raise StageError(
                f"stage {self._name}: {self._spec.base_url} gave no answer for {self._silent} "
                f"documents in a row, the last time: {reply.detail}; start the endpoint again and "
                "run again, what was answered is kept"
            )

    async def _ask(self, client: Any, request: Request) -> Reply:
        wait = self._spec.backoff_seconds
        for left in range(self._spec.retries, -1, -1):
            try:
                return await self._try(client, request)
            except NoReply as failed:
                if not failed.again or not left:
                    return Reply(None, reason=failed.reason, detail=failed.detail)
                await asyncio.sleep(min(max(wait, failed.wait), _LONGEST_WAIT))
            wait *= 2
        raise AssertionError("unreachable")

    async def _try(self, client: Any, request: Request) -> Reply:
        import httpx

        seconds = self._spec.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                status, wait, body = await _post(client, self._spec, request)
        except TimeoutError:
            told = f"no whole answer within {seconds:g} s"
            raise NoReply("endpoint_timeout", told, again=True) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            told = f"{type(error).__name__}: {_short(str(error))}"
            raise NoReply("endpoint_unreachable", told, again=True) from error
        if status in _FATAL:
            raise StageError(
                f"stage {self._name}: {self._spec.base_url} answers {status}, {_FATAL[status]} "
                f"({_short(body.decode('utf-8', 'replace'))}); correct base_url, model or the key"
            )
        if status != 200:
            told = f"HTTP {status}: {_short(body.decode('utf-8', 'replace'))}"
            if status in _AGAIN:
                raise NoReply("endpoint_busy", told, again=True, wait=wait)
            reason = "endpoint_failed" if status >= 500 else "endpoint_refused"
            raise NoReply(reason, told, again=status >= 500, wait=wait)
        return read_reply(body)


def read_reply(body: bytes) -> Reply:
    """Reads the body of an answer; whatever it holds, the result is a reply.

    Raises:
        NoReply: It is no JSON, has no message, or its tokens are no numbers.
    """
    try:
        found = json.loads(body)
        choice = found["choices"][0]
        text, finish = choice["message"]["content"], choice.get("finish_reason")
        usage = found.get("usage") or {}
        tokens = [_whole(usage.get(name)) for name in ("prompt_tokens", "completion_tokens")]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        told = f"{type(error).__name__}: {_short(body.decode('utf-8', 'replace'))}"
        raise NoReply("answer_unreadable", told, again=True) from error
    if text is not None and not isinstance(text, str):
        raise NoReply("answer_unreadable", f"content is {type(text).__name__}", again=True)
    reason = None
    if finish == "length":
        reason = "answer_cut"
    elif finish == "content_filter":
        reason = "answer_withheld"
    elif not (text or "").strip():
        reason = "answer_empty"
    detail = f"finish_reason is {_short(str(finish))}" if reason else None
    whole = text.strip() if text and reason is None else None
    return Reply(whole, tokens[0], tokens[1], reason, detail)


def check_endpoint(spec: EndpointSpec) -> None:
    """Checks what can be known without asking.

    Raises:
        ValueError: httpx, the address or the key is missing; one line.
    """
    if find_spec("httpx") is None:
        raise ValueError('needs httpx, which is not installed; pip install "curation[rewrite]"')
    parts = urlsplit(spec.base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f"base_url is '{spec.base_url}'; expected an address such as http://127.0.0.1:8000/v1"
        )
    if parts.username or parts.password:
        raise ValueError(
            "base_url holds a name or a password, and recipes are written into every manifest; "
            "give a key by api_key_env"
        )
    if spec.api_key_env and not os.environ.get(spec.api_key_env):
        raise ValueError(
            f"api_key_env names the environment variable {spec.api_key_env}, which is not set; "
            "set it to the key, or leave api_key_env out"
        )


async def _post(client: Any, spec: EndpointSpec, request: Request) -> tuple[int, float, bytes]:
    """Returns status, seconds to wait before another try, and the body."""
    payload = {
        "model": spec.model,
        "messages": [{"role": role, "content": text} for role, text in request.messages],
        "temperature": spec.temperature,
        "top_p": spec.top_p,
        "max_tokens": spec.max_tokens,
        "seed": request.seed,
    }
    content = json.dumps(payload).encode()
    url = f"{spec.base_url.rstrip('/')}/chat/completions"
    async with client.stream("POST", url, content=content) as response:
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > MOST_BYTES:
                raise NoReply("answer_unreadable", f"more than {MOST_BYTES} bytes", again=False)
        return response.status_code, _seconds(response.headers.get("retry-after")), bytes(body)


def _headers(spec: EndpointSpec) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if spec.api_key_env:
        headers["authorization"] = f"Bearer {os.environ.get(spec.api_key_env, '')}"
    return headers


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _seconds(value: str | None) -> float:
    try:
        seconds = float(value or 0)
    except ValueError:
        return 0.0  # a date: the doubled wait has to do
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


def _whole(value: Any) -> int:
    number = 0 if value is None else int(value)
    if number < 0:
        raise ValueError("a negative number of tokens")
    return number


def _short(text: str) -> str:
    return " ".join(text.split())[:160]
