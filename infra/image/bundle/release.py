"""The source `release`: the projects' own downloads, each checked against the checksum they published.

The checksums of the versions we name are in files/release.sums, so a server can't change both. An image is named
by its tag: the registry decides what that is.

What no project publishes is made here, of downloads and Debian's packages.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Final

from infra.image.beside import beside
from infra.image.bundle.assemble import assemble
from infra.image.bundle.components import CONTAINERD_VERSION, HELM_VERSION, RUNC_VERSION
from infra.image.bundle.debian import install
from infra.image.bundle.images import images, made_here
from infra.image.bundle.inventory import ImageContent, Inventory, Program, content_of
from infra.image.bundle.parts import Image
from infra.image.bundle.recipe import digest_of
from infra.image.bundle.sources import Draft
from infra.image.bundle.store import sha256_of
from infra.image.errors import ImageError
from infra.image.folders import publish, step
from infra.image.tools import Runner
from infra.model.versions import DEFAULT, KubernetesVersion

_KUBERNETES: Final = "https://dl.k8s.io"
_HELM: Final = "https://get.helm.sh"
_GITHUB: Final = "https://github.com"
_PROGRAMS: Final = ("kubeadm", "kubelet", "kubectl")
_CONTAINERD: Final = ("containerd", "containerd-shim-runc-v2", "ctr")
_SECONDS_TO_ANSWER: Final = 4
_SUMS: Final = "files/release.sums"

# The variables' names, and what they replace; `azlocal image build --help` lists them.
KUBERNETES_VARIABLE: Final = "AZLOCAL_KUBERNETES_MIRROR"
HELM_VARIABLE: Final = "AZLOCAL_HELM_MIRROR"
GITHUB_VARIABLE: Final = "AZLOCAL_GITHUB_MIRROR"
IMAGES_VARIABLE: Final = "AZLOCAL_IMAGE_MIRROR"


@dataclass(frozen=True)
class Endpoints:
    """Where downloads come from.

    Attributes:
        kubernetes: In place of https://dl.k8s.io.
        helm: In place of https://get.helm.sh.
        images: A registry that has every image under its own name, as in
            `mirror.example:5000/registry.k8s.io/pause`; none: each from its own registry.
        github: In place of https://github.com, from whose releases containerd and runc come.
    """

    kubernetes: str = _KUBERNETES
    helm: str = _HELM
    images: str = ""
    github: str = _GITHUB

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Endpoints:
        """Read the endpoints from the environment."""
        return cls(
            kubernetes=environment.get(KUBERNETES_VARIABLE, _KUBERNETES).rstrip("/"),
            helm=environment.get(HELM_VARIABLE, _HELM).rstrip("/"),
            images=environment.get(IMAGES_VARIABLE, "").rstrip("/"),
            github=environment.get(GITHUB_VARIABLE, _GITHUB).rstrip("/"),
        )

    def program(self, name: str, version: KubernetesVersion = DEFAULT) -> str:
        """Return a Kubernetes program's address; its checksum is beside it."""
        return f"{self.kubernetes}/{version.tag}/bin/linux/amd64/{name}"

    @property
    def helm_archive(self) -> str:
        """The address of Helm's archive; its checksum is beside it."""
        return f"{self.helm}/helm-{HELM_VERSION}-linux-amd64.tar.gz"

    @property
    def containerd_archive(self) -> str:
        """The address of containerd's archive of static programs; its checksum is beside it."""
        name = f"containerd-static-{CONTAINERD_VERSION.removeprefix('v')}-linux-amd64.tar.gz"
        return f"{self.github}/containerd/containerd/releases/download/{CONTAINERD_VERSION}/{name}"

    @property
    def runc(self) -> str:
        """The address of runc."""
        return f"{self.github}/opencontainers/runc/releases/download/{RUNC_VERSION}/runc.amd64"

    @property
    def runc_sums(self) -> str:
        """The address of the checksums of all that runc's project publishes of this version."""
        return f"{self.runc.rpartition('/')[0]}/runc.sha256sum"


