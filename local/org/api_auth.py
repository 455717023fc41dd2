"""Logging in: OAuth client credentials, JWT bearer and username-password, and SOAP login()."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree

import jwt
from cryptography import x509
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.org.org import Org

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LAST_SOAP_LOGIN_VERSION = 64
_MAX_BODY = 1 << 20
_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
)
_INVALID_LOGIN = "INVALID_LOGIN: Invalid username, password, security token; or user locked out."


class LoginRefused(Exception):
    """A login that the org refuses, with OAuth's two texts."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description


def _same(given: str | None, right: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), right.encode())


def _basic(request: Request) -> tuple[str | None, str | None]:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None, None
    try:
        key, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None, None
    return key, secret


async def _token(request: Request) -> Response:
    org: Org = request.app.state.org
    body = (await request.body())[:_MAX_BODY].decode("utf-8", "replace")
    form = {name: values[0] for name, values in parse_qs(body).items()}
    try:
        kind = _grant(org, request, form)
    except LoginRefused as refused:
        answer = {"error": refused.error, "error_description": refused.description}
        return JSONResponse(answer, status_code=400, headers={"Cache-Control": "no-store"})
    token = org.sessions.open(kind=kind, at=org.store.clock)
    return JSONResponse(_granted(org, token), headers={"Cache-Control": "no-store"})


def _grant(org: Org, request: Request, form: Mapping[str, str]) -> str:
    """Return the kind of a login that is granted, or raise LoginRefused."""
    kind = form.get("grant_type", "")
    if kind == "client_credentials":
        key, secret = _basic(request)
        _check_client(org, key or form.get("client_id"), secret or form.get("client_secret"))
    elif kind == "password":
        _check_client(org, form.get("client_id"), form.get("client_secret"))
        _check_user(org, form.get("username"), form.get("password"))
    elif kind == JWT_GRANT:
        _check_assertion(org, form.get("assertion", ""))
        kind = "jwt"
    else:
        raise LoginRefused("unsupported_grant_type", "grant type not supported")
    return kind


def _check_client(org: Org, key: str | None, secret: str | None) -> None:
    if not _same(key, org.credentials.consumer_key):
        raise LoginRefused("invalid_client_id", "client identifier invalid")
    if not _same(secret, org.credentials.consumer_secret):
        raise LoginRefused("invalid_client", "invalid client credentials")


def _check_user(org: Org, username: str | None, password: str | None) -> None:
    who = org.credentials
    named = _same((username or "").lower(), who.username)
    if not (_same(password, who.password + who.security_token) and named):
        raise LoginRefused("invalid_grant", "authentication failure")


def _check_assertion(org: Org, assertion: str) -> None:
    """Check a JWT. Its expiry is the machine's time, because clients take it from their machine's clock."""
    certificate = x509.load_pem_x509_certificate(org.home.app_certificate.read_bytes())
    who = org.credentials
    try:
        claims = jwt.decode(
            assertion,
            certificate.public_key(),  # type: ignore[arg-type]  # always RSA: made in home.py
            algorithms=["RS256"],
            audience=org.login_url,
            options={"require": ["iss", "sub", "aud", "exp"]},
        )
    except jwt.InvalidAudienceError:
        raise LoginRefused("invalid_grant", "audience is invalid") from None
    except jwt.ExpiredSignatureError:
        raise LoginRefused("invalid_grant", "assertion has expired") from None
    except (jwt.PyJWTError, ValueError, TypeError):
        raise LoginRefused("invalid_grant", "invalid assertion") from None
    if not _same(str(claims["iss"]), who.consumer_key):
        raise LoginRefused("invalid_client_id", "client identifier invalid")
    if str(claims["sub"]).lower() != who.username:
        raise LoginRefused("invalid_grant", "user hasn't approved this consumer")


