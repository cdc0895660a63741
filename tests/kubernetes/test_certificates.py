"""When certificates end: decided purely, and seen in the handshakes of real TLS servers."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server

import pytest
from cryptography import x509

from infra import certificates as made
from infra.certificates import KeyPair
from infra.kubernetes import certificates
from infra.kubernetes.certificates import at_server, authority_of, due, earliest, ends_of, served_end
from infra.kubernetes.pki import administrator_kubeconfig, generate_pki

PKI, STRANGERS = generate_pki(), generate_pki()
NOW = datetime(2027, 9, 1, tzinfo=UTC)
SCRIPT = Path(certificates.__file__).parent / "files" / "renew-certificates.sh"


def in_days(days: float) -> datetime:
    return NOW + timedelta(days=days)


def test_what_ends_within_ninety_days_or_has_ended_is_due_and_the_first_comes_first() -> None:
    ends = {"cp-0": in_days(91), "cp-1": in_days(89), "cp-2": in_days(-400), "cp-3": in_days(3650)}
    assert due(ends, NOW) == ["cp-2", "cp-1"]
    assert due({}, NOW) == []


def test_one_that_does_not_answer_keeps_what_was_known_of_it() -> None:
    seen = {"cp-1": in_days(300)}
    assert earliest(in_days(20), seen, ["cp-0", "cp-1"]) == in_days(20)
    assert earliest(in_days(20), seen, ["cp-1"]) == in_days(300), "it was renewed"
    assert earliest(in_days(400), seen, ["cp-0", "cp-1"]) == in_days(300)
    assert earliest(in_days(20), {}, ["cp-0"]) == in_days(20)
    assert earliest(None, seen, ["cp-0", "cp-1"]) == in_days(300)


def server_pair(ca: KeyPair, end: datetime) -> KeyPair:
    """Sign a server's certificate that ends then."""
    key = made.new_key()
    certificate = made.issue(
        made.x509_name("kube-apiserver"),
        key.public_key(),
        x509.load_pem_x509_certificate(ca.certificate.encode()).subject,
        made.load_key(ca.key),
        end - timedelta(days=365),
        end,
        made.alternative_names(["127.0.0.1"]),
    )
    return KeyPair(made.certificate_pem(certificate), made.key_pem(key))