def why_unreachable(endpoints: Endpoints, run: Runner, version: KubernetesVersion = DEFAULT) -> str | None:
    """Return why the downloads can't be had, or None where each server of programs answers quickly."""
    for address in (
        f"{endpoints.program('kubeadm', version)}.sha256",
        f"{endpoints.helm_archive}.sha256sum",
        endpoints.runc_sums,
    ):
        try:
            _curl(run, "--max-time", str(_SECONDS_TO_ANSWER), "--output", "/dev/null", address)
        except ImageError as error:
            reason = error.message.splitlines()[-1].strip()
            return f"{address} doesn't answer within {_SECONDS_TO_ANSWER} s: {reason}"
    return None


@cache
def pinned_sums() -> Mapping[str, str]:
    """Return the checksums that we know, by the ends of the addresses."""
    text = (files(__package__) / _SUMS).read_text(encoding="ascii")
    pairs = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {path: checksum for checksum, path in pairs}


class Release:
    """Downloads programs and container images.

    Args:
        endpoints: Where from.
        sums: The checksums that are known beforehand, by the ends of the addresses.
    """

    def __init__(self, endpoints: Endpoints, sums: Mapping[str, str] | None = None) -> None:
        self._endpoints = endpoints
        self._sums = pinned_sums() if sums is None else sums

    def fill(self, draft: Draft) -> Inventory:
        """Fill a draft.

        Raises:
            ImageError: A download can't be had, or isn't what its checksum says.
        """
        draft.binaries.mkdir()
        draft.images.mkdir()
        inventory = Inventory()
        ours = made_here("release", draft.version)
        with beside(partial(install, ours, draft), draft.run.stop):
            self._published(draft, inventory)
        packages = assemble(draft, "release", ours, {"helm": draft.binaries})
        for image in ours:
            inventory.images[image.name] = content_of(image, packages, lambda binary: binary.name)
        return inventory

    def _published(self, draft: Draft, inventory: Inventory) -> None:
        for name in _PROGRAMS:
            address = self._endpoints.program(name, draft.version)
            kept = self._download(draft, address, f"{address}.sha256")
            self._install(draft, kept, name, draft.version.tag, inventory)
        self._helm(draft, inventory)
        self._containerd(draft, inventory)
        published = [image for image in images(draft.version) if not image.ours]
        for index, image in enumerate(published, 1):
            place = f"{index} of {len(published)}"
            shutil.copyfile(self._image(draft, image, place), draft.images / f"{image.name}.tar")
            inventory.images[image.name] = ImageContent()

    def _install(self, draft: Draft, source: Path, name: str, version: str, inventory: Inventory) -> None:
        target = draft.binaries / name
        shutil.copyfile(source, target)
        target.chmod(0o755)
        inventory.programs[name] = Program(target, version)

    def _helm(self, draft: Draft, inventory: Inventory) -> None:
        unpacked = self._unpacked(draft, self._endpoints.helm_archive, "helm")
        self._install(draft, unpacked / "linux-amd64/helm", "helm", HELM_VERSION, inventory)

    def _containerd(self, draft: Draft, inventory: Inventory) -> None:
        unpacked = self._unpacked(draft, self._endpoints.containerd_archive, "containerd")
        for name in _CONTAINERD:
            self._install(draft, unpacked / "bin" / name, name, CONTAINERD_VERSION, inventory)
        runc = self._download(draft, self._endpoints.runc, self._endpoints.runc_sums)
        self._install(draft, runc, "runc", RUNC_VERSION, inventory)

    def _unpacked(self, draft: Draft, address: str, name: str) -> Path:
        archive = self._download(draft, address, f"{address}.sha256sum")
        unpacked = draft.work / f"unpacked-{name}"
        unpacked.mkdir()
        draft.run(["tar", "--extract", "--gzip", "--file", str(archive), "--directory", str(unpacked)])
        return unpacked

    def _download(self, draft: Draft, address: str, checksum_address: str) -> Path:
        name = address.rpartition("/")[2]
        pinned = next((found for path, found in self._sums.items() if address.endswith(f"/{path}")), None)
        # Kept apart by the pinned sum: what was downloaded without one was held to nothing but its server's word.
        key = ["release", draft.version.version, address, *([pinned] if pinned else [])]
        kept = draft.cache.components / digest_of(key) / name
        if kept.is_file():
            draft.progress(f"{name}: downloaded earlier")
            return kept
        with step(draft.progress, name, f"downloading {address}"):
            folder = draft.work / f"download-{name}"
            folder.mkdir()
            checksum, said_by = pinned, f"infra/image/bundle/{_SUMS}"
            if checksum is None:
                draft.progress(f"{name}: no checksum is known beforehand, so {checksum_address} is believed")
                checksum, said_by = self._checksum(draft, folder, checksum_address, name), checksum_address
            _curl(draft.run, "--retry", "3", "--output", str(folder / name), address)
            check_sum(folder / name, checksum, address, said_by)
            publish(folder, kept.parent)
        return kept

    @staticmethod
    def _checksum(draft: Draft, folder: Path, address: str, name: str) -> str:
        file = folder / "checksum"
        _curl(draft.run, "--output", str(file), address)
        text = file.read_text(encoding="utf-8")
        file.unlink()
        return line_of(text, name)

    def _image(self, draft: Draft, image: Image, place: str) -> Path:
        reference = image.reference("release")
        kept = draft.cache.components / digest_of(["release", self._endpoints.images, reference]) / "image.tar"
        if kept.is_file():
            draft.progress(f"{reference}: downloaded earlier")
            return kept
        with step(draft.progress, reference, f"downloading the image ({place})"):
            folder = draft.work / f"download-{image.name}"
            folder.mkdir()
            # A registry names an image's parts by their sha256, and skopeo checks them.
            draft.run([*self._copy(reference), f"oci-archive:{folder / 'image.tar'}:{reference}"])
            publish(folder, kept.parent)
        return kept

    def _copy(self, reference: str) -> list[str]:
        mirror = self._endpoints.images
        source = f"{mirror.partition('://')[2] or mirror}/{reference}" if mirror else reference
        argv = ["skopeo", "--insecure-policy", "--override-os", "linux", "--override-arch", "amd64"]
        argv += ["copy", "--quiet", "--retry-times", "3"]
        if mirror.startswith("http://"):
            argv.append("--src-tls-verify=false")
        return [*argv, f"docker://{source}"]


