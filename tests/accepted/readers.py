"""Those that read what `up` hands over, asked what they make of it: None, or why they refuse it.

netplan, keepalived and cloud-init's schema are the node image's own, taken out of its tree of packages; kubeadm
and kubelet are the bundle's. None of them changes anything, and none needs root.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import libvirt
import yaml
from jsonschema import Draft4Validator
from lxml import etree

from infra.image.bundle import Bundle
from infra.resources.contract import Contract
from tests.accepted.rendered import Document, Form

SCHEMAS: Final = Path("/usr/share/libvirt/schemas")
_LIBRARIES: Final = "usr/lib/x86_64-linux-gnu"
_CLOUD_CONFIG: Final = "usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json"
_WANTED: Final = (f"./{_LIBRARIES}", "./usr/libexec/netplan", "./usr/sbin/keepalived", f"./{_CLOUD_CONFIG}")
_KNOWN_CLUSTER: Final = "/etc/azlocal/node/cluster.conf"
# kubelet says all that is wrong with its configuration at once, and ends: with this it always ends, and has said
# all else.
_OUR_OWN_FAULT: Final = "imageGCHighThresholdPercent: 101"
_OF_OURS: Final = re.compile(r"invalid configuration: imageGCHighThresholdPercent [^,]+, inclusive(?:, )?")
_FOUND_WRONG: Final = re.compile(r"failed to validate kubelet configuration, error: \[?(.*?)\]?, path: &TypeMeta")

_OF_THIS_MACHINE: Final = re.compile(r"doesn't exist|Non-existent interface|script|Unknown interface")
"""What keepalived says of a machine that has neither a node's interfaces nor its scripts."""


