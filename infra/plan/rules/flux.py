"""Flux configurations: what Azure's client refuses, and what Flux in the cluster refuses, found in the plan.

Sources: `az k8s-configuration` is Azure/azure-cli-extensions, src/k8s-configuration/azext_k8s_configuration
(validators.py, providers/FluxConfigurationProvider.py); `Flux` is the schema of its own objects, which the bundle
has (charts/flux/crds); arc_facts.md §5.
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from infra.plan.rules.arc import connected, not_in_form
from infra.plan.rules.base import Facts, Fault, rule
from infra.spec.arc import FluxConfiguration, Kustomization
from infra.spec.findings import KeyPath, shown, without_login
from infra.spec.forms import NAMESPACE, OBJECT_NAME

_LONGEST_NAMES = 62  # a configuration's and a kustomization's name together
_LONGEST_NAME = 63
_LONGEST_OBJECT_NAME = 253
_SCHEMES = ("http://", "https://", "ssh://")
# Texts, which few plans compile: where nothing is followed by Flux, nothing waits for them.
_SCP = r"(?P<login>[^\s:/@]+@)?(?P<host>[^\s:/@]+):(?P<path>[^\s]*)"
_LAST_PORT = 65_535
_VERSION = r"v?[0-9xX*]+(\.[0-9xX*]+){0,2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?"
_COMPARED = rf"(=|!=|>|<|>=|=>|<=|=<|~|~>|\^)?\s*{_VERSION}"
_VERSIONS = rf"\s*{_COMPARED}((\s+|\s*,\s*){_COMPARED})*\s*"
_HASH = r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}"
_NOT_IN_A_REFERENCE = r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|^[./-]|[./]$|^@$"
_SSH_SETTING, _HTTPS_SETTING = "sshPrivateKey", "httpsKey"


def _configurations(facts: Facts) -> Iterator[tuple[KeyPath, FluxConfiguration]]:
    """Yield every Flux configuration of a connected cluster, and its place."""
    for path, _, arc in connected(facts):
        for index, configuration in enumerate(arc.flux_configurations):
            yield (*path, "fluxConfigurations", index), configuration


@rule("arc-flux-name-too-long", source="arc_facts §5")
def arc_flux_name_too_long(facts: Facts) -> Iterator[Fault]:
    """A Flux configuration's name and a kustomization's make one name in the cluster."""
    for path, configuration in _configurations(facts):
        for name in configuration.kustomizations:
            length = len(configuration.name) + len(name)
            if length > _LONGEST_NAMES:
                message = (
                    f"{configuration.name} and {name} have {length} characters together, {_LONGEST_NAMES} at most"
                )
                yield Fault("stack", path, message, "shorten one of them")


@rule("arc-flux-bad-name", source="az k8s-configuration: validators.py; RFC 1123")
def arc_flux_bad_name(facts: Facts) -> Iterator[Fault]:
    """Configurations, kustomizations, secrets and namespaces have names that Kubernetes takes."""
    for path, configuration in _configurations(facts):
        names = [("Flux configuration", (*path, "name"), configuration.name)]
        names += [
            ("kustomization", (*path, "kustomizations", name), name) for name in configuration.kustomizations
        ]
        for kind, place, name in names:
            if len(name) > _LONGEST_NAME or not OBJECT_NAME.fits(name):
                message = f"{shown(name)} can't be the name of a {kind}"
                remedy = (
                    f"use lower-case letters, digits, inner hyphens and dots, {_LONGEST_NAME} characters at most"
                )
                yield Fault("stack", place, message, remedy)
        if not NAMESPACE.fits(configuration.namespace):
            yield Fault("stack", (*path, "namespace"), *not_in_form(configuration.namespace, NAMESPACE))
        secret = configuration.git_repository.local_auth_ref
        if secret is not None and (len(secret) > _LONGEST_OBJECT_NAME or not OBJECT_NAME.fits(secret)):
            yield Fault("stack", (*path, "gitRepository", "localAuthRef"), *not_in_form(secret, OBJECT_NAME))


@rule(
    "arc-flux-bad-url",
    source="Flux: GitRepository, spec.url; https://learn.microsoft.com/azure/azure-arc/kubernetes/gitops-flux2-parameters",
)
def arc_flux_bad_url(facts: Facts) -> Iterator[Fault]:
    """A Git repository has an address with http://, https:// or ssh://, and a server in it.

    `git@server:repository` passes Azure's client, and Flux's own object refuses it in the cluster.
    """
    for path, configuration in _configurations(facts):
        url = configuration.git_repository.url
        if not _is_repository(url):
            message = f"{shown(url)} isn't an address that Flux fetches a repository from"
            remedy = f"write {_better(url)}"
            if port := _no_port(url):
                message, remedy = (
                    f"{message}: {port} is no port",
                    "write one of 1-65535, or leave port and colon out",
                )
            yield Fault("stack", (*path, "gitRepository", "url"), message, remedy)


@rule("arc-flux-login-in-url", source="Flux: GitRepository, spec.secretRef", severity="warning")
def arc_flux_login_in_url(facts: Facts) -> Iterator[Fault]:
    """A repository's address has no password in it: the file would show it, and so would Azure and the cluster."""
    for path, configuration in _configurations(facts):
        url = configuration.git_repository.url
        if _is_repository(url) and urlsplit(url).password is not None:
            message = (
                f"{shown(url)} has a password in it, which the file, Azure and the cluster show to all readers"
            )
            remedy = (
                f"write {_without_login(url)}; with httpsUser beside it, and httpsKey under "
                "configurationProtectedSettings, which names a secret of the stack"
            )
            yield Fault("stack", (*path, "gitRepository", "url"), message, remedy)


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _is_repository(url: str) -> bool:
    if not url.startswith(_SCHEMES) or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _no_port(url: str) -> str | None:
    """Return the number that a URL has in a port's place and that is none."""
    server = re.split("[/?#]", url.partition("://")[2])[0].rpartition("@")[2]
    port = server.rpartition(":")[2] if re.search(r":\d+$", server, re.ASCII) else ""
    return port if port and not 0 < int(port) <= _LAST_PORT else None


