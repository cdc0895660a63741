"""Many threads ask clusters for the first time at once: reads of a refresh do."""

from __future__ import annotations

import subprocess
import sys

from tests.project import ROOT

CODE = """
import threading
from infra.kubernetes.api import ClusterApi
from infra.kubernetes.pki import administrator_kubeconfig, generate_pki

config = administrator_kubeconfig("a", "https://127.0.0.1:9", generate_pki().ca)
begin, failures = threading.Barrier(16), []

def connect(number):
    begin.wait()
    try:
        assert ClusterApi(config).server == "https://127.0.0.1:9"
    except Exception as error:
        failures.append(repr(error))

threads = [threading.Thread(target=connect, args=(number,)) for number in range(16)]
for one in threads: one.start()
for one in threads: one.join()
print(failures[:3])
"""


def test_clients_can_be_made_at_the_same_time() -> None:
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout == "[]\n"
