"""Where a webhook may lead: out into the internet, or into networks of ours that the operator named; nowhere else.

A name is resolved once, each address it has is judged, and the connection goes to the very address that was judged:
a name that leads elsewhere a moment later leads nowhere.
"""

import socket
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from crm.errors import CrmError, Invalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
# Gives the addresses of a host, in the order in which they are to be tried.
Resolve = Callable[[str, int], Sequence[str]]


class Allowed(NamedTuple):
    """What the operator allows besides https into the internet."""

    networks: tuple[Network, ...] = ()
    http: bool = False


ALLOWED = Allowed()


def use(*, networks: Iterable[Network], http: bool) -> None:
    """Set what is allowed, as the settings say; called once at start."""
    global ALLOWED
    ALLOWED = Allowed(tuple(networks), http)


class Forbidden(CrmError):
    """An address to which nothing is delivered."""

    code = "forbidden_address"


class Target(NamedTuple):
    """An address taken apart; the host is in ASCII, the path has its query."""

    is_tls: bool
    host: str
    port: int
    path: str


def target_of(address: str) -> Target:
    """Take an address apart; raise Invalid, naming the field, for one that nothing could be delivered to. Asks no name server."""
    try:
        parts = urlsplit(address)
        host = (
            (parts.hostname or "").encode("idna").decode("ascii") if parts.hostname and ":" not in parts.hostname else parts.hostname or ""
        )
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise _wrong(_("This is no address: %(why)s.") % {"why": error}) from error
    if parts.scheme != "https" and not (parts.scheme == "http" and ALLOWED.http):
        raise _wrong(
            _("Give an address that begins with https://.")
            if not ALLOWED.http
            else _("Give an address that begins with https:// or http://.")
        )
    odd = any(sign <= " " or sign == "\x7f" for sign in address) or not (parts.path + parts.query).isascii()
    if not host or odd or len(address) > 500:
        raise _wrong(_("Give an address such as https://example.com/hooks, without blanks."))
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _wrong(_("Leave out user, password and '#': the signature says who sends."))
    _refuse_plain(host)
    return Target(parts.scheme == "https", host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def _wrong(sentence: str) -> Invalid:
    return Invalid(sentence, detail={"address": sentence})


def _refuse_plain(host: str) -> None:
    """Refuse at once what needs no name server to be known: an address of numbers, or this very machine."""
    try:
        found = ip_address(host)
    except ValueError:
        if host == "localhost" and not _named(ip_address("127.0.0.1")):
            raise _wrong(str(forbidden(host))) from None
        return
    if not is_permitted(found):
        raise _wrong(str(forbidden(host)))


def forbidden(host: str) -> Forbidden:
    """Give the refusal of a host none of whose addresses is allowed."""
    return Forbidden(_("%(host)s leads into a private network; the operator may allow it by WEBHOOK_NETWORKS.") % {"host": host})


# What carries another address inside, or leads back to us: the ways around a check of the outer address.
_WRAPPING = tuple(
    map(
        ip_network,
        (
            "::ffff:0:0/96",  # IPv4-mapped (RFC 4291)
            "::/96",  # IPv4-compatible (RFC 4291)
            "64:ff9b::/96",  # NAT64 (RFC 6052)
            "64:ff9b:1::/48",  # local NAT64 (RFC 8215)
            "2002::/16",  # 6to4 (RFC 3056)
            "2001::/32",  # Teredo (RFC 4380)
            "100::/64",  # discard (RFC 6666)
            "fec0::/10",  # site-local (RFC 3879)
            "192.88.99.0/24",  # 6to4 relays (RFC 7526)
            "100.64.0.0/10",  # shared by carriers (RFC 6598)
            "192.0.0.0/24",  # for protocols (RFC 6890); Pythons differ on which of them are private
        ),
    )
)


def is_permitted(address: Address) -> bool:
    """Say whether something may be delivered to an address."""
    if _named(address):
        return True
    if getattr(address, "scope_id", None) or any(address in network for network in _WRAPPING):
        return False
    odd = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast or address.is_reserved
    return address.is_global and not odd and not address.is_unspecified


def _named(address: Address) -> bool:
    return any(address in network for network in ALLOWED.networks)


def look_up(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a host."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def permitted(host: str, port: int, *, resolve: Resolve = look_up) -> list[str]:
    """Give the addresses of a host to which something may be delivered; raise Forbidden if there are none, OSError without a name server."""
    found = [address for address in resolve(host, port) if is_permitted(ip_address(address))]
    if not found:
        raise forbidden(host)
    return found