def _better(url: str) -> str:
    """Return the address as it must be written, where that can be told; else what one looks like.

    A login with a password is never repeated.
    """
    text = url.strip()
    scheme, separator, rest = text.partition("://")
    kind = {"git+ssh": "ssh", "ssh+git": "ssh", "git": "https"}.get(scheme.lower(), scheme.lower())
    scp = re.fullmatch(_SCP, rest if separator else text)
    candidates = [f"{kind}://{rest}"] if separator else []
    if scp and kind in {"ssh", scheme.lower()} and kind not in {"http", "https"}:
        candidates.append(f"ssh://{scp['login'] or 'git@'}{scp['host']}/{scp['path'].lstrip('/')}")
    if not separator and "." in text.partition("/")[0]:
        candidates.append(f"{'ssh' if '@' in text.partition('/')[0] else 'https'}://{text}")
    usable = (
        candidate
        for candidate in candidates
        if _is_repository(candidate) and without_login(candidate) == candidate
    )
    return next(usable, "https://server/repository.git or ssh://git@server/repository.git")


@rule("arc-flux-reference", source="az k8s-configuration: validate_repository_ref")
def arc_flux_reference(facts: Facts) -> Iterator[Fault]:
    """One of branch, tag, semver and commit says what of a repository is followed."""
    for path, configuration in _configurations(facts):
        reference = configuration.git_repository.repository_ref
        named = {key: value for key, value in reference if value}
        place = (*path, "gitRepository", "repositoryRef")
        if not named:
            message = "repositoryRef names neither a branch, nor a tag, a semver or a commit"
            yield Fault("stack", place, message, "write one of them, e.g. branch: main")
        elif len(named) > 1:
            message = f"repositoryRef names {' and '.join(named)}; Azure's client takes one of them"
            yield Fault("stack", place, message, f"keep {_most_exact(named)}, and remove the rest")
        for key in ("branch", "tag"):
            value = named.get(key)
            if value is not None and re.search(_NOT_IN_A_REFERENCE, value):
                message = f"{shown(value)} can't be the name of a {key} in Git"
                yield Fault("stack", (*place, key), message, f"write it as `git {key} --list` does")
        semver = named.get("semver")
        if semver is not None and not _is_range_of_versions(semver):
            message = f"{shown(semver)} is no range of versions as Flux reads them"
            yield Fault("stack", (*place, "semver"), message, "write it as >=1.0.0 <2.0.0 or 1.x")


def _is_range_of_versions(text: str) -> bool:
    """Tell whether Masterminds/semver, which Flux has, takes a text (constraints.go: NewConstraint)."""
    return all(re.fullmatch(_VERSIONS, re.sub(r"\s+-\s+", " ", part), re.ASCII) for part in text.split("||"))


def _most_exact(named: Mapping[str, str]) -> str:
    return next(key for key in ("commit", "tag", "semver", "branch") if key in named)


@rule("arc-flux-short-commit", source="fluxcd/pkg git/gogit/clone.go", severity="warning")
def arc_flux_short_commit(facts: Facts) -> Iterator[Fault]:
    """A commit is named by its whole hash: Flux looks up no shortened one."""
    for path, configuration in _configurations(facts):
        commit = configuration.git_repository.repository_ref.commit
        if commit and not re.fullmatch(_HASH, commit):
            message = f"{shown(commit)} isn't the whole hash of a commit"
            where = (*path, "gitRepository", "repositoryRef", "commit")
            yield Fault("stack", where, message, "write all 40 digits, as `git rev-parse` says them")


