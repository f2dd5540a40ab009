"""Short-lived keys by STS AssumeRole, each limited to the places of one run by an inline policy."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import ParseError

import urllib3
from minio.credentials import AssumeRoleProvider

from modelyard import names
from modelyard.api.access import Access, Place
from modelyard.api.store import StoreConnection
from modelyard.storage.errors import Denied, Unavailable
from modelyard.storage.faults import no_answer
from modelyard.storage.route import Route

SECONDS = 3600
"""The shortest time that the client asks for."""
LONGEST_POLICY = 2048
READ = ("s3:GetObject",)
WRITE = (*READ, "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")


@dataclass(frozen=True)
class Keys:
    """A key pair with its session token, and the time (UTC) at which it ends."""

    access_key: str
    secret_key: str
    session_token: str
    expiration: datetime


class NoSts(Denied):
    """The store gives no short-lived keys."""

    reason = names.NO_STS


class Sts:
    """The store's token service, asked with the operator's own key."""

    def __init__(
        self, where: StoreConnection, access_key: str, secret_key: str, role: str = "", address: str = "endpoint"
    ) -> None:
        """`address` names the field of the installation's `store` that holds the address."""
        self._endpoint, self._region, self._role = where.endpoint, where.region, role
        self._key, self._route = (access_key, secret_key), Route(where, address=address)
        self._pool = self._route.pool(urllib3.Timeout(connect=5.0, read=10.0), maxsize=4)

    def keys(self, access: Access, session: str) -> Keys:
        """Keys for these places alone; NoSts if the store has no such service, Unavailable if it does not answer."""
        provider = AssumeRoleProvider(
            sts_endpoint=self._endpoint,
            access_key=self._key[0],
            secret_key=self._key[1],
            duration_seconds=SECONDS,
            policy=policy(access),
            region=self._region,
            role_arn=self._role or None,
            role_session_name=session,
            http_client=self._pool,
        )
        try:
            found = provider.retrieve()
        except (urllib3.exceptions.HTTPError, OSError) as fault:
            raise no_answer(fault, "cannot get short-lived keys", self._route) from fault
        except (ValueError, ParseError) as fault:
            raise self._refused(str(fault)) from fault
        if not found.session_token or found.expiration is None:
            raise self._refused("keys without session token")
        return Keys(found.access_key, found.secret_key, found.session_token, found.expiration)

    def _refused(self, told: str) -> Denied | Unavailable:
        code = re.search(r"status code (\d+)", told)
        status = int(code[1]) if code else 0
        if status == 429 or (status >= 500 and status != 501):
            return Unavailable(f"{self._endpoint} answered {status} to AssumeRole")
        why = f"HTTP {status}" if status else "no answer of such a service"
        return NoSts(f"the artifact store at {self._endpoint} gives no short-lived keys ({why} to STS AssumeRole)")


def policy(access: Access) -> str:
    """An S3 policy for these places and nothing else; NoSts if it is longer than stores take."""
    places = [*access.write, *access.read]
    statements = [_objects(WRITE, access.write)]
    if access.read:
        statements.append(_objects(READ, access.read))
    statements += [_listing(place) for place in places if place.is_folder]
    text = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
    if len(text) > LONGEST_POLICY:
        raise NoSts(f"the names of the run's places are too long for a store policy ({len(text)} characters)")
    return text


def _objects(actions: tuple[str, ...], places: tuple[Place, ...]) -> dict[str, Any]:
    named = [f"arn:aws:s3:::{place.bucket}/{place.key}{'*' if place.is_folder else ''}" for place in places]
    return {"Effect": "Allow", "Action": list(actions), "Resource": named}


def _listing(place: Place) -> dict[str, Any]:
    below = {"StringLike": {"s3:prefix": [f"{place.key}*"]}}
    return {
        "Effect": "Allow",
        "Action": ["s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{place.bucket}"],
        "Condition": below,
    }
