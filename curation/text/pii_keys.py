"""API keys, tokens and private keys: strings that open something.

Keys of known makers start with a prefix of their own. What follows has to be long enough, to look
random (eight different characters, of two of the classes small letters, capitals and digits), and
not to say EXAMPLE.
"""

import math
import re
from collections import Counter
from typing import NamedTuple

from curation.text.pii_bytes import BARRIER, WORD_ENDS
from curation.text.pii_context import WALLET, context

_BASE58 = rb"[1-9A-HJ-NP-Za-km-z]"


class Key(NamedTuple):
    """What a key of some maker looks like."""

    prefix: bytes
    format: str
    body: re.Pattern[bytes]


def _key(prefixes: str, format_: str, body: bytes) -> list[Key]:
    pattern = re.compile(rb"(%s)%s" % (body, WORD_ENDS))
    return [Key(prefix.encode(), format_, pattern) for prefix in prefixes.split()]


KEYS = (
    *_key("AKIA ASIA", "aws", rb"[A-Z0-9]{16}"),
    *_key("ghp_ gho_ ghu_ ghs_ ghr_", "github", rb"[A-Za-z0-9]{36,255}+"),
    *_key("github_pat_", "github", rb"\w{22,255}+"),
    *_key("glpat-", "gitlab", rb"[\w-]{20,255}+"),
    *_key("xoxa- xoxb- xoxe- xoxp- xoxr- xoxs- xapp-", "slack", rb"[A-Za-z0-9-]{20,255}+"),
    *_key("hooks.slack.com/services/", "slack", rb"T\w{6,20}+/B\w{6,20}+/\w{16,40}+"),
    *_key("sk_live_ sk_test_ rk_live_ rk_test_", "stripe", rb"[A-Za-z0-9]{16,255}+"),
    *_key("whsec_", "stripe", rb"[A-Za-z0-9]{24,255}+"),
    *_key("AIza", "google", rb"[\w-]{35}"),
    *_key("GOCSPX-", "google", rb"[\w-]{28}"),
    *_key("ya29.", "google", rb"[\w-]{20,512}+"),
    *_key("sk-", "openai", rb"[\w-]{32,255}+"),
    *_key("hf_", "hugging_face", rb"[A-Za-z0-9]{30,64}+"),
    *_key("npm_", "npm", rb"[A-Za-z0-9]{36}"),
    *_key("pypi-AgE", "pypi", rb"[\w-]{50,512}+"),
    *_key("SG.", "sendgrid", rb"[\w-]{16,32}+\.[\w-]{16,64}+"),
    *_key("dop_v1_", "digitalocean", rb"[0-9a-f]{64}"),
    *_key("shpat_ shpss_ shppa_ shpca_", "shopify", rb"[0-9a-fA-F]{32}"),
    *_key("AGE-SECRET-KEY-1", "age", rb"[A-Z0-9]{58}"),
    *_key("K L", "wif", _BASE58 + rb"{51}"),
    *_key("5", "wif", _BASE58 + rb"{50}"),
    *_key("xprv yprv zprv", "xprv", _BASE58 + rb"{107}"),
)


_BY_FIRST = {
    first: tuple(key for key in KEYS if key.prefix[0] == first)
    for first in {key.prefix[0] for key in KEYS}
}


def key(data: bytearray, at: int) -> tuple[str, int]:
    """Returns the format of a key with a known prefix at `at`, and where it ends; "" for none."""
    for prefix, format_, body in _BY_FIRST.get(data[at], ()):
        if data.startswith(prefix, at):
            found = body.match(data, at + len(prefix))
            if found and looks_random(found[1]):
                return format_, found.end() - len(found[1]) + len(found[1].rstrip(b"-"))
    return "", -1


def looks_random(text: bytes) -> bool:
    """Says whether there are eight different characters, of two classes, and no EXAMPLE."""
    classes = sum(bool(re.search(members, text)) for members in (rb"[a-z]", rb"[A-Z]", rb"[0-9]"))
    return classes >= 2 and len(set(text)) >= 8 and b"example" not in text.lower()


_JWT = re.compile(rb"(?<![.-])eyJ[\w-]{7,8192}+\.eyJ[\w-]{7,65536}+\.[\w-]{10,8192}+")


def jwt(data: bytearray, at: int) -> int:
    """Returns where a JSON Web Token ends: eyJ..., eyJ... and a signature, with full stops."""
    found = _JWT.match(data, at)
    return found.end() if found else -1


_HEX = re.compile(rb"(?:0x)?([0-9a-fA-F]{64})" + WORD_ENDS)


def hex_key(data: bytearray, at: int) -> int:
    """Returns where 64 hexadecimal digits end that come after a word of wallets; -1 for none."""
    found = _HEX.match(data, at)
    right = found and looks_random(found[1]) and context(data, at) & WALLET
    return found.end() if found and right else -1


_BEGIN = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_MARK = re.compile(rb"-----(?:END [A-Z0-9 ]{0,48}-{0,5}|BEGIN )|>")
_LINES = re.compile(rb"[A-Za-z0-9+/=]{40,}+(?:(?:\s|\\[rn]){1,4}+[A-Za-z0-9+/=]{16,}+)*+")


def pem(data: bytearray, at: int) -> int:
    """Returns where a block of a private key ends whose `-----BEGIN` stands at `at`; or -1.

    The block lasts to its END line. Where it is cut off, it lasts as long as lines of base 64 do.
    A block without 40 characters of base 64 in a row is talk about keys. No byte is looked at for
    two blocks, since the search stops at the next BEGIN.
    """
    begin = _BEGIN.match(data, at)
    if not begin:
        return -1
    mark = _MARK.search(data, begin.end())
    stop = mark.start() if mark else len(data)
    lines = _LINES.search(data, begin.end(), stop)
    if not lines:
        return -1
    whole = mark and data[mark.start()] != BARRIER and mark[0].startswith(b"-----END")
    return mark.end() if mark and whole else lines.end()


_SECRET = re.compile(
    rb"(?i:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|secret[_-]?key"
    rb"|private[_-]?key|auth[_-]?key|credentials?)[\"' ]{0,3}[:=]{1,2}>?[\"'` ]{0,3}"
    rb"(?P<value>[\w!#$%&*+./=?@^~-]{10,128}+)"
)
_CODE = re.compile(rb"[A-Za-z_]\w*+(?:\.[A-Za-z_]\w*+)++")  # as in user.password = hasher.encode
_BEFORE = 24


def assignment(data: bytearray, at: int) -> tuple[int, int]:
    """Returns where the value of `password = "..."` begins and ends, `at` being the `=` or `:`.

    The name ends in one of some words; the value has 10 to 128 characters, three bits of entropy a
    character or more, and looks random. Any longer run of characters is no value.
    """
    for found in _SECRET.finditer(data, max(0, at - _BEFORE), at + 140):
        if found.start("value") > at:
            text = found["value"].rstrip(b".!-")
            if found.end() < len(data) and found.end() - found.start("value") == 128:
                return -1, -1
            good = len(text) >= 10 and looks_random(text) and entropy(text) >= 3
            good = good and bool(re.search(rb"[0-9]", text)) and not _CODE.fullmatch(text)
            begin = found.start("value")
            return (begin, begin + len(text)) if good else (-1, -1)
    return -1, -1


def entropy(text: bytes) -> float:
    """Returns Shannon's entropy of the bytes, in bits a byte.

    Examples:
        >>> entropy(b"abab")
        1.0
    """
    shares = [count / len(text) for count in Counter(text).values()]
    return -math.fsum(share * math.log2(share) for share in shares)
