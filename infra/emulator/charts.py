"""The charts that the emulator's registry serves: the agents', one for each extension type, and Flux's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import yaml

from infra.emulator.registry import Chart, Charts, Registry
from infra.emulator.settings import Settings
from infra.image.bundle import Bundle, find_bundle

AGENTS_VERSION: Final = "1.36.1"
AGENTS_REPOSITORY: Final = "azurearck8s/batch1/stable/v2/azure-arc-k8sagents"
FLUX: Final = "microsoft.flux"

_FOLDER: Final = Path(__file__).parent / "charts"
_AGENT_CODE: Final = Path(__file__).parent / "agent"
_RUNTIME_IMAGE: Final = "agent-runtime"
# An older one that takes its private key as this one does, for who wants to see agents upgraded.
_AGENT_VERSIONS: Final = ("1.35.3", AGENTS_VERSION)
_EXTENSIONS: Final = "azurearck8s/extensions"
_NO_VERSION: Final = "0.0.0"  # where a release train has none at all: helm then says that it isn't found

# Versions of the stand-ins by release train, the newest last.
_TRAINS: Final = {"stable": ("1.0.0", "1.1.0"), "preview": ("1.2.0-preview",)}

# Where an extension's release goes when nobody says (arc_facts.md §4.2).
RELEASE_NAMESPACES: Final = {
    FLUX: "flux-system",
    "microsoft.azuremonitor.containers": "azuremonitor-containers",
    "microsoft.azuremonitor.containers.metrics": "kube-system",
    "microsoft.azuredefender.kubernetes": "mdc",
    "microsoft.policyinsights": "kube-system",
    "microsoft.azurekeyvaultsecretsprovider": "kube-system",
    "microsoft.openservicemesh": "arc-osm-system",
    "microsoft.dapr": "dapr-system",
    "microsoft.azureml.kubernetes": "azureml",
    "microsoft.dataprotection.kubernetes": "dataprotection-microsoft",
}
# Every type that there is a chart for; where the facts name no namespace, it is the customary one.
_NAMESPACES: Final = {
    **RELEASE_NAMESPACES,
    "microsoft.arcnetworking": "kube-system",
    "microsoft.apimanagement.gateway": "apim-gateway",
    "microsoft.arc.containerstorage": "azure-arc-containerstorage",
    "microsoft.arc.rag": "arc-rag",
    "microsoft.arcdataservices": "arc-data",
    "microsoft.argocd": "argocd",
    "microsoft.azure.secretstore": "azure-secret-store",
    "microsoft.certmanagement": "cert-manager",
    "microsoft.containerregistry.connectedregistry": "connected-registry",
    "microsoft.entraworkloadiam": "arc-workload-identity",
    "microsoft.extensiondiagnostics": "azure-extensions-diagnostics",
    "microsoft.foundry": "foundry",
    "microsoft.iotoperations": "azure-iot-operations",
    "microsoft.iotoperations.platform": "azure-iot-operations",
    "microsoft.web.appservice": "appservice",
    "microsoft.workloadorchestration": "workload-orchestration",
}


# Azure's extension keeps configurations apart from each other unless it is told not to.
_FLUX_SETTINGS: Final = {"multiTenancy.enforce": "true"}


@dataclass(frozen=True)
class ExtensionChart:
    """Which chart an extension resource means.

    Attributes:
        repository: its name in the registry.
        version: the one asked for, whether it exists or not; else the train's newest.
        namespace: where its release goes.
        values: what the chart is given.
    """

    repository: str
    version: str
    namespace: str
    values: Mapping[str, Any]


FindBundle = Callable[[], Bundle | None]


def repositories(_settings: Settings, bundle: FindBundle = find_bundle) -> Mapping[str, Charts]:
    """Return what each repository has, by name.

    Args:
        bundle: finds what the charts run: looked at each time, since it may be built while the emulator runs.
    """
    by_repository: dict[str, Charts] = {AGENTS_REPOSITORY: partial(_agents, bundle)}
    for extension_type in _NAMESPACES:
        for train, versions in _TRAINS.items():
            stand_ins = partial(_stand_ins, bundle, extension_type, versions)
            by_repository[_repository(extension_type, train)] = (
                partial(_flux, bundle) if extension_type == FLUX else stand_ins
            )
    return by_repository


def is_known(extension_type: str) -> bool:
    """Return whether there is a chart for an extension type, in whatever case it is written."""
    return extension_type.lower() in _NAMESPACES


def known_types() -> Sequence[str]:
    """Return every extension type that there is a chart for."""
    return tuple(_NAMESPACES)


def extension_chart(properties: Mapping[str, Any], registry: Registry) -> ExtensionChart:
    """Return the chart that an extension's properties mean.

    Whether that version exists is the registry's to say, as it is in Azure: a version that was withdrawn lets the
    installation fail, not the request.

    Raises:
        KeyError: the extension type is unknown.
    """
    extension_type = str(properties["extensionType"]).lower()
    train = str(properties.get("releaseTrain") or "stable").lower()
    settings: Mapping[str, str] = properties.get("configurationSettings") or {}
    is_flux = extension_type == FLUX
    repository = _repository(extension_type, train)
    return ExtensionChart(
        repository=repository,
        version=str(properties.get("version") or "") or (registry.tags(repository) or [_NO_VERSION])[-1],
        namespace=_scope(properties) or _NAMESPACES[extension_type],
        values=_nested({**_FLUX_SETTINGS, **settings}) if is_flux else {"configurationSettings": dict(settings)},
    )


def _scope(properties: Mapping[str, Any]) -> str | None:
    scope = properties.get("scope") or {}
    namespace = (scope.get("cluster") or {}).get("releaseNamespace") or (scope.get("namespace") or {}).get(
        "targetNamespace"
    )
    return str(namespace) if namespace else None


def _repository(extension_type: str, train: str) -> str:
    return f"{_EXTENSIONS}/{train}/{extension_type}"


def _nested(settings: Mapping[str, str]) -> dict[str, Any]:
    """Return settings as the values that their dotted names mean; true and false as such, as Helm's --set does."""
    values: dict[str, Any] = {}
    for name, setting in settings.items():
        *folders, last = name.split(".")
        place = values
        for folder in folders:
            inner = place.setdefault(folder, {})
            if not isinstance(inner, dict):  # a value stands where a section is needed: the later one wins
                inner = place[folder] = {}
            place = inner
        place[last] = {"true": True, "false": False}.get(setting.lower(), setting)
    return values