@contextmanager
def serving(pair: KeyPair, folder: Path) -> Iterator[int]:
    """Speak TLS with a certificate; yield the port."""
    (folder / "pair.pem").write_text(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")
    with create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            try:
                with listener.accept()[0] as plain, context.wrap_socket(plain, server_side=True) as secured:
                    secured.recv(1)
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize("days", [3, -30])
def test_the_end_is_seen_in_a_handshake_even_after_it(tmp_path: Path, days: int) -> None:
    end = (datetime.now(UTC) + timedelta(days=days)).replace(microsecond=0)
    with serving(server_pair(PKI.ca, end), tmp_path) as port:
        assert ends_of({"cp-0": "127.0.0.1"}, PKI.ca.certificate, port) == {"cp-0": end}


def test_what_another_authority_signed_says_nothing_of_the_cluster(tmp_path: Path) -> None:
    end = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
    with serving(server_pair(STRANGERS.ca, end), tmp_path) as port:
        assert ends_of({"cp-0": "127.0.0.1"}, PKI.ca.certificate, port) == {}
    with serving(server_pair(STRANGERS.ca, end), tmp_path) as port:
        assert served_end("127.0.0.1", port) == end, "the doctor knows no authority"


def test_who_does_not_answer_is_left_out() -> None:
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert ends_of({"cp-0": "127.0.0.1"}, PKI.ca.certificate, port) == {}
    assert ends_of({}, PKI.ca.certificate) == {}


def test_a_kubeconfig_tells_the_authority_and_reaches_one_server() -> None:
    text = administrator_kubeconfig("lab-a", "https://10.0.0.9:6443", PKI.ca)
    assert authority_of(text) == PKI.ca.certificate
    own = at_server(text, "10.0.0.18")
    assert "https://10.0.0.18:6443" in own
    assert authority_of(own) == PKI.ca.certificate


# -- the script that a control plane runs ---------------------------------------------------------

PROGRAMS = {
    "kubeadm": 'echo "kubeadm $*" >>"$CALLS"; cp "$5" "$ROOT/configuration"; exit "$KUBEADM"',
    # Its containers are those in a file; once killed, kubelet makes another API server.
    "ctr": """
        echo "ctr $*" >>"$CALLS"
        case "$*" in
        *"containers list"*'"kube-apiserver"'* | *"containers list"*==kube-apiserver,*) cat "$ROOT/servers" ;;
        *"containers list"*==etcd,*) echo etcd-1; echo etcd-old ;;
        *"containers list"*) ;;
        *"tasks kill"*etcd-old) exit 1 ;;
        *"tasks kill"*"SIGTERM server-1") [ "$KUBELET" != runs ] || echo server-2 >>"$ROOT/servers" ;;
        esac
    """,
    "systemctl": 'echo "systemctl $*" >>"$CALLS"; echo server-2 >"$ROOT/servers"',
    "openssl": '[ "$KUBELET" != ended ]',
    "sync": "",
    "sleep": "",
}


def run_script(root: Path, *, kubeadm: int = 0, kubelet: str = "runs") -> subprocess.CompletedProcess[str]:
    (root / "bin").mkdir()
    for name, body in PROGRAMS.items():
        (root / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (root / "bin" / name).chmod(0o755)
    (root / "servers").write_text("server-1\n")
    (root / "calls").touch()
    environment = {
        "PATH": f"{root}/bin:{os.environ['PATH']}",
        "ROOT": str(root),
        "CALLS": str(root / "calls"),
        "KUBEADM": str(kubeadm),
        "KUBELET": kubelet,
    }
    return subprocess.run(
        ["sh", "-s", "--", "kind: ClusterConfiguration\nx: 'a b'"],
        input=SCRIPT.read_text(),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_everything_that_kubeadm_signed_is_renewed_and_restarted(tmp_path: Path) -> None:
    done = run_script(tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "configuration").read_text() == "kind: ClusterConfiguration\nx: 'a b'\n"
    calls = (tmp_path / "calls").read_text().splitlines()
    killed = [line.split()[-2:] for line in calls if "tasks kill" in line]
    assert killed == [
        ["SIGTERM", "etcd-1"],
        ["SIGTERM", "etcd-old"],
        ["SIGTERM", "server-1"],
        ["SIGKILL", "server-1"],  # it would wait for its watchers, and serve nobody meanwhile
    ]
    renewed = next(index for index, line in enumerate(calls) if line.startswith("kubeadm certs renew all"))
    assert all("kill" not in line for line in calls[:renewed])
    assert not any(line.startswith("systemctl") for line in calls), "kubelet runs on"


def test_a_server_that_kubelet_has_given_up_for_minutes_is_started_by_a_kubelet_that_starts_anew(
    tmp_path: Path,
) -> None:
    done = run_script(tmp_path, kubelet="waits")
    assert done.returncode == 0, done.stderr
    assert "systemctl restart kubelet.service" in (tmp_path / "calls").read_text()


def test_nothing_is_restarted_where_kubeadm_refuses(tmp_path: Path) -> None:
    assert run_script(tmp_path, kubeadm=1).returncode == 1
    assert "kill" not in (tmp_path / "calls").read_text()


def test_a_server_that_kubelet_does_not_start_again_is_an_error(tmp_path: Path) -> None:
    """And one whose own certificate has ended isn't restarted: it wouldn't come back."""
    done = run_script(tmp_path, kubelet="ended")
    assert done.returncode == 1
    assert "systemctl" not in (tmp_path / "calls").read_text()
    assert "journalctl --unit kubelet" in done.stderr
