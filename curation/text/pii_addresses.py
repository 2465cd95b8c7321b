"""E-mail and IP addresses.

E-mail: found from its `@` outwards; ASCII, and letters of two UTF-8 bytes. The name has 1 to 64
bytes without two full stops in a row, the domain at least two labels of 63 bytes at most, the last
one of letters. Domains in `kept` (and their sub-domains) are nobody's: example.com, `.test`; so are
endings that are no domain (`logo@2x.png`, `getty@tty1.service`), and the name `git`.

IPv4: four numbers up to 255 without leading zeros, neither part of a longer row of numbers nor a
network (`/24`). IPv6: RFC 4291's text form, with a digit in it.
"""

import re
from collections.abc import Set
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_network

from curation.text.pii_bytes import ENDS, number
from curation.text.pii_context import NEAR, VERSION, context

PUBLIC, PRIVATE, DOCUMENTATION, LIKE_VERSION = 1, 2, 4, 8
"""Classes of IP addresses; `PRIVATE` are all that no network routes for everybody."""

_LETTER = rb"(?:[A-Za-z0-9]|[\xc3-\xdf][\x80-\xbf])"
_LABEL = rb"%s(?:-{0,4}+%s){0,62}+" % (_LETTER, _LETTER)
_DOMAIN = re.compile(rb"%s(?:\.%s){1,20}+" % (_LABEL, _LABEL))
_TOP_LEVEL = re.compile(rb"[A-Za-z]{2,24}|[Xx][Nn]--[A-Za-z0-9-]{2,59}")
_LOCAL = re.compile(rb"(?:[A-Za-z0-9_%+-]|\.(?!\.)|[\x80-\xbf][\xc3-\xdf]){1,65}+")
_LOCAL_BYTES, _DOMAIN_BYTES = 64, 253


def email(data: bytearray, at: int, kept: Set[bytes]) -> tuple[int, int]:
    """Returns where the address around the `@` at `at` begins and ends; -1 where there is none."""
    first = _local_begin(data, at)
    stop = _domain_end(data, at + 1) if first >= 0 else -1
    if stop < 0 or _is_kept(bytes(data[at + 1 : stop]), kept) or data[first:at] == b"git":
        return -1, -1
    return first, stop


def _local_begin(data: bytearray, at: int) -> int:
    name = _LOCAL.match(data[max(0, at - _LOCAL_BYTES - 2) : at][::-1])
    if not name or name.end() > _LOCAL_BYTES or name[0].startswith(b"."):
        return -1
    stripped = name[0].rstrip(b".%+-")
    return at - len(stripped) if stripped else -1


def _domain_end(data: bytearray, at: int) -> int:
    """Returns where the longest domain ends whose last label can be a top level; -1 for none."""
    domain = _DOMAIN.match(data, at, at + _DOMAIN_BYTES)
    if not domain:
        return -1
    labels = domain[0].split(b".")
    stop = domain.end()
    if data[stop : stop + 1] == b"_":
        stop -= len(labels.pop()) + 1
    while len(labels) > 1 and not _TOP_LEVEL.fullmatch(labels[-1]):
        stop -= len(labels.pop()) + 1
    return stop if len(labels) > 1 else -1


def _is_kept(domain: bytes, kept: Set[bytes]) -> bool:
    labels = domain.lower().split(b".")
    return any(b".".join(labels[k:]) in kept for k in range(len(labels)))


_IPV4 = number(
    rb"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?=[0-9])|(?![0-9]))){4}+(?!\.[A-Z])"
)
_IPV6 = re.compile(rb"(?<![0-9A-Za-z_:.])[0-9A-Fa-f:]{2,39}+")

# IANA's special-purpose registries (RFC 6890 and later); what ipaddress knows changes with Python.
_DOCUMENTATION = tuple(
    ip_network(network)
    for network in (
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20",
    )
)  # fmt: skip
_PRIVATE = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "224.0.0.0/3",
    )
)  # fmt: skip
_GLOBAL_V6 = ip_network("2000::/3")


def ipv4(data: bytearray, at: int) -> tuple[int, int]:
    """Returns where an IPv4 address that begins at `at` ends, and its class; -1 for none."""
    found = _IPV4.match(data, at)
    if not found or found[0].endswith(b"."):
        return -1, 0
    address = IPv4Address(bytes(found[0]).decode())
    kind = _class_of(address)
    small = max(address.packed) < 32
    if kind == PUBLIC and (small or context(data, at) & VERSION << NEAR):
        kind = LIKE_VERSION
    return found.end(), kind


def _class_of(address: IPv4Address | IPv6Address) -> int:
    if any(address in network for network in _DOCUMENTATION):
        return DOCUMENTATION
    if address.version == 6:
        return PUBLIC if address in _GLOBAL_V6 else PRIVATE
    return PRIVATE if any(address in network for network in _PRIVATE) else PUBLIC


def ipv6(data: bytearray, at: int) -> tuple[int, int]:
    """Returns where an IPv6 address that begins at `at` ends, and its class; -1 for none."""
    found = _IPV6.match(data, at)
    if not found:
        return -1, 0
    text, stop = bytes(found[0]), found.end()
    if text.endswith(b":") and not text.endswith(b"::"):
        text, stop = text[:-1], stop - 1
    decimal = any(byte < 0x3A for byte in text)
    if not decimal or data[stop : stop + 1] == b"%" or not ENDS.match(data, stop):
        return -1, 0
    try:
        return stop, _class_of(IPv6Address(text.decode()))
    except AddressValueError:
        return -1, 0
