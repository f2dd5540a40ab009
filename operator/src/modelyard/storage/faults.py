"""What a client's exception means, and which setting to change when it is one."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

import urllib3
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, ProxyError

from modelyard.storage.errors import AlreadyExists, Denied, Misconfigured, Missing, StoreError, Unavailable
from modelyard.storage.route import Route

DENIED_CODES = {
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidTokenId",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
MISSING_CODES = {"NoSuchKey", "NoSuchUpload", "NoSuchBucket", "NoSuchVersion", "ResourceNotFound"}
REGION_CODES = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}
IN_HOST_CODES = {"InvalidPathAccess", "PathStyleDomainForbidden", "SecondLevelDomainForbidden"}
"""What Volcano Engine, Tencent Cloud and Alibaba Cloud say of a bucket in the path."""
NO_SUCH_HOST_STYLE = {"InvalidBucketName", "MethodNotAllowed", "NoSuchBucket"}
NO_ANSWER = (urllib3.exceptions.HTTPError, ServerError, InvalidResponseError, ConnectionError, TimeoutError)
OTHER_NAME, OUT_OF_DATE = (62, 64), (9, 10)
"""Codes of OpenSSL: the certificate is for another host or address; not yet or not any more valid."""
NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL"}


def translate(fault: Exception, what: str, route: Route) -> StoreError:
    """The store error that a client's exception means; other exceptions are raised as they are."""
    if isinstance(fault, StoreError):
        return fault
    if isinstance(fault, S3Error):
        return from_code(fault.code, f"cannot {what} at {route.endpoint}: {fault.code}: {fault.message}", route)
    if isinstance(fault, NO_ANSWER) or _is_other_xml(fault):
        return no_answer(fault, f"cannot {what}", route)
    raise fault


def from_code(code: str | None, message: str, route: Route) -> StoreError:
    """What a store's own word means."""
    if code in REGION_CODES:
        said = f"{route.field('region')} (now {route.connection.region}) or {route.field('endpoint')}"
        return Misconfigured(f"{message}: the bucket is in another region: correct {said}")
    if code in IN_HOST_CODES:
        return Misconfigured(f"{message}: set {route.field('addressing')} to virtualHost")
    if code in NO_SUCH_HOST_STYLE and route.connection.addressing == "virtualHost":
        message += f": where the bucket is there, set {route.field('addressing')} to path"
    if code == "RequestTimeTooSkewed":
        message += ": set the clock of the node"
    if code in DENIED_CODES:
        return Denied(message)
    if code in MISSING_CODES:
        return Missing(message)
    if code == "PreconditionFailed":
        return AlreadyExists(message)
    return Unavailable(message)


def no_answer(fault: Exception, what: str, route: Route) -> StoreError:
    """What it means that nothing, or nothing of S3, came back."""
    kind, hint = _hint(fault, route)
    through = f" through the proxy {route.connection.proxy}" if route.connection.proxy else ""
    text = f"{what}: no good answer from {route.endpoint}{through} ({type(fault).__name__}: {_short(fault)})"
    return kind(f"{text}: {hint}" if hint else text)


def _hint(fault: Exception, route: Route) -> tuple[type[StoreError], str]:
    causes = list(_causes(fault))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _certificate(cause, route)
        if isinstance(cause, ssl.SSLError) and cause.reason in NO_TLS:
            return (
                Misconfigured,
                f"what answers speaks no TLS: correct the scheme or the port of {_field(route, fault)}",
            )
    for cause in causes:
        if isinstance(cause, ProxyError):
            return _proxy(str(cause.original_error), route)
        if isinstance(cause, NameResolutionError):
            return Unavailable, _unknown_host(route)
        if isinstance(cause, ConnectTimeoutError):
            remedy = f"check {route.field('endpoint')}, and that a NetworkPolicy or firewall lets this pod reach it"
            return Unavailable, f"{remedy}; where a proxy stands between, set {route.field('proxy')}"
    if isinstance(fault, InvalidResponseError) or _is_other_xml(fault):
        return _no_store(str(fault), route)
    return Unavailable, ""


def _certificate(cause: ssl.SSLCertVerificationError, route: Route) -> tuple[type[StoreError], str]:
    if cause.verify_code in OUT_OF_DATE:
        return Unavailable, "renew the store's certificate, or set the clock of the node"
    if cause.verify_code in OTHER_NAME:
        remedy = f"use a name of the certificate in {route.field('endpoint')}"
        if route.connection.addressing == "virtualHost":
            remedy += f" (it must be for *.{_host(route)} too), or set {route.field('addressing')} to path"
        return Misconfigured, remedy
    return Misconfigured, f"put the authority that signed the certificate, as PEM, into {route.field('caBundle')}"


def _proxy(told: str, route: Route) -> tuple[type[StoreError], str]:
    field = route.field("proxy")
    if " 407 " in f"{told} ":
        return (
            Misconfigured,
            f"the proxy asks for a password, which none is kept for: let pods pass, or correct {field}",
        )
    if "Tunnel connection failed" in told:
        return Unavailable, f"the proxy did not connect to {_host(route)}: have it allowed there, or correct {field}"
    return Unavailable, f"the proxy cannot be reached: correct {field}"


def _unknown_host(route: Route) -> str:
    if route.connection.addressing != "virtualHost":
        return f"the name is not known: correct {route.field('endpoint')}"
    return (
        f"the name <bucket>.{_host(route)} is not known: set {route.field('addressing')} to path, "
        f"or correct {route.field('endpoint')}"
    )


def _no_store(told: str, route: Route) -> tuple[type[StoreError], str]:
    if "HTTPS server" in told:
        return Misconfigured, f"{route.field('endpoint')} must begin with https://"
    fields = [route.field("endpoint")]
    fields += [route.field("proxy")] if route.connection.proxy else []
    fields += [f"set {route.field('addressing')} to path"] if route.connection.addressing == "virtualHost" else []
    return Unavailable, f"what answered is no S3 store (a console, a proxy's page): correct {' or '.join(fields)}"


def _is_other_xml(fault: Exception) -> bool:
    """True for an answer that the client cannot read: a store that takes the bucket for the host lists buckets."""
    return isinstance(fault, ParseError) or (isinstance(fault, ValueError) and str(fault).startswith("XML element"))


def _field(route: Route, fault: Exception) -> str:
    return route.field("proxy" if isinstance(fault, ProxyError) else "endpoint")


def _host(route: Route) -> str:
    return urlsplit(route.endpoint).hostname or route.endpoint


def _short(fault: Exception) -> str:
    text = " ".join(str(fault).split())
    return text if len(text) <= 400 else f"{text[:400]} ..."


def _causes(fault: BaseException | None) -> Iterator[BaseException]:
    """The exception and what it came from, each once."""
    seen: set[int] = set()
    while fault is not None and id(fault) not in seen:
        seen.add(id(fault))
        yield fault
        inner = getattr(fault, "original_error", None) or getattr(fault, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in fault.args if isinstance(arg, BaseException)), None)
        fault = inner or fault.__cause__ or fault.__context__
