"""Rewriting by a language model behind an OpenAI-compatible endpoint, with what it costs.

The endpoint is the user's: a local vLLM, llama.cpp or Ollama, or a service. Answers are kept on
disk by everything that was asked, so a killed run does not pay twice, and the same recipe gives the
same documents on a machine that has them; a model that is asked anew may answer otherwise, which
no seed that is sent along rules out.

Source: Maini et al. 2024, "Rephrasing the Web", arXiv 2401.16380.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, Self

import pyarrow as pa
from pydantic import Field, model_validator

from curation.endpoint import Endpoint, EndpointSpec, Reply, Request, check_endpoint
from curation.manifest import fingerprint_of
from curation.schema import score
from curation.stage import BatchFunction, Columns, ExpandStage
from curation.translation.cache import TranslationCache, cache_key, open_cache
from curation.translation.engine import Translated

_TEXT = "{text}"
_KEPT = (None, "answer_cut", "answer_withheld")  # paid for, and no passing fault
_PROMPT = (
    "Rewrite the following text in other words. Keep its language, its meaning, and every fact, "
    "name, number and quotation. Answer with the new text alone.\n\n{text}"
)


class Rewrite(ExpandStage):
    """Makes documents by having a language model rewrite others."""

    files: ClassVar[frozenset[str]] = frozenset({"cache"})
    example: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"base_url": "http://127.0.0.1:8000/v1", "model": "my-model"}
    )
    summed: ClassVar[tuple[str, ...]] = ("prompt_tokens", "completion_tokens", "cost")

    kind: Literal["rewrite"] = "rewrite"
    base_url: str
    """Address of the endpoint up to and with "/v1"."""
    model: str = Field(min_length=1)
    """Name of the model, as the endpoint knows it."""
    prompt: str = _PROMPT
    """What is asked; "{text}" stands for the document."""
    system: str = ""
    """What the model is told before; empty: nothing."""
    temperature: float = Field(default=0.7, ge=0, le=2)
    """Of the model's draws."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Share of the probability that is drawn from."""
    max_tokens: int = Field(default=2048, ge=1)
    """Most tokens of an answer; one that is cut off there is rejected."""
    max_chars: int = Field(default=20_000, ge=1)
    """Longer documents are not asked about: no child is made of them."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key; the key itself stands in no recipe."""
    retries: int = Field(default=4, ge=0, le=20)
    """Further tries after a failure that may pass: no connection, 429, 5xx, no readable answer."""
    backoff_seconds: float = Field(default=1.0, ge=0, le=60)
    """Wait before the first of them; doubled each time, up to a minute."""
    timeout_seconds: float = Field(default=120.0, gt=0, le=3600)
    """For one answer, from the question to its last byte."""
    concurrency: int = Field(default=4, ge=1, le=256)
    """Questions under way at a time, of each worker."""
    prompt_price: float = Field(default=0.0, ge=0)
    """Price of a million tokens that are asked, in whatever money."""
    completion_price: float = Field(default=0.0, ge=0)
    """Price of a million tokens that are answered."""
    cache: str | None = None
    """Directory of the answers; default: as of back_translate. It is no identity."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if _TEXT not in self.prompt:
            raise ValueError(
                f"prompt has no {_TEXT}, so the model would not see the document; "
                f"expected {_TEXT} where it goes"
            )
        check_endpoint(self._endpoint())
        return self

    def _endpoint(self) -> EndpointSpec:
        return EndpointSpec(**{name: getattr(self, name) for name in EndpointSpec.model_fields})

    def writes(self) -> pa.Schema:
        """Returns what each answer took, of rejected ones as well."""
        return pa.schema(
            [
                score(
                    self.column("prompt_tokens"),
                    pa.int64(),
                    "Tokens of the question, as the endpoint counts them.",
                    unit="tokens",
                    low=0,
                ),
                score(
                    self.column("completion_tokens"),
                    pa.int64(),
                    "Tokens of the answer, as the endpoint counts them.",
                    unit="tokens",
                    low=0,
                ),
                score(
                    self.column("cost"),
                    pa.float64(),
                    "What both cost at the prices of the recipe.",
                    unit="money",
                    low=0,
                ),
            ]
        )

    def open(self) -> BatchFunction:
        """Opens the store of answers; nothing is asked yet.

        Raises:
            DataError: The store cannot be used.
        """
        answers = _Answers(
            Endpoint(self._endpoint(), self.name),
            open_cache(Path(self.cache) if self.cache else None),
            fingerprint_of(
                "rewrite", self.base_url, self.model, self.temperature, self.top_p, self.max_tokens
            ),
        )

        def rewrite_batch(batch: pa.RecordBatch) -> Columns:
            texts, ids, numbers = (
                batch.column(name).to_pylist() for name in ("text", "doc_id", "child")
            )
            asked = [row for row, text in enumerate(texts) if len(text) <= self.max_chars]
            requests = [self._request(texts[row], ids[row], numbers[row]) for row in asked]
            replies = dict(zip(asked, answers.of(requests), strict=True))
            return self._columns([replies.get(row, Reply(None)) for row in range(len(texts))])

        return rewrite_batch

    def _request(self, text: str, doc_id: str, child: int) -> Request:
        question = ("user", self.prompt.replace(_TEXT, text))
        messages = (("system", self.system), question) if self.system else (question,)
        digest = hashlib.blake2b(digest_size=4, person=b"rewrite")
        digest.update(f"{self.seed or 0}\0{doc_id}\0{child}".encode())
        return Request(messages, int.from_bytes(digest.digest(), "little") >> 1)

    def _columns(self, replies: list[Reply]) -> Columns:
        prices = self.prompt_price, self.completion_price
        return {
            "text": pa.array([reply.text for reply in replies], pa.large_string()),
            "operation": pa.array([f"{self.kind} {self.model}"] * len(replies), pa.string()),
            "error": pa.array([reply.reason for reply in replies], pa.string()),
            "detail": pa.array([reply.detail for reply in replies], pa.string()),
            self.column("prompt_tokens"): pa.array([r.prompt_tokens for r in replies], pa.int64()),
            self.column("completion_tokens"): pa.array(
                [reply.completion_tokens for reply in replies], pa.int64()
            ),
            self.column("cost"): pa.array(
                [_cost(reply, prices) for reply in replies], pa.float64()
            ),
        }


class _Answers(NamedTuple):
    """An endpoint, and what it said before."""

    endpoint: Endpoint
    cache: TranslationCache
    route: str

    def of(self, requests: list[Request]) -> list[Reply]:
        """Returns the replies to n questions; only new ones are asked."""
        keys = [
            cache_key(self.route, json.dumps(request.messages), request.seed)
            for request in requests
        ]
        known = {key: _read(found.text) for key, found in self.cache.find(keys).items()}
        new = [row for row, key in enumerate(keys) if key not in known]

        def keep(place: int, reply: Reply) -> None:
            if reply.reason in _KEPT:
                self.cache.add({keys[new[place]]: Translated(json.dumps(reply))})

        replies = self.endpoint.ask([requests[row] for row in new], keep) if new else []
        known |= {keys[row]: reply for row, reply in zip(new, replies, strict=True)}
        return [known[key] for key in keys]


def _read(text: str) -> Reply:
    return Reply(*json.loads(text))


def _cost(reply: Reply, prices: tuple[float, float]) -> float:
    asked, answered = prices
    return (reply.prompt_tokens * asked + reply.completion_tokens * answered) / 1e6
