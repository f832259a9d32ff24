"""Variables of the environment, read and checked; a wrong value raises ImproperlyConfigured with a sentence that names its variable."""

import json
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()

DATABASE_SCHEMES = ("sqlite", "postgres", "postgresql", "psql", "pgsql")
BROKER_SCHEMES = ("redis", "rediss", "filesystem")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def flag(name: str, *, default: bool) -> bool:
    """Read a yes-or-no variable; anything but the usual words stops the start."""
    words = {"1": True, "true": True, "on": True, "yes": True, "0": False, "false": False, "off": False, "no": False}
    word = env.str(name, default="on" if default else "off").strip().lower()
    if word not in words:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(words)}, not {word!r}.")
    return words[word]


def secret(name: str) -> str:
    """Read a secret of at least 32 characters from NAME or from the file that NAME_FILE names."""
    path = env.str(f"{name}_FILE", default="")
    try:
        value = Path(path).read_text().strip() if path else env.str(name, default="")
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE: {path} cannot be read: {error.strerror}.") from error
    if len(value) < 32:
        raise ImproperlyConfigured(f"{name} (or {name}_FILE) must hold a secret of at least 32 characters.")
    return value


def optional_secret(name: str, *, default: str = "") -> str:
    """Read a secret as `secret` does; without one, the default."""
    return secret(name) if env.str(name, default="") or env.str(f"{name}_FILE", default="") else default


def delivery_hooks() -> dict[str, dict[str, Any]]:
    """Read who may report on mail at /hooks/delivery/<provider>: a provider without a secret has no hook."""
    login = optional_secret("DELIVERY_HOOK_SECRET")
    if login and not all(login.partition(":")):
        raise ImproperlyConfigured("DELIVERY_HOOK_SECRET must be user:password, as it stands in https://user:password@crm.example.com.")
    hooks: dict[str, dict[str, Any]] = {name: {"webhook_secret": [login]} for name in ("brevo", "postmark", "sendgrid") if login}
    if key := optional_secret("MAILGUN_SIGNING_KEY"):
        hooks["mailgun"] = {"webhook_signing_key": key, "webhook_secret": []}
    if topics := [topic for topic in env.list("SES_TOPICS", default=[]) if topic]:
        if wrong := [topic for topic in topics if not re.fullmatch(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w.-]+", topic)]:
            raise ImproperlyConfigured(f"SES_TOPICS must be names such as arn:aws:sns:eu-west-1:111122223333:bounces, not {wrong[0]!r}.")
        hooks["amazon_ses"] = {"topics": topics}
    return hooks


def mailbox(name: str) -> dict[str, Any] | None:
    """Read where returned mail is collected, as imaps://user:password@host/folder; the sentence never shows the address."""
    address: str = env.str(name, default="")
    if not address:
        return None
    try:
        found = urlsplit(address)
        port = found.port
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is no address of a mailbox: {error}.") from error
    if found.scheme not in ("imaps", "imap") or not (found.hostname and found.username and found.password):
        raise ImproperlyConfigured(f"{name} must be imaps://user:password@host:993/folder; imap:// for a server that begins TLS itself.")
    return {
        "host": found.hostname,
        "port": port or (993 if found.scheme == "imaps" else 143),
        "is_tls": found.scheme == "imaps",
        "user": unquote(found.username),
        "password": unquote(found.password),
        "folder": unquote(found.path.strip("/")) or "INBOX",
    }


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    """Read networks such as 10.0.0.0/8, fd00::/8."""
    found = []
    for word in filter(str.strip, env.list(name, default=[])):
        try:
            found.append(ip_network(word.strip()))
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} must be networks such as 10.0.0.0/8,fd00::/8, not {word!r}: {error}.") from error
    return found


def domain(name: str, *, default: str) -> str:
    """Read the name of a mail domain."""
    word: str = (env.str(name, default="") or default).strip().lower()
    if not re.fullmatch(r"[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?", word):
        raise ImproperlyConfigured(f"{name} must be a domain such as mail.example.com, not {word!r}.")
    return word


