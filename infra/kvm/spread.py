"""How one image gets to many hosts: who has it, and who gets it from whom."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from infra.model.work import Work

HERE: Final = "here"
"""The source that is the machine azlocal runs on; hosts are called by their connections, which no such word is."""

FROM_HERE_AT_ONCE: Final = 2
"""Two keep this machine's link busy while one of them is being written or checked."""

FROM_A_HOST_AT_ONCE: Final = 1
"""One gets a whole link's speed, and gives it on itself afterwards: so the number of sources doubles each time."""

_TURN_SECONDS: Final = 0.25

_Answer = TypeVar("_Answer")


@dataclass
class Spread:
    """Who has an image whole, and who is sending it. Pure; knows neither threads nor time.

    Attributes:
        holders: the hosts that have it.
        sending: how many get it from a source now.
    """

    holders: set[str] = field(default_factory=set)
    sending: Counter[str] = field(default_factory=Counter)

    def choose(self, receiver: str, neighbours: Collection[str]) -> str | None:
        """Return the source a host gets the image from now, and count it; None while it has to wait.

        Args:
            receiver: the host.
            neighbours: those it may get it from, beside this machine.
        """
        able = [host for host in neighbours if host in self.holders and host != receiver]
        free = [host for host in able if self.sending[host] < FROM_A_HOST_AT_ONCE]
        source = free[0] if free else HERE if self.sending[HERE] < FROM_HERE_AT_ONCE else None
        if source is not None:
            self.sending[source] += 1
        return source

    def release(self, source: str) -> None:
        """Note that a source has sent what it had to, or failed to."""
        self.sending[source] -= 1


class _Content:
    """One image in this process."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.spread = Spread()
        self.asked: set[str] = set()
        self.unanswered = 0
        self.paths: dict[str, str] = {}

    def answered(self) -> None:
        with self.changed:
            self.unanswered -= 1
            self.changed.notify_all()


class Spreads:
    """All images that this process brings to hosts, by their content. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._contents: dict[str, _Content] = {}

    def has(self, content: str, host: str, path: str) -> None:
        """Note that a host has an image whole, and where: others may get it there."""
        image = self._content(content)
        with image.changed:
            image.asked.add(host)
            image.paths[host] = path
            image.spread.holders.add(host)
            image.changed.notify_all()

    def lost(self, content: str, host: str) -> None:
        """Note that a host doesn't have it (any more)."""
        image = self._content(content)
        with image.changed:
            image.asked.add(host)
            image.spread.holders.discard(host)

    def path(self, content: str, host: str) -> str:
        """Return where a host that has an image has it."""
        return self._content(content).paths[host]

    def ask(self, content: str, hosts: Collection[str], path_on: Callable[[str], str | None], work: Work) -> None:
        """Learn which hosts have an image from before; each is asked once, and all wait for the answers.

        Args:
            content: the image.
            hosts: the hosts.
            path_on: returns the image's path on a host, None when it doesn't have it.
            work: who waits for the answers.
        """
        image = self._content(content)
        with image.changed:
            mine = [host for host in hosts if host not in image.asked]
            image.asked.update(mine)
            image.unanswered += len(mine)

        def answer(host: str) -> None:
            path = path_on(host)
            if path is not None:
                self.has(content, host, path)

        with _threads(len(mine)) as pool:
            for future in [pool.submit(answer, host) for host in mine]:
                future.add_done_callback(lambda _: image.answered())
            _wait(image, work, "asking who has it", lambda: image.unanswered == 0 or None)

    @contextmanager
    def source(self, content: str, receiver: str, neighbours: Collection[str], work: Work) -> Iterator[str]:
        """Lend a source (a host or `HERE`), waiting until one has time.

        Args:
            content: the image.
            receiver: who needs it.
            neighbours: the hosts it may come from.
            work: who waits for it.
        """
        image = self._content(content)
        text = f"waiting for a host that has it ({FROM_HERE_AT_ONCE} get it from this machine at once)"
        source = _wait(image, work, text, lambda: image.spread.choose(receiver, neighbours))
        try:
            yield source
        finally:
            with image.changed:
                image.spread.release(source)
                image.changed.notify_all()

    def _content(self, content: str) -> _Content:
        with self._lock:
            return self._contents.setdefault(content, _Content())


def _wait(image: _Content, work: Work, text: str, answer: Callable[[], _Answer | None]) -> _Answer:
    while True:
        with image.changed:
            ready = answer()
            if ready is not None:
                return ready
            image.changed.wait(_TURN_SECONDS)
        work.check(text)
        work.status(text)


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Lend threads; whoever leaves early doesn't wait for them."""
    pool = ThreadPoolExecutor(max(1, count))
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
