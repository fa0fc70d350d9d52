"""Credentials: where a text holds them, and how it is shown without them."""

import os
import re
from urllib.parse import parse_qsl, unquote

HIDDEN = "***"
_SECRET_KEY = re.compile(r"pass(word|wd|phrase)?$|secret|token|key|sig(nature)?$|credential", re.IGNORECASE)
_FILES = ("sslkey", "passfile")  # of libpq: paths
_DSN = re.compile(r"\b(?:ssl)?password\s*=\s*('(?:[^'\\]|\\.)*'|\S*)", re.IGNORECASE)
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_ENVIRONMENT = re.compile(r"PGPASSWORD|(AWS|AZURE|GOOGLE|GCS)_.*(SECRET|TOKEN|KEY|PASSWORD)")
_WORD_LENGTH = 4
"""Shorter secrets are hidden where they stand as a word of their own: else a password `a` would hide half a message."""


def secrets_in(text: str) -> list[str]:
    """The secrets that a URI or a libpq connection string holds, as they are written and decoded; most likely none.

    A password in the user's part (`user:password@`), and parameters such as `secret_key`, `token`, `password`.
    """
    found = [value.strip("'") for value in _DSN.findall(text)]
    match = _URI.match(text)
    if match:
        rest, _, query = match[2].partition("?")
        # A password may hold slashes, and then no parser agrees with another; the paths of object stores may hold an @.
        databases = match[1].lower() in ("postgresql", "postgres")
        authority = rest if databases else rest.partition("/")[0]
        user, at, _ = authority.rpartition("@")
        if at and ":" in user:
            password = user.partition(":")[2]
            found += [password, *re.split(r"[:/@#]", password)]
        if at and databases and query.count("@"):  # a question mark in a password
            found += re.split(r"[:/@?#&=]", query.rpartition("@")[0])
        for key, value in parse_qsl(query, keep_blank_values=False):
            if _SECRET_KEY.search(key) and key not in _FILES:
                found.append(value)
        if not at and databases and "@" in query:
            found += re.split(r"[:/@?#&=]", f"{rest.partition(':')[2]}?{query.rpartition('@')[0]}")
    return list(dict.fromkeys(s for secret in found for s in (secret, unquote(secret)) if s))


def without_secrets(text: str, *uris: str) -> str:
    """A text, such as a driver's message, without the secrets of those URIs and of the environment."""
    known = [*uris, *(secret for uri in uris for secret in secrets_in(uri))]
    known += [value for name, value in os.environ.items() if _ENVIRONMENT.fullmatch(name)]
    for secret in sorted({s for s in known if s}, key=len, reverse=True):
        if len(secret) >= _WORD_LENGTH:
            text = text.replace(secret, HIDDEN)
        else:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
    return text
