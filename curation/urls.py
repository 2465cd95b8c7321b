"""URLs as Arrow columns: hosts in one spelling, and the domain that somebody registered.

`curation.text.urls` takes URLs apart at a million a second; here are the few hosts that need more:
names in other scripts (UTS #46 and Punycode), IPv4 addresses in all their spellings, and IPv6.

Registered domains follow the Public Suffix List (https://publicsuffix.org). Its text comes with the
package `publicsuffixlist`, which is released anew every few days; nothing is fetched.
"""

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import idna
import numpy as np
import numpy.typing as npt
import publicsuffixlist
import pyarrow as pa
import pyarrow.compute as pc

from curation.buffers import text_buffers
from curation.text.keytable import KeyTable, make_table
from curation.text.urls import (
    EXACT,
    EXCEPTION,
    LOOK,
    MOST_HOST_BYTES,
    WILDCARD,
    registered_starts,
    split_urls,
)
from curation.text.xxh64 import xxh64_rows

PACKAGED_SUFFIXES = Path(publicsuffixlist.PSLFILE)
"""The list of the installed package."""

_ASCII_HOST = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_FULL_STOPS = re.compile("[.\u3002\uff0e\uff61]")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_PRIVATE = "===BEGIN PRIVATE DOMAINS==="


class UrlParts(NamedTuple):
    """n URLs in parts, as large_string columns of n."""

    hosts: pa.LargeStringArray
    """ASCII, lower case, addresses in their usual spelling; empty where the URL is malformed."""
    shown: pa.LargeStringArray
    """The same in its own script, for people and for words."""
    rests: pa.LargeStringArray
    """Port, path and query in one spelling."""


def read_urls(urls: pa.Array) -> UrlParts:
    """Takes URLs apart; null counts as the empty URL, which is malformed."""
    split = split_urls(*text_buffers(urls))
    hosts = string_column(split.host_offsets, split.host_bytes)
    rests = string_column(split.rest_offsets, split.rest_bytes)
    wanted = (split.flags & LOOK) > 0
    if not wanted.any():
        return UrlParts(hosts, hosts, rests)
    mask = pa.array(wanted)
    found = [spell_host(host) for host in hosts.filter(mask).to_pylist()]
    ascii_hosts, shown = (
        pa.array(column, pa.large_string()) for column in zip(*found, strict=True)
    )
    return UrlParts(
        pc.replace_with_mask(hosts, mask, ascii_hosts),
        pc.replace_with_mask(hosts, mask, shown),
        rests,
    )


def string_column(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
) -> pa.LargeStringArray:
    """Returns a column over a kernel's own buffers, which must be UTF-8."""
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)


@lru_cache(maxsize=1 << 16)
def spell_host(host: str) -> tuple[str, str]:
    """Returns a host in ASCII and in its own script; "" and the host if it cannot be one.

    Args:
        host: Lower case, percent-decoded, without port.

    Examples:
        >>> spell_host("b\u00fccher.de")
        ('xn--bcher-kva.de', 'b\u00fccher.de')
        >>> spell_host("0x7f.1")
        ('127.0.0.1', '127.0.0.1')
    """
    if len(host) > MOST_HOST_BYTES:
        return "", host
    if host.startswith("["):
        address = _ipv6(host)
        return address, address or host
    spelled = _to_ascii(host)
    if len(spelled) > MOST_HOST_BYTES or not _ASCII_HOST.fullmatch(spelled):
        return "", host
    if _NUMBER.fullmatch(spelled.rpartition(".")[2]):
        address = _ipv4(spelled)
        return address, address or host
    return spelled, ".".join(map(_label_to_unicode, spelled.split(".")))


def _to_ascii(host: str) -> str:
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        # Emoji and the like: registered all the same, under the plain Punycode of the label.
        labels = _FULL_STOPS.split(host)
        return ".".join(
            label if label.isascii() else "xn--" + label.encode("punycode").decode()
            for label in labels
        )


def _label_to_unicode(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode().decode("punycode").lower()
    except UnicodeError:
        return label


def _ipv6(host: str) -> str:
    try:
        return f"[{ipaddress.IPv6Address(host[1:-1].partition('%')[0]).compressed}]"
    except ValueError:
        return ""


def _ipv4(host: str) -> str:
    """Reads one to four numbers, each decimal, octal or hexadecimal; the last fills the rest."""
    parts = host.split(".")
    try:
        *first, last = [_number(part) for part in parts]
    except ValueError:
        return ""
    if len(parts) > 4 or max(first, default=0) > 255 or last >= 256 ** (5 - len(parts)):
        return ""
    value = last + sum(part << 8 * (3 - place) for place, part in enumerate(first))
    return str(ipaddress.IPv4Address(value))


def _number(part: str) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8 if len(part) > 1 and part[0] == "0" else 10)


def load_suffixes(path: Path, *, private: bool) -> KeyTable:
    """Reads a Public Suffix List.

    Args:
        path: The list's text, in its own format.
        private: With the suffixes under which companies give out names (`github.io`).

    Raises:
        ValueError: The file is no such list.
    """
    bits: dict[str, int] = {}
    for name, bit in _rules(path, private=private):
        bits[name] = bits.get(name, 0) | bit
    if "com" not in bits:
        raise ValueError(
            f"suffix_list '{path}' is no Public Suffix List: it does not name 'com'; "
            "get one from https://publicsuffix.org/list/public_suffix_list.dat"
        )
    keys = xxh64_rows(*text_buffers(pa.array(list(bits), pa.large_string())), 0)
    return make_table(keys, np.array(list(bits.values()), np.int32))


def _rules(path: Path, *, private: bool) -> Iterator[tuple[str, int]]:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if _PRIVATE in line and not private:
            return
        rule = line.split(maxsplit=1)[0] if line.strip() else "//"
        if rule.startswith("//"):
            continue
        name, bit = rule, EXACT
        if rule.startswith("*."):
            name, bit = rule[2:], WILDCARD
        elif rule.startswith("!"):
            name, bit = rule[1:], EXCEPTION
        yield _to_ascii(name.lower()), bit


def registered_domains(hosts: pa.Array, suffixes: KeyTable) -> pa.LargeStringArray:
    """Returns the registered domain of each host; null for addresses, suffixes and single labels.

    Args:
        hosts: Hosts in ASCII; empty where there is none.
        suffixes: From `load_suffixes`.
    """
    offsets, data = text_buffers(hosts)
    starts = registered_starts(offsets, data, suffixes)
    lengths = np.diff(offsets)
    within = np.arange(offsets[0], offsets[-1]) - np.repeat(offsets[:-1], lengths)
    kept = data[offsets[0] : offsets[-1]][within >= np.repeat(np.maximum(starts, 0), lengths)]
    bounds = np.concatenate([[0], np.cumsum(lengths - np.maximum(starts, 0))])
    domains = string_column(bounds.astype(np.int64), np.ascontiguousarray(kept))
    return pc.if_else(pa.array(starts >= 0), domains, pa.scalar(None, pa.large_string()))