def database(name: str, *, default: str) -> dict[str, Any]:
    """Read the address of a SQLite or PostgreSQL database; the sentence never shows it, for it may hold a password."""
    address: str = env.str(name, default=default)
    if address.partition("://")[0] not in DATABASE_SCHEMES or "://" not in address:
        raise ImproperlyConfigured(f"{name} must begin with sqlite:/// or postgres://.")
    try:
        found: dict[str, Any] = env.db_url_config(address)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is no address of a database: {error}.") from error
    if not found.get("NAME"):
        raise ImproperlyConfigured(f"{name} must name a database, as in postgres://user:password@host:5432/name.")
    return found


def time_zone(name: str, *, default: str) -> str:
    """Read a time zone by its name in the IANA table."""
    zone: str = env.str(name, default=default)
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise ImproperlyConfigured(f"{name} must be a time zone such as Europe/Amsterdam, not {zone!r}.") from error
    return zone


def log_level(name: str, *, default: str) -> str:
    """Read how serious a line must be to be logged."""
    level: str = env.str(name, default=default).strip().upper()
    if level not in LOG_LEVELS:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(LOG_LEVELS)}, not {level!r}.")
    return level


def one_of(name: str, words: tuple[str, ...], *, default: str) -> str:
    """Read one of a few words."""
    word: str = env.str(name, default=default).strip().lower()
    if word not in words:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(words)}, not {word!r}.")
    return word


def count(name: str, *, default: int) -> int:
    """Read a whole number of at least 1."""
    text: str = env.str(name, default=str(default)).strip()
    if not (text.isascii() and text.isdigit() and int(text[:9]) >= 1):
        raise ImproperlyConfigured(f"{name} must be a whole number of at least 1, not {text!r}.")
    return int(text)


def mail(name: str, *, default: str) -> dict[str, Any]:
    """Read where mail goes as Django's EMAIL_ settings; the sentence never shows the address, for it may hold a password."""
    address: str = env.str(name, default=default)
    if address.partition("://")[0] not in env.EMAIL_SCHEMES or "://" not in address:
        raise ImproperlyConfigured(f"{name} must begin with smtp+tls://, smtp+ssl://, smtp://, filemail:// or consolemail://.")
    try:
        found: dict[str, Any] = env.email_url_config(address)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is no address of a mail server: {error}.") from error
    if path := found.get("EMAIL_FILE_PATH"):
        found["EMAIL_FILE_PATH"] = f"/{path}"  # the package drops the slash
    return {setting: value for setting, value in found.items() if value is not None}


def public_url(name: str, *, default: str) -> str:
    """Read the address of the installation as a browser has it, without a path or a slash at its end."""
    address: str = (env.str(name, default="").strip() or default).rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.fragment:
        raise ImproperlyConfigured(f"{name} must be an address such as https://crm.example.com, without a path, not {address!r}.")
    return address


def broker(name: str, *, default: str) -> str:
    """Read the address of the queue; the sentence never shows it, for it may hold a password."""
    address: str = env.str(name, default=default)
    try:
        scheme, _port = urlsplit(address).scheme, urlsplit(address).port
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is no address of a queue: {error}.") from error
    if scheme not in BROKER_SCHEMES or "://" not in address:
        raise ImproperlyConfigured(f"{name} must begin with redis://, rediss:// or filesystem://.")
    return address


def numbers(name: str) -> dict[str, dict[str, Any]]:
    """Read an organisation's own numbers as JSON; each policy module judges its own."""
    try:
        given = json.loads(env.str(name, default="{}"))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is no JSON: {error}.") from error
    if not isinstance(given, dict):
        raise ImproperlyConfigured(f'{name} must be a JSON object such as {{"crm": {{"BANT": {{"stale_after_days": 120}}}}}}.')
    for module, tables in given.items():
        if module not in ("crm", "abm"):
            raise ImproperlyConfigured(f"{name} must hold crm and abm, not {module!r}.")
        if not isinstance(tables, dict):
            raise ImproperlyConfigured(f"{name}: {module} must be an object of tables, not {tables!r}.")
    return given
