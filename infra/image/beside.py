"""Do one part of a build beside another one; what fails first ends both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from infra.image.errors import Stopped


@contextmanager
def beside(work: Callable[[], object], stop: Callable[[], None]) -> Iterator[None]:
    """Do `work` in a thread while the block runs; leave when both are done.

    Args:
        work: Starts programs only by the runner that `stop` belongs to.
        stop: Ends the programs of both, so that the one which goes on fails with `Stopped`.

    Raises:
        BaseException: What failed first, of the block or of the work.
    """
    failures: list[BaseException] = []

    def act() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
            failures.append(error)
            stop()

    thread = threading.Thread(target=act, name="beside")
    thread.start()
    try:
        yield
        thread.join()
    except BaseException as error:
        stop()
        thread.join()
        if isinstance(error, Stopped) and failures:
            raise failures[0] from None
        raise
    if failures:
        raise failures[0]