class Readers:
    """All of them, each asked once about a text."""

    def __init__(self, bundle: Bundle, tree: Path, folder: Path) -> None:
        """Take programs out of a node's tree.

        Args:
            bundle: Has kubeadm and kubelet.
            tree: The archive of a node's packages.
            folder: A folder of their own.
        """
        self._bundle, self._folder, self._root = bundle, folder, folder / "tree"
        self._root.mkdir()
        command = ["tar", "--extract", "--file", str(tree), "--directory", str(self._root), *_WANTED]
        subprocess.run(command, check=True)
        self._loader = [str(self._root / _LIBRARIES / "ld-linux-x86-64.so.2"), "--library-path"]
        self._loader.append(str(self._root / _LIBRARIES))
        self._known: dict[Document, str | None] = {}
        self._libvirt = libvirt.open("test:///default")
        self._cloud_config = Draft4Validator(json.loads((self._root / _CLOUD_CONFIG).read_text(encoding="utf-8")))
        known = yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "clusters": []})
        (folder / "cluster.conf").write_text(known, encoding="utf-8")

    def refusal(self, document: Document) -> str | None:
        """Return why a document is refused; None where it is taken."""
        if document not in self._known:
            ask: dict[Form, Callable[[str], str | None]] = {
                "kubeadm": self._kubeadm,
                "kubelet": self._kubelet,
                "domain": lambda text: _schema_refusal("domain", text),
                "network": self._network,
                "storagepool": self._pool,
                "storagevol": lambda text: _schema_refusal("storagevol", text),
                "netplan": self._netplan,
                "keepalived": self._keepalived,
                "nft": lambda text: self._nft(text, "--json"),
                "firewall": self._nft,
                "cloud-config": self._cloud_config_refusal,
                "contract": _contract,
            }
            self._known[document] = ask[document.form](document.text)
        return self._known[document]

    @property
    def asked(self) -> int:
        """Return how many documents were asked about."""
        return len(self._known)

    def _kubeadm(self, text: str) -> str | None:
        path = self._file("kubeadm.yaml", text.replace(_KNOWN_CLUSTER, str(self._folder / "cluster.conf")))
        done = _run([str(self._bundle.binary("kubeadm")), "config", "validate", "--config", path])
        return None if done.returncode == 0 else done.stderr

    def _kubelet(self, text: str) -> str | None:
        """Start it with what kubeadm makes of a registration, up to where it validates its configuration."""
        registration = next(yaml.safe_load_all(text))["nodeRegistration"]
        taints = [
            f"{one['key']}={one.get('value', '')}:{one['effect']}".replace("=:", ":")
            for one in registration.get("taints", ())
        ]
        flags = [f"--{name}={value}" for name, value in _arguments(registration)]
        flags += [f"--hostname-override={registration['name']}", f"--register-with-taints={','.join(taints)}"]
        settings = f"apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n{_OUR_OWN_FAULT}\n"
        command = [str(self._bundle.binary("kubelet")), *flags, f"--config={self._file('kubelet.yaml', settings)}"]
        done = _run(command)
        found = _FOUND_WRONG.search(done.stderr)
        if found is None:
            return done.stderr[-500:] or "it started"
        return _OF_OURS.sub("", found[1]) or None

    def _network(self, text: str) -> str | None:
        if refused := _schema_refusal("network", text):
            return refused
        try:
            self._libvirt.networkDefineXML(text).undefine()
        except libvirt.libvirtError as error:
            return str(error)
        return None

    def _pool(self, text: str) -> str | None:
        if refused := _schema_refusal("storagepool", text):
            return refused
        try:
            self._libvirt.storagePoolDefineXML(text).undefine()
        except libvirt.libvirtError as error:
            return str(error)
        return None

    def _netplan(self, text: str) -> str | None:
        with tempfile.TemporaryDirectory(dir=self._folder) as root:
            path = Path(root) / "etc/netplan/90-azlocal.yaml"
            path.parent.mkdir(parents=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o600)
            generate = str(self._root / "usr/libexec/netplan/generate")
            done = _run([*self._loader, generate, "--root-dir", root])
            return None if done.returncode == 0 else done.stderr

    def _keepalived(self, text: str) -> str | None:
        path = self._file("keepalived.conf", text.replace("  include /etc/keepalived/peers.conf\n", ""))
        program = str(self._root / "usr/sbin/keepalived")
        done = _run([*_apart(), *self._loader, program, "--config-test", f"--use-file={path}"])
        said = (done.stdout + done.stderr).splitlines()
        return "\n".join(one for one in said if one.strip() and not _OF_THIS_MACHINE.search(one)) or None

    def _nft(self, text: str, *flags: str) -> str | None:
        done = _run([*_apart(), "nft", *flags, "--check", "--file", self._file("rules", text)])
        return None if done.returncode == 0 else done.stderr + done.stdout

    def _cloud_config_refusal(self, text: str) -> str | None:
        content = yaml.safe_load(text)
        # What its code takes, and Debian 12's schema of it doesn't know yet: a list here, false there.
        content["users"][0]["sudo"] = content["users"][0]["sudo"][0]
        del content["locale"]
        faults = self._cloud_config.iter_errors(content)
        return "; ".join(f"{list(one.path)}: {one.message}" for one in faults) or None

    def _file(self, name: str, text: str) -> str:
        path = self._folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)


def _arguments(registration: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return ((one["name"], one["value"]) for one in registration["kubeletExtraArgs"])


def _contract(text: str) -> str | None:
    """Ask our own plugin, as the engine does."""
    token, inputs = json.loads(text)
    _, faults = Contract.registry[token].check(inputs, frozenset())
    return "; ".join(one.reason for one in faults) or None


@cache
def _relax_ng(name: str) -> etree.RelaxNG:
    return etree.RelaxNG(file=str(SCHEMAS / f"{name}.rng"))


def _schema_refusal(name: str, text: str) -> str | None:
    schema = _relax_ng(name)
    document = etree.fromstring(text.encode())
    return None if schema.validate(document) else str(schema.error_log)[:1000]


def _apart() -> list[str]:
    """Return what lets a program look at a network of its own, with or without root."""
    return ["unshare", "--map-root-user", "--net"]


def _run(command: list[str]) -> subprocess.CompletedProcess[Any]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