def line_of(checksums: str, name: str) -> str:
    """Return the line about a file, in a list of checksums that may be signed; the whole if it is no list."""
    for line in checksums.splitlines():
        fields = line.split()
        if len(fields) == 2 and fields[1].lstrip("*") == name:
            return line
    return checksums


def check_sum(file: Path, checksum: str, address: str, checksum_address: str) -> None:
    """Compare a download with the checksum its project publishes.

    Raises:
        ImageError: They differ, or it isn't a checksum.
    """
    expected = checksum.split()[0].lower() if checksum.split() else ""
    found = sha256_of(file)
    if found != expected:
        raise ImageError(
            f"{address} isn't what its project published: its sha256 must be {expected[:64] or 'in the file'} "
            f"({checksum_address}), and is {found}.",
            "Run it again in case the transfer failed. If it stays so, a proxy or mirror changes what it passes "
            f"on: don't use it. {KUBERNETES_VARIABLE}, {HELM_VARIABLE} and {GITHUB_VARIABLE} name other mirrors; "
            "`azlocal image build --source modules` does without.",
        )


def _curl(run: Runner, *arguments: str) -> None:
    """Run curl on the address that is the last argument; from https it is led nowhere but to https."""
    only = ("--proto", "=https") if arguments[-1].lower().startswith("https://") else ()
    run(
        [
            *("curl", "--fail", "--location", "--silent", "--show-error", *only),
            *("--connect-timeout", str(_SECONDS_TO_ANSWER), *arguments),
        ]
    )
