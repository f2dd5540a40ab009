"""The way to a store: a pool of connections that trusts whom the settings say and goes through their proxy."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import certifi
import urllib3

from modelyard.api.store import StoreConnection, check_bundle
from modelyard.storage.errors import Misconfigured

INSTALLATION = "chart value store."


@dataclass(frozen=True, slots=True)
class Route:
    """A connection and where a person finds its settings: a message names `fields` + name."""

    connection: StoreConnection
    fields: str = INSTALLATION
    address: str = "endpoint"
    """Name of the field that holds the address."""

    @property
    def endpoint(self) -> str:
        """The store's address."""
        return self.connection.endpoint

    def field(self, name: str) -> str:
        """What to change."""
        return f"{self.fields}{self.address if name == 'endpoint' else name}"

    def pool(self, timeout: urllib3.Timeout, maxsize: int) -> urllib3.PoolManager:
        """Connections without retries; Misconfigured if the bundle cannot be read."""
        proxy, tls = self.connection.proxy, None
        if self.endpoint.startswith("https:") or (proxy or "").startswith("https:"):
            tls = self._trust()
        if proxy:
            return urllib3.ProxyManager(
                proxy, timeout=timeout, maxsize=maxsize, retries=False, ssl_context=tls, proxy_ssl_context=tls
            )
        return urllib3.PoolManager(timeout=timeout, maxsize=maxsize, retries=False, ssl_context=tls)

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())
        bundle = self.connection.ca_bundle
        if bundle:
            try:
                check_bundle(bundle)
            except ValueError as fault:
                raise Misconfigured(f"{self.field('caBundle')}: {fault}") from fault
            context.load_verify_locations(cadata=bundle)
            # Authorities of one's own often lack extensions that the strict mode of newer Pythons asks for.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context