def _granted(org: Org, token: str) -> dict[str, Any]:
    who = org.credentials
    identity = f"{org.login_url}/id/{who.org_id}/{who.user_id}"
    issued = str(int(time.time() * 1000))
    digest = hmac.new(who.consumer_secret.encode(), (identity + issued).encode(), hashlib.sha256).digest()
    return {
        "access_token": token,
        "signature": base64.b64encode(digest).decode(),
        "scope": "api",
        "instance_url": org.instance_url,
        "id": identity,
        "token_type": "Bearer",
        "issued_at": issued,
    }


async def _soap(request: Request) -> Response:
    org: Org = request.app.state.org
    version = str(request.path_params["version"])
    body = (await request.body())[:_MAX_BODY]
    major = version.partition(".")[0]
    if not major.isdigit() or int(major) > LAST_SOAP_LOGIN_VERSION:
        return _fault("UNSUPPORTED_API_VERSION", f"login() is not available in API version {version}; use OAuth")
    try:
        # expat bounds the expansion of entities since 2.4.1, and only this machine can reach the server.
        root = ElementTree.fromstring(body)  # noqa: S314
    except ElementTree.ParseError as error:
        return _fault("soapenv:Client", f"the body is not XML: {error}", prefixed=False)
    username, password, org_id = (_text(root, name) for name in ("username", "password", "organizationId"))
    who = org.credentials
    # Within an org's trusted IP ranges (simple-salesforce's organizationId flow) the password needs no security token.
    right = who.password if org_id else who.password + who.security_token
    known_org = org_id is None or org_id[:15] == who.org_id[:15]
    if not (known_org and _same(username.lower() if username else None, who.username) and _same(password, right)):
        return _fault("INVALID_LOGIN", _INVALID_LOGIN)
    token = org.sessions.open(kind="soap", at=org.store.clock)
    url = f"{org.instance_url}/services/Soap/u/{version}/{who.org_id[:15]}"
    return _xml(
        f"{_ENVELOPE} "
        'xmlns="urn:partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        f"<loginResponse><result><metadataServerUrl>{escape(url.replace('/u/', '/m/'))}</metadataServerUrl>"
        "<passwordExpired>false</passwordExpired><sandbox>false</sandbox>"
        f"<serverUrl>{escape(url)}</serverUrl><sessionId>{escape(token)}</sessionId><userId>{who.user_id}</userId>"
        f"<userInfo><organizationId>{who.org_id}</organizationId><userName>{escape(who.username)}</userName></userInfo>"
        "</result></loginResponse></soapenv:Body></soapenv:Envelope>",
        status=200,
    )


def _text(root: ElementTree.Element, name: str) -> str | None:
    """Return the text of the first element of that local name."""
    found = next((item for item in root.iter() if item.tag.rpartition("}")[2] == name), None)
    return None if found is None else (found.text or "")


def _fault(code: str, message: str, *, prefixed: bool = True) -> Response:
    full = f"sf:{code}" if prefixed else code
    return _xml(
        f"{_ENVELOPE} "
        'xmlns:sf="urn:fault.partner.soap.sforce.com" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        f"<soapenv:Fault><faultcode>{full}</faultcode><faultstring>{escape(message)}</faultstring><detail>"
        f'<sf:LoginFault xsi:type="sf:LoginFault"><sf:exceptionCode>{escape(code)}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{escape(message.removeprefix(f'{code}: '))}</sf:exceptionMessage></sf:LoginFault>"
        "</detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>",
        status=500,
    )


def _xml(text: str, *, status: int) -> Response:
    return Response(text, status_code=status, media_type="text/xml; charset=utf-8")


def routes() -> list[Route]:
    """Return the login routes: below ``/sim.salesforce.com`` (what a connection's domain leads to) and at the root."""
    return [
        route
        for base in ("/sim.salesforce.com", "")
        for route in (
            Route(f"{base}/services/oauth2/token", _token, methods=["POST"]),
            Route(f"{base}/services/Soap/u/{{version}}", _soap, methods=["POST"]),
        )
    ]
