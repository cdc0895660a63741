"""A real API server on this machine's loopback: etcd, kube-apiserver and kube-controller-manager, no nodes."""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
import json
import os
import signal
import ssl
import subprocess
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.image.bundle.components import components
from infra.image.places import default_cache
from tests.ports import free_port
from tests.waiting import eventually

_NAMES = {"etcd": "server"}


def program(name: str) -> Path | None:
    """Return a program that the bundle is made of, None where it hasn't been built on this machine."""
    binary = _NAMES.get(name, name)
    for component in components():
        if binary in component.binaries and component.name in ("kubernetes", "etcd", "helm"):
            path = default_cache().components / component.digest / binary
            return path if path.exists() else None
    return None


def missing() -> list[str]:
    """Return the programs that these tests need and this machine lacks."""
    names = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "helm")
    return [name for name in names if program(name) is None]


@dataclass
class ApiServer:
    """A cluster of which only the API is real."""

    folder: Path
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def kubeconfig_file(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def kubeconfig(self) -> str:
        return self.kubeconfig_file.read_text()

    def start(self) -> None:
        """Start everything, and return once the API server is ready and has a default namespace."""
        self._write_files()
        self._etcd_port = free_port()
        peer = f"http://127.0.0.1:{free_port()}"
        client = f"http://127.0.0.1:{self._etcd_port}"
        self._run(
            "etcd",
            *("--data-dir", str(self.folder / "etcd")),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}", "--unsafe-no-fsync"),
        )
        self._start_api()
        where = f"its logs are in {self.folder}"
        eventually(lambda: self._is_there("/api/v1/namespaces/default"), f"an API server; {where}")
        self._run(  # which gives up where it isn't answered for half a minute
            "kube-controller-manager",
            *("--kubeconfig", str(self.kubeconfig_file), "--leader-elect=false"),
            *("--bind-address", "127.0.0.1", "--secure-port", str(free_port())),
            *("--service-account-private-key-file", str(self.folder / "sa.key")),
            *("--root-ca-file", str(self.folder / "ca.crt"), "--use-service-account-credentials=true"),
            *("--min-resync-period", "1m", "--namespace-sync-period", "2s"),
        )
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        eventually(lambda: self._is_there(account), f"a service account; {where}")

    def _start_api(self) -> None:
        f = self.folder
        self._run(
            "kube-apiserver",
            *("--etcd-servers", f"http://127.0.0.1:{self._etcd_port}", "--endpoint-reconciler-type=none"),
            *("--bind-address", "127.0.0.1", "--secure-port", str(self.port), "--cert-dir", str(f / "certs")),
            *("--tls-cert-file", str(f / "server.crt"), "--tls-private-key-file", str(f / "server.key")),
            *("--client-ca-file", str(f / "ca.crt"), "--authorization-mode", "RBAC"),
            *("--service-account-key-file", str(f / "sa.pub"), "--service-account-issuer", "https://test"),
            *("--service-account-signing-key-file", str(f / "sa.key")),
            *("--service-cluster-ip-range", "10.250.0.0/24"),
        )

    def _is_there(self, path: str) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return bool(self.get(path)["kind"])
        return False

    def stop(self) -> None:
        for name in reversed(list(self.processes)):
            self._stop(name)

    def get(self, path: str) -> dict[str, Any]:
        """Ask the API server, by other means than the code that is tested."""
        return self._ask(urllib.request.Request(f"https://127.0.0.1:{self.port}{path}"))

    def patch(self, path: str, change: dict[str, Any]) -> dict[str, Any]:
        """Merge something into an object."""
        headers, body = {"Content-Type": "application/merge-patch+json"}, json.dumps(change).encode()
        url = f"https://127.0.0.1:{self.port}{path}"
        return self._ask(urllib.request.Request(url, body, headers, method="PATCH"))

    def _ask(self, request: urllib.request.Request) -> dict[str, Any]:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        context.load_cert_chain(self.folder / "admin.crt", self.folder / "admin.key")
        with urllib.request.urlopen(request, context=context, timeout=5) as answer:
            decoded: dict[str, Any] = json.load(answer)
        return decoded

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        done = subprocess.run(
            [str(program("kubectl")), "--kubeconfig", str(self.kubeconfig_file), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout.strip()

    def helm(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(program("helm")), "--kubeconfig", str(self.kubeconfig_file), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() if done.returncode == 0 else done.stderr.strip()

    def _run(self, name: str, *arguments: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        path = program(name)
        assert path is not None
        with log:
            self.processes[name] = subprocess.Popen(
                [str(path), *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder
            )

    def _stop(self, name: str) -> None:
        process = self.processes.pop(name, None)
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def _write_files(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        ca_key, ca = _certificate("test-ca")
        _, server = _certificate("kube-apiserver", ca_key, ca, address="127.0.0.1", out=self.folder / "server")
        _certificate("admin", ca_key, ca, organisation="system:masters", out=self.folder / "admin")
        (self.folder / "ca.crt").write_bytes(_pem(ca))
        (self.folder / "server.crt").write_bytes(_pem(server))
        service_account = rsa.generate_private_key(65537, 2048)
        (self.folder / "sa.key").write_bytes(_key_pem(service_account))
        (self.folder / "sa.pub").write_bytes(
            service_account.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        self.kubeconfig_file.write_text(json.dumps(self.config()))

    def config(self, *, port: int | None = None) -> dict[str, Any]:
        """Return the kubeconfig, of another port where nothing answers if one is given."""
        content = {
            name: base64.b64encode((self.folder / name).read_bytes()).decode()
            for name in ("ca.crt", "admin.crt", "admin.key")
        }
        cluster = {
            "server": f"https://127.0.0.1:{port or self.port}",
            "certificate-authority-data": content["ca.crt"],
        }
        user = {"client-certificate-data": content["admin.crt"], "client-key-data": content["admin.key"]}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "admin", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        }


def _certificate(
    name: str,
    issuer_key: ec.EllipticCurvePrivateKey | None = None,
    issuer: x509.Certificate | None = None,
    *,
    organisation: str = "",
    address: str = "",
    out: Path | None = None,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if organisation:
        names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name(names)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        usage = ExtendedKeyUsageOID.SERVER_AUTH if address else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if address:
        names_of = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = builder.add_extension(names_of, critical=False)
    certificate = builder.sign(issuer_key or key, hashes.SHA256())
    if out is not None:
        out.with_suffix(".key").write_bytes(_key_pem(key))
        out.with_suffix(".crt").write_bytes(_pem(certificate))
    return key, certificate


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def helm_environment() -> dict[str, str]:
    """Return what makes the stand-in take the helm that was built for the bundle."""
    return {"AZLOCAL_HELM": str(program("helm")), "HOME": os.environ["HOME"]}