@rule("arc-flux-credentials", source="az k8s-configuration: validate_url_with_params")
def arc_flux_credentials(facts: Facts) -> Iterator[Fault]:
    """Credentials are of the address's kind: SSH keys for ssh://, a user with its key for http(s)://."""
    for path, configuration in _configurations(facts):
        git = configuration.git_repository
        if not _is_repository(git.url):
            continue
        place = (*path, "gitRepository")
        settings = configuration.configuration_protected_settings
        is_ssh = git.url.startswith("ssh://")
        written = {
            "httpsUser": ((*place, "httpsUser"), bool(git.https_user)),
            "httpsKey": ((*path, "configurationProtectedSettings"), _HTTPS_SETTING in settings),
            "sshKnownHostsFile": ((*place, "sshKnownHostsFile"), git.ssh_known_hosts_file is not None),
            "sshPrivateKey": ((*path, "configurationProtectedSettings"), _SSH_SETTING in settings),
        }
        for key, (where, is_given) in written.items():
            if is_given and key.startswith("https" if is_ssh else "ssh"):
                scheme = git.url.partition("://")[0]
                message = f"{key} doesn't go with an address of {scheme}://"
                yield Fault("stack", where, message, f"remove {key}, or give the repository's other address")
        if not is_ssh and written["httpsUser"][1] != written["httpsKey"][1]:
            has, lacks = ("httpsUser", "httpsKey") if written["httpsUser"][1] else ("httpsKey", "httpsUser")
            message = f"{has} is given without {lacks}; Azure's client takes both or neither"
            what = "configurationProtectedSettings" if lacks == "httpsKey" else "gitRepository"
            yield Fault("stack", written[has][0], message, f"add {lacks} to {what}, or remove {has}")
        for name in sorted(settings.keys() - {_SSH_SETTING, _HTTPS_SETTING}):
            message = f"Azure's client knows no protected setting {shown(name)} of a Git repository"
            own = _SSH_SETTING if is_ssh else f"{_HTTPS_SETTING}, beside httpsUser of gitRepository"
            remedy = f"rename it to {own}; or remove it"
            yield Fault("stack", (*path, "configurationProtectedSettings", name), message, remedy, "warning")


@rule("arc-flux-unknown-dependency", source="arc_facts §5")
def arc_flux_unknown_dependency(facts: Facts) -> Iterator[Fault]:
    """A kustomization waits for others of its configuration."""
    for path, configuration in _configurations(facts):
        for name, kustomization in configuration.kustomizations.items():
            for missing in sorted(set(kustomization.depends_on) - set(configuration.kustomizations)):
                message = (
                    f"kustomization {name} of {configuration.name} waits for {shown(missing)}, which isn't there"
                )
                others = [other for other in configuration.kustomizations if other != name]
                remedy = f"name one of {', '.join(others)}" if others else "remove it from dependsOn"
                yield Fault("stack", (*path, "kustomizations", name), message, remedy)


@rule(
    "arc-flux-dependency-circle", source="https://fluxcd.io/flux/components/kustomize/kustomizations/#dependencies"
)
def arc_flux_dependency_circle(facts: Facts) -> Iterator[Fault]:
    """Kustomizations don't wait for each other in a circle: none of them would ever be applied."""
    for path, configuration in _configurations(facts):
        for circle in _circles(configuration.kustomizations):
            waits = " waits for ".join([*circle, circle[0]])
            message = f"{waits}: none of them would ever be applied"
            remedy = f"remove {circle[0]} from dependsOn of {circle[-1]}"
            yield Fault("stack", (*path, "kustomizations", circle[-1], "dependsOn"), message, remedy)


def _circles(kustomizations: Mapping[str, Kustomization]) -> Iterator[tuple[str, ...]]:
    """Yield circles in what waits for what, until taking one edge of each away would leave none."""
    done: set[str] = set()
    for start in kustomizations:
        trail: dict[str, Iterator[str]] = {}
        following = [start]
        while following:
            name = following.pop()
            if name in trail:
                names = list(trail)
                yield tuple(names[names.index(name) :])
            elif name in kustomizations and name not in done:
                trail[name] = iter(dict.fromkeys(kustomizations[name].depends_on))
            while trail and not following:
                last = next(reversed(trail))
                after = next(trail[last], None)
                if after is None:
                    done.add(last)
                    del trail[last]
                else:
                    following.append(after)


@rule("arc-flux-applies-nothing", source="az k8s-configuration: FluxConfigurationProvider.py", severity="warning")
def arc_flux_applies_nothing(facts: Facts) -> Iterator[Fault]:
    """A Flux configuration has a kustomization; where none is written, Azure's client makes one."""
    for path, configuration in _configurations(facts):
        if not configuration.kustomizations:
            message = f"{configuration.name} has no kustomization, so nothing of the repository is applied"
            yield Fault("stack", (*path, "kustomizations"), message, "remove the key, or name a kustomization")
