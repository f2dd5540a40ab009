"""The caller's package index, proxy and certificate settings, mounted into builds and never kept in images."""

import configparser
import os
import subprocess
import sys
from pathlib import Path

from dev.localcluster.basefs import RELEASE
from dev.localcluster.debian import debian_mirror

_PIP_KEYS = (
    "index-url",
    "extra-index-url",
    "no-index",
    "trusted-host",
    "proxy",
    "retries",
    "timeout",
    "default-timeout",
    "find-links",
)
_BUNDLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
_SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_BUNDLE_INSIDE = "/etc/ssl/certs/ca-certificates.crt"


def build_mounts(scratch: Path) -> list[str]:
    """The --volume options of a build: pip, uv, apt and certificate settings of the caller."""
    settings = pip_settings()
    files = {
        "/etc/pip.conf": pip_configuration(settings),
        "/etc/uv/uv.toml": uv_configuration(settings),
        "/etc/apt/sources.list": f"deb {debian_mirror()} {RELEASE} main\n",
    }
    mounts = [_mounted(scratch, inside, text) for inside, text in files.items()]
    bundle = certificate_bundle()
    if bundle:
        mounts.append(f"{bundle}:{_BUNDLE_INSIDE}:ro")
    return [word for mount in mounts for word in ("--volume", mount)]


def certificate_bundle() -> Path | None:
    """The file of authorities that the caller trusts."""
    named = (Path(os.environ[name]) for name in _BUNDLES if os.environ.get(name))
    return next((file for file in (*named, _SYSTEM_BUNDLE) if file.is_file()), None)


def pip_settings() -> dict[str, str]:
    """What pip was told on this machine about where packages come from; the environment wins."""
    found: dict[str, str] = {}
    for line in _pip_config_list().splitlines():
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        if key in _PIP_KEYS:
            found[key] = value.strip().strip("'\"").replace("\\n", " ")
    for key in _PIP_KEYS:
        named = os.environ.get(f"PIP_{key.upper().replace('-', '_')}")
        if named:
            found[key] = named
    return _without_local_links(found)


def pip_configuration(settings: dict[str, str]) -> str:
    """The text of pip.conf for builds."""
    lines = [f"{key} = {value}" for key, value in sorted(settings.items())]
    return "\n".join(["[global]", *lines, f"cert = {_BUNDLE_INSIDE}", ""])


def uv_configuration(settings: dict[str, str]) -> str:
    """The text of uv.toml for builds; uv's own variables win over those of pip."""
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL") or settings.get("index-url")
    more = os.environ.get("UV_INDEX") or os.environ.get("UV_EXTRA_INDEX_URL") or settings.get("extra-index-url")
    lines = ["native-tls = true"]
    if index:
        lines.append(f'index-url = "{index}"')
    if more:
        quoted = ", ".join(f'"{address.partition("=")[2] or address}"' for address in more.split())
        lines.append(f"extra-index-url = [{quoted}]")
    return "\n".join([*lines, ""])


def _mounted(scratch: Path, inside: str, text: str) -> str:
    file = scratch / Path(inside).name
    file.write_text(text)
    file.chmod(0o644)
    return f"{file}:{inside}:ro"


def _without_local_links(settings: dict[str, str]) -> dict[str, str]:
    """Folders of this machine are not there inside a build."""
    remote = [link for link in settings.pop("find-links", "").split() if "://" in link]
    return {**settings, "find-links": " ".join(remote)} if remote else settings


def _pip_config_list() -> str:
    answer = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    return answer.stdout if answer.returncode == 0 else _configuration_files()


def _configuration_files() -> str:
    """The same list without pip, which Debian's python3 lacks."""
    parser = configparser.RawConfigParser(strict=False)
    home = Path.home()
    named = os.environ.get("PIP_CONFIG_FILE", "")
    parser.read(["/etc/pip.conf", home / ".pip/pip.conf", home / ".config/pip/pip.conf", *([named] if named else [])])
    return "\n".join(f"{name}.{key}={value}" for name in parser.sections() for key, value in parser.items(name))
