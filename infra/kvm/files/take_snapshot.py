"""Takes a snapshot of a cluster's etcd onto this host, as its timer says: take-snapshot FOLDER.

FOLDER has settings.json and a client's certificate of etcd. Snapshots go beside it, each NAME.db with NAME.json,
and whole or not at all; status.json in it says how the last try ended. Only Python's own library, of any host.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
SECONDS = 60.0  # of silence
CHECKSUM_BYTES = 32
LEFT_FREE = 0.1  # of the file system: machines' disks may grow on it
ELECTION_TRIES, ELECTION_SECONDS = 10, 1.0
CONFIGURATION = b"/registry/configmaps/kube-system/kubeadm-config"
VERSION = re.compile(rb"kubernetesVersion: v([0-9.]+)")


class Unavailable(ValueError):
    """A member can't answer just now."""


def main(folder: Path) -> int:
    """Take a snapshot, and note how that ended."""
    os.umask(0o077)
    settings = json.loads((folder / "settings.json").read_text())
    status, now = folder / "status.json", datetime.now(timezone.utc).replace(microsecond=0)  # noqa: UP017 - old hosts
    try:
        known: dict[str, Any] = json.loads(status.read_text())
    except (OSError, ValueError):
        known = {}
    try:
        name = take(folder, settings, now)
    except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
        known = {
            **known,
            "failure": f"{error}" or repr(error),
            "failingSince": known.get("failingSince") or str(now),
        }
        write(status, json.dumps(known))
        sys.stderr.write(f"no snapshot was taken: {error}\n")
        return 1
    write(status, json.dumps({"last": name, "taken": now.isoformat()}))
    sys.stdout.write(f"{name} is kept in {folder.parent}\n")
    return 0


def take(folder: Path, settings: dict[str, Any], now: datetime) -> str:
    """Take a snapshot from the member that has most; return its name."""
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "client.crt", folder / "client.key")
    members, reasons = [], []
    for member in settings["members"]:
        try:
            answer = patiently(call, context, member, "maintenance/status", {})
            members.append((int(answer["header"].get("revision", 0)), member))
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            reasons.append(f"{member}: {error}")
    if not members:
        raise ValueError("no member of etcd answers: " + "; ".join(reasons))
    revision, member = max(members)
    about = settings["about"]
    name = f"{about['instance']}-{about['cluster']}-{now:%Y%m%dT%H%M%SZ}"
    part, of_cluster = folder.parent / f".{name}.part", version(context, member)
    try:
        size, sha256 = patiently(receive, context, member, part)
        part.replace(folder.parent / f"{name}.db")
    finally:
        if part.exists():
            part.unlink()
    known = {
        **about,
        "taken": now.isoformat(),
        "kubernetesVersion": of_cluster,
        "revision": revision,
        "sha256": sha256,
        "size": size,
    }
    write(folder.parent / f"{name}.json", json.dumps(known) + "\n")
    thin(folder.parent, about, settings["keep"])
    return name


def receive(context: ssl.SSLContext, member: str, part: Path) -> tuple[int, str]:
    """Write a member's snapshot; return its size and its checksum. Its end proves the rest."""
    connection = connected(context, member)
    data, file, size, length = hashlib.sha256(), hashlib.sha256(), 0, 0
    checksum = b""
    try:
        connection.request("POST", "/v3/maintenance/snapshot", b"{}")
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise refusal(member, response.status, response.read(300))
        with part.open("wb") as target:
            for line in response:
                message = json.loads(line)
                if "error" in message:
                    raise ValueError(f"{member} gave the snapshot up: {message['error']}")
                piece = b64decode(message["result"].get("blob", ""))
                if not size:
                    length = len(piece) + int(message["result"].get("remaining_bytes", 0))
                    see_that_it_fits(part.parent, length)
                rest = max(0, length - size)
                data.update(piece[:rest])
                checksum += piece[rest:]
                file.update(piece)
                size += len(piece)
                target.write(piece)
            target.flush()
            os.fsync(target.fileno())
    finally:
        connection.close()
    if size != length + CHECKSUM_BYTES or checksum != data.digest():
        raise ValueError(
            f"{member} sent {size} bytes of {length + CHECKSUM_BYTES}, or they were damaged on the way"
        )
    return size, file.hexdigest()


def see_that_it_fits(folder: Path, length: int) -> None:
    """Refuse to fill the file system."""
    usage = shutil.disk_usage(folder)
    if usage.free - length < LEFT_FREE * usage.total:
        raise ValueError(
            f"{folder} has {usage.free >> 20} MiB free, and the snapshot of {length >> 20} MiB would leave less "
            f"than {LEFT_FREE:.0%} of its file system"
        )


def version(context: ssl.SSLContext, member: str) -> str:
    """Return the version that control planes are made of: what the snapshot can be restored into."""
    answer = patiently(call, context, member, "kv/range", {"key": b64encode(CONFIGURATION).decode()})
    for pair in answer.get("kvs", ()):
        match = VERSION.search(b64decode(pair["value"]))
        if match:
            return match[1].decode()
    raise ValueError(f"{member} doesn't say which version of Kubernetes the cluster has")


def thin(folder: Path, about: dict[str, Any], keep: int) -> None:
    """Remove the oldest that a schedule took of the cluster, beyond as many as are to be kept."""
    taken = []
    for file in folder.glob(f"{about['instance']}-{about['cluster']}-*.json"):
        try:
            known = json.loads(file.read_text())
        except ValueError:
            continue
        if known.get("reason") == about["reason"] and known.get("cluster") == about["cluster"]:
            taken.append((known["taken"], file))
    for _, file in sorted(taken, reverse=True)[keep:]:
        file.unlink()
        file.with_suffix(".db").unlink()


def patiently(ask: Callable[..., T], *arguments: object) -> T:
    """Ask a member again while it can't answer: where a leader is being chosen, that is over in seconds."""
    for _ in range(ELECTION_TRIES):
        try:
            return ask(*arguments)
        except Unavailable:
            time.sleep(ELECTION_SECONDS)
    return ask(*arguments)


def call(context: ssl.SSLContext, member: str, path: str, body: dict[str, str]) -> Any:
    """Ask a member, and return its answer."""
    connection = connected(context, member)
    try:
        connection.request("POST", f"/v3/{path}", json.dumps(body).encode())
        response = connection.getresponse()
        content = response.read()
        if response.status != http.client.OK:
            raise refusal(member, response.status, content[:300])
        return json.loads(content)
    finally:
        connection.close()


def refusal(member: str, status: int, content: bytes) -> ValueError:
    """Return the error that an answer is."""
    kind = Unavailable if status == http.client.SERVICE_UNAVAILABLE else ValueError
    return kind(f"{member} answers {status}: {content!r}")


def connected(context: ssl.SSLContext, member: str) -> http.client.HTTPSConnection:
    """Return a connection to a member, ADDRESS:PORT."""
    address, _, port = member.rpartition(":")
    return http.client.HTTPSConnection(address, int(port), timeout=SECONDS, context=context)


def write(file: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    part = file.with_name(f".{file.name}.part")
    with part.open("w") as target:
        target.write(text)
        target.flush()
        os.fsync(target.fileno())
    part.replace(file)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
