"""Several at the same time: each answer in its place, and who hangs holds up nobody, not even the end."""

from __future__ import annotations

import subprocess
import sys
import threading

from infra.in_time import in_time, is_late

HANGING = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from infra.cli.main import _App
from infra.in_time import in_time

def hang(_):
    with ThreadPoolExecutor(1) as pool:  # a process that ends in order waits for such pools
        pool.submit(time.sleep, 60).result()

app = _App()

@app.command()
def look() -> None:
    in_time(hang, [1], 0.1)
    print("seen")
    sys.exit(3)

app()
"""


def test_answers_are_in_their_places_and_who_is_late_has_none() -> None:
    end = threading.Event()

    def answer(number: int) -> int:
        if number == 2:
            end.wait(20)
        return number * 10

    assert in_time(answer, [1, 2, 3], 0.3) == [10, None, 30]
    assert is_late()
    end.set()


def test_a_command_ends_while_somebody_hangs() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, check=False, timeout=40)
    assert (done.returncode, done.stdout) == (3, "seen\n")