def _agents(bundle: FindBundle) -> Sequence[Chart]:
    image = _runtime_image(bundle)
    return tuple(_agent_chart(version, image) for version in _AGENT_VERSIONS)


def _stand_ins(bundle: FindBundle, extension_type: str, versions: Sequence[str]) -> Sequence[Chart]:
    image = _runtime_image(bundle)
    return tuple(_stand_in(extension_type, version, image) for version in versions)


def _flux(bundle: FindBundle) -> Sequence[Chart]:
    """Return Flux's own chart, which the bundle has beside the images it needs; none where that isn't built."""
    built = bundle()
    folder = built.charts.get("flux") if built else None
    return (_read(folder),) if folder else ()


def _runtime_image(bundle: FindBundle) -> str:
    """Return the image that the agents run in; empty where the bundle isn't built: the charts then say so."""
    built = bundle()
    return built.images.get(_RUNTIME_IMAGE, "") if built else ""


@cache
def _read(folder: Path) -> Chart:
    return Chart.of_folder(folder)


@cache
def _agent_chart(version: str, image: str) -> Chart:
    folder = _FOLDER / "azure-arc-k8sagents"
    values = yaml.safe_load((folder / "values.yaml").read_bytes())
    values["systemDefaultValues"]["agentRuntime"]["image"] = image
    code = {f"files/agent/{path.name}": path.read_bytes() for path in sorted(_AGENT_CODE.glob("*.py"))}
    return _packed(folder, {"version": version, "appVersion": version}, values, code)


@cache
def _stand_in(extension_type: str, version: str, image: str) -> Chart:
    folder = _FOLDER / "extension-stand-in"
    values = yaml.safe_load((folder / "values.yaml").read_bytes())
    values["agentRuntime"]["image"] = image
    values["extensionType"] = extension_type
    return _packed(folder, {"name": extension_type, "version": version, "appVersion": version}, values, {})


def _packed(folder: Path, about: Mapping[str, str], values: Mapping[str, Any], more: Mapping[str, bytes]) -> Chart:
    described = {**yaml.safe_load((folder / "Chart.yaml").read_bytes()), **about}
    extra = {"Chart.yaml": _yaml(described), "values.yaml": _yaml(values), **more}
    return Chart.of_folder(folder, extra)


def _yaml(content: Mapping[str, Any]) -> bytes:
    return yaml.safe_dump(dict(content), sort_keys=False).encode()
