"""The other program, as we see it: an address that answers with 2xx when it has heard.

Signed as https://www.standardwebhooks.com has it, so that its libraries verify our messages:
HMAC-SHA256 over ``<id>.<seconds since the epoch>.<body>``.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import http.client
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from worker.errors import SettingsError
from worker.settings import Settings
from worker.webhook.events import Event

ANSWER_SECONDS = 10.0
LEAST_KEY_BYTES = 24
BUSY = 429


class NotHeard(Exception):
    """The receiver did not take an event."""

    def __init__(self, reason: str, *, away: bool) -> None:
        super().__init__(reason)
        self.away = away
        """Whether any other event would have fared the same."""


class Receiver:
    """Where events go."""

    def __init__(self, url: str, secret: str) -> None:
        """Raises :class:`SettingsError` for an address or a secret that cannot be."""
        self._url, self.host = url, _host(url)
        self._key = _key(secret)
        self._opener = urllib.request.build_opener(_NoRedirect())

    def tell(self, event: Event, *, at: int) -> None:
        """Delivers an event at ``at`` (seconds since the epoch); raises :class:`NotHeard`."""
        request = urllib.request.Request(
            self._url,
            data=event.body,
            headers={
                "Content-Type": "application/json",
                "User-Agent": "cyclorama",
                "Webhook-Id": event.id,
                "Webhook-Timestamp": str(at),
                "Webhook-Signature": signature(self._key, event, at=at),
            },
        )
        try:
            with self._opener.open(request, timeout=ANSWER_SECONDS):
                return
        except urllib.error.HTTPError as error:
            error.close()
            away = error.code >= 500 or error.code == BUSY
            raise NotHeard(f"answered {error.code}", away=away) from error
        except urllib.error.URLError as error:
            raise NotHeard(f"cannot be reached ({error.reason})", away=True) from error
        except (OSError, http.client.HTTPException) as error:
            raise NotHeard(f"gave no answer ({error})", away=True) from error


def signature(key: bytes, event: Event, *, at: int) -> str:
    """The header that proves that a message is ours and when it was sent."""
    signed = f"{event.id}.{at}.".encode() + event.body
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def receiver_of(settings: Settings) -> Receiver | None:
    """The receiver that the settings name, if they name one. Raises :class:`SettingsError`."""
    secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else ""
    return Receiver(settings.webhook_url, secret) if settings.webhook_url else None


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    plain = url.isascii() and url.isprintable() and " " not in url
    if not plain or not host or parts.scheme not in ("http", "https"):
        raise SettingsError(
            "setting 'webhook_url' (CYCLORAMA_WEBHOOK_URL) is no http:// or https:// address"
        )
    return host


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < LEAST_KEY_BYTES:
        raise SettingsError(
            "setting 'webhook_secret' (CYCLORAMA_WEBHOOK_SECRET) is not the base64 text of "
            f"{LEAST_KEY_BYTES} bytes or more",
            cure="Make one: openssl rand -base64 32",
        )
    return key


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A signed message goes where the settings say and nowhere else."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None
