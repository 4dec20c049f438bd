"""The trigger, the probes, and what every answer carries.

`POST /api/trigger-ingestion/` takes what a message of the queue holds and goes the same way. It is off until
TRIGGER_API_TOKEN and ALLOWED_BUCKETS are set. An error is a code and a sentence, never a trace.
"""

from __future__ import annotations

import hmac
import logging
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from etlkit.errors import EtlError
from file_monitoring.services.events import BadMessage, Ignored, ObjectRef, parse_message
from file_monitoring.services.ingestion import Ingested, NeverScored, process_s3_file

READY_SECONDS = 5
"""For so long an answer of the database counts."""
NOTHING_ELSE = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
RETRY_SECONDS = "30"
STATUS_CODES = {"scored": 202, "unchanged": 202, "older": 202, "unknown": 404, "gone": 404, "replaced": 409}
_busy = threading.Semaphore(1)
_ready: dict[str, float] = {}

logger = logging.getLogger("file_monitoring")


class SafeAnswers:
    """Lets no answer load, frame or keep anything: no script, no foreign host, a nonce for the page's own style."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Remember what answers."""
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, with the policy; a probe calls a pod by its address, so it is answered before names are looked at."""
        nonce = secrets.token_urlsafe(16)
        request.nonce = nonce  # type: ignore[attr-defined]  # for the templates
        probe = PROBES.get(request.path)
        response = probe(request) if probe else self._get_response(request)
        response["Content-Security-Policy"] = f"style-src 'nonce-{nonce}'; {NOTHING_ELSE}"
        response["X-Content-Type-Options"] = "nosniff"
        response.setdefault("Cache-Control", "no-store")
        return response


def is_authorised(request: HttpRequest) -> bool:
    """Tell whether a request has the trigger's token."""
    token = settings.MONITOR.trigger_api_token
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return (
        token is not None
        and scheme.lower() == "bearer"
        and hmac.compare_digest(given.strip().encode(), token.get_secret_value().encode())
    )


@csrf_exempt
@require_POST
def trigger_ingestion(request: HttpRequest) -> JsonResponse:
    """Score the objects that the body names; 202 with what became of them, 4xx or 503 with a code."""
    if settings.MONITOR.trigger_api_token is None:
        return refused(404, "not_found", "The trigger is off.")
    if not is_authorised(request):
        logger.warning("a request to the trigger without its token", extra={"address": request.META.get("REMOTE_ADDR")})
        answer = refused(401, "no_token", "Send the token: Authorization: Bearer ...")
        answer["WWW-Authenticate"] = "Bearer"
        return answer
    if not settings.MONITOR.allowed_buckets:
        return refused(403, "no_allowed_buckets", "ALLOWED_BUCKETS is not set, so the trigger reads no bucket.")
    try:
        refs = parse_message(request.body)
    except RequestDataTooBig:
        return refused(413, "too_large", f"The body has more than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes.")
    except BadMessage as error:
        return refused(400, "bad_message", f"{error}.")
    if isinstance(refs, Ignored):
        return JsonResponse({"status": "ignored", "why": refs.why}, status=202)
    if any(ref.bucket not in settings.MONITOR.allowed_buckets for ref in refs):
        return refused(403, "foreign_bucket", "The bucket is not one of ALLOWED_BUCKETS.")
    if not _busy.acquire(blocking=False):
        answer = refused(429, "busy", "Another file is being scored here; try again later.")
        answer["Retry-After"] = RETRY_SECONDS
        return answer
    try:
        return _scored(refs)
    finally:
        _busy.release()


def _scored(refs: list[ObjectRef]) -> JsonResponse:
    """Score some objects in their order."""
    done: list[Ingested] = []
    for ref in refs:
        try:
            done.append(process_s3_file(ref.bucket, ref.key, ref=ref))
        except NeverScored as error:
            logger.error("never scored: %s", error, extra={"bucket": ref.bucket, "key": ref.key})
            return refused(422, "never_scored", f"{error}.", done)
        except (EtlError, DatabaseError, OSError, sqlite3.Error) as error:
            logger.error("not scored: %s", " ".join(str(error).split()), extra={"bucket": ref.bucket, "key": ref.key})
            answer = refused(
                503, "try_again", "S3, the database or this machine did not answer; try again later.", done
            )
            answer["Retry-After"] = RETRY_SECONDS
            return answer
    told = [one.told for one in done]
    document: dict[str, Any] = told[0] if len(told) == 1 else {"results": told}
    return JsonResponse(document, status=max(STATUS_CODES[one.status] for one in done))


def refused(status: int, code: str, words: str, done: list[Ingested] | None = None) -> JsonResponse:
    """Return an error: its code and one sentence, and what was scored before it."""
    document: dict[str, Any] = {"error": code, "message": words}
    if done:
        document["results"] = [one.told for one in done]
    return JsonResponse(document, status=status)


def healthz(_request: HttpRequest) -> HttpResponse:
    """Say that the process answers."""
    return HttpResponse("ok", content_type="text/plain")


def readyz(_request: HttpRequest) -> HttpResponse:
    """Say whether the database answers, as it did in the last seconds."""
    if time.monotonic() - _ready.get("at", -READY_SECONDS) >= READY_SECONDS:
        try:
            with connection.cursor() as cursor:
                cursor.execute("select 1")
        except Exception as error:  # noqa: BLE001 - no database in the settings, or none that answers
            logger.warning("not ready: %s", " ".join(str(error).split()))
            return HttpResponse("the database does not answer", status=503, content_type="text/plain")
        _ready["at"] = time.monotonic()
    return HttpResponse("ok", content_type="text/plain")


def bad_request(_request: HttpRequest, exception: Exception) -> JsonResponse:  # noqa: ARG001 - Django names it
    """Answer what is no proper request."""
    return refused(400, "bad_request", "The request is not understood.")


def not_found(_request: HttpRequest, exception: Exception) -> JsonResponse:  # noqa: ARG001 - Django names it
    """Answer for an address where nothing is."""
    return refused(404, "not_found", "There is nothing here.")


def failed(_request: HttpRequest) -> JsonResponse:
    """Answer for what broke; the log has it."""
    return refused(500, "failed", "Something broke; the log says what.")


PROBES = {"/healthz": healthz, "/readyz": readyz}
