"""The certificates of a cluster, made by openssl (elliptic curves: ten milliseconds each)."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.localcluster.shell import run

DAYS = "3650"
_CONFIG = "[req]\ndistinguished_name = name\n[name]\n"


@dataclass(frozen=True)
class Subject:
    """Who a certificate speaks for: user and groups, or the names of a server."""

    user: str
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def distinguished_name(self) -> str:
        """The name as openssl writes it."""
        return "".join(f"/O={_escaped(group)}" for group in self.groups) + f"/CN={_escaped(self.user)}"


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "ca.crt"

    def ensure(self) -> None:
        """Make the authority and the key of service account tokens if they are not there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "openssl.cnf").write_text(_CONFIG)
        if not self.certificate.exists():
            self._request("ca", "/CN=local-cluster", ["basicConstraints=critical,CA:TRUE"])
        if not (self.folder / "service-account.pub").exists():
            self._service_account_key()

    def issue(self, name: str, subject: Subject) -> tuple[Path, Path]:
        """A certificate and its key; made once."""
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if not certificate.exists():
            extensions = [
                "basicConstraints=critical,CA:FALSE",
                "extendedKeyUsage=serverAuth,clientAuth",
                *([f"subjectAltName={','.join(subject.names)}"] if subject.names else []),
            ]
            signer = ["-CA", str(self.certificate), "-CAkey", str(self.folder / "ca.key")]
            self._request(name, subject.distinguished_name(), extensions, signer)
        return certificate, key

    def kubeconfig(self, target: Path, url: str, subject: Subject) -> Path:
        """A kubeconfig, all certificates inside, for one user (JSON is YAML)."""
        certificate, key = self.issue(target.stem, subject)
        cluster = {"server": url, "certificate-authority-data": _encoded(self.certificate)}
        user = {"client-certificate-data": _encoded(certificate), "client-key-data": _encoded(key)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": cluster}],
            "users": [{"name": subject.user, "user": user}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": subject.user}}],
            "current-context": "local",
        }
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch(mode=0o600)
        target.write_text(json.dumps(content, indent=1) + "\n")
        return target

    def _request(self, name: str, subject: str, extensions: list[str], signer: Sequence[str] = ()) -> None:
        key, fresh = self.folder / f"{name}.key", self.folder / f"{name}.crt.new"
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        added = [word for extension in extensions for word in ("-addext", extension)]
        config = ["-config", str(self.folder / "openssl.cnf")]
        out = ["-days", DAYS, "-subj", subject, "-keyout", str(key), "-out", str(fresh)]
        run(["openssl", "req", "-x509", *config, *curve, *signer, *added, *out])
        fresh.rename(self.folder / f"{name}.crt")

    def _service_account_key(self) -> None:
        key, public = self.folder / "service-account.key", self.folder / "service-account.pub"
        run(["openssl", "ecparam", "-genkey", "-noout", "-name", "prime256v1", "-out", key])
        key.chmod(0o600)
        run(["openssl", "ec", "-in", key, "-pubout", "-out", public])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("/", "\\/")


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
