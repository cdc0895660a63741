"""A run of the engine, with our program and our plugin in this process.

Left to itself, the engine starts a language host, which asks pip for every installed package and then starts
another Python for the program, and a third one for the plugin. It also takes the address of a host that is there
already (`--client`, by which Pulumi's own Automation API runs programs), and of a plugin: then none of that is
needed, and the program is imported while the engine starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc

from infra.plugin.proto import language_pb2, language_pb2_grpc, plugin_pb2
from infra.stack.command import started
from infra.stack.plugins import attached
from infra.stack.settle import lost_hosts

if TYPE_CHECKING:
    from infra.model.encryption_keys import EncryptionKeys
    from infra.provider.standing import Standing

_MAX_MESSAGE: Final = 400 * 1024 * 1024  # the engine's own limit
_CALLS: Final = 4

Program = Callable[[], None]
"""What declares the resources."""


def run(
    stack: str,
    verb: str,
    *arguments: str,
    load: Callable[[], Program],
    standing: Standing | None = None,
    refounded: Iterable[str] = (),
    rotating: Mapping[str, EncryptionKeys] | None = None,
) -> int:
    """Run the engine on a stack, in the caller's terminal; return its exit code.

    Args:
        stack: the stack's name.
        verb: the engine's command: up, preview, refresh, destroy.
        arguments: its options.
        load: imports the program; called while the engine starts, and only its errors wait for the engine.
        standing: what stands of an instance that is adopted.
        refounded: clusters, by `<instance>-<cluster>`, that have lost all they had and are founded again.
        rotating: by a ClusterIdentity's id, the keys of Secrets that its state is to have from now on.

    Raises:
        UserError: there is no engine; or none that could adopt, found again, or rotate.
    """
    lost = lost_hosts(stack) if verb == "destroy" else ()
    program = _Host()
    plugins = attached(Path.cwd(), standing, lost, refounded, rotating)
    with _served(program) as address, plugins as environment:
        words = (verb, "--stack", stack, "--client", address, *arguments)
        with started(*words, environment=environment) as process:
            program.load(load)
    return process.exit_code


class _Host(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine as the host of one program."""

    def __init__(self) -> None:
        self._loaded = threading.Event()
        self._program: Program | None = None
        self._failure = ""

    def load(self, load: Callable[[], Program]) -> None:
        """Import the program; who asks for it waits until that is done."""
        try:
            self._program = load()
        except Exception:  # noqa: BLE001 - the program's edge: the engine tells it, as it tells one of its run
            self._failure = traceback.format_exc()
        finally:
            self._loaded.set()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Say nothing about a version: we are none of the engine's plugins."""
        return plugin_pb2.PluginInfo()

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        """Name none: each resource names its plugin, and its version, when it is declared."""
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        """Name none, as above."""
        return language_pb2.GetRequiredPluginsResponse()

    def Run(self, request: Any, context: Any) -> Any:
        """Run the program; its errors are in the engine's log when this returns."""
        self._loaded.wait()
        # The SDK keeps the run's settings in the context.
        done: bool = contextvars.copy_context().run(self._run, request)
        return language_pb2.RunResponse(bail=not done)

    def _run(self, request: Any) -> bool:
        import pulumi

        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # as Pulumi's own host does
        pulumi.runtime.reset_options(
            project=request.project,
            stack=request.stack,
            parallel=request.parallel,
            preview=request.dryRun,
            organization=request.organization or "organization",
            monitor_address=request.monitor_address,
            engine_address=request.args[0],
        )
        pulumi.runtime.set_all_config(dict(request.config), list(request.configSecretKeys))
        loop = asyncio.new_event_loop()
        workers = ThreadPoolExecutor(max(request.parallel, 1) * 4)
        loop.set_default_executor(workers)
        try:
            if self._program is None:
                pulumi.log.error(f"The program can't be imported:\n{self._failure}")
                return False
            loop.run_until_complete(pulumi.runtime.run_in_stack(self._program))
        except pulumi.RunError as error:
            pulumi.log.error(str(error))
        except grpc.RpcError as error:
            # The engine ends first where it is stopped.
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                pulumi.log.error(f"Program failed with an unhandled exception:\n{traceback.format_exc()}")
        except Exception:  # noqa: BLE001 - the program's edge
            with contextlib.suppress(grpc.RpcError):
                pulumi.log.error(f"Program failed with an unhandled exception:\n{traceback.format_exc()}")
        else:
            return True
        finally:
            _close(loop)
            workers.shutdown(wait=False, cancel_futures=True)
        return False


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """End what a failed program left in its loop."""
    for task in asyncio.all_tasks(loop):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            loop.run_until_complete(task)
    loop.close()


@contextmanager
def _served(host: _Host) -> Iterator[str]:
    """Yield the address at which the engine finds the host."""
    limits = [(f"grpc.max_{way}_message_length", _MAX_MESSAGE) for way in ("receive", "send")]
    server = grpc.server(ThreadPoolExecutor(_CALLS), options=limits)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0)
