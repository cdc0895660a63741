"""The protocol's methods, over the pools of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import grpc

from infra.errors import UserError
from infra.lifecycle.scaling.view import Pool
from infra.stack.external_grpc.groups import Groups, Refused, provider_id
from infra.stack.external_grpc.protocol import CREATING, DELETING, MESSAGES, METHODS, RUNNING, SERVICE

_CALLS: Final = 4
_GPU_LABEL: Final = "kubernetes.azure.com/accelerator"


class Service:
    """Answers upstream's calls; each method is called like the protocol's."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups

    def NodeGroups(self, request: Any) -> Any:
        """Return the pools that scale."""
        return MESSAGES["NodeGroupsResponse"](nodeGroups=[self._group(pool) for pool in self._groups.pools()])

    def NodeGroupForNode(self, request: Any) -> Any:
        """Return the pool of a node; one without an id where it is of none that scales."""
        pool = self._groups.pool_of(request.node.name)
        group = self._group(pool) if pool else MESSAGES["NodeGroup"]()
        return MESSAGES["NodeGroupForNodeResponse"](nodeGroup=group)

    def GPULabel(self, request: Any) -> Any:
        """Return AKS's label of nodes with a GPU."""
        return MESSAGES["GPULabelResponse"](label=_GPU_LABEL)

    def GetAvailableGPUTypes(self, request: Any) -> Any:
        """Return none."""
        return MESSAGES["GetAvailableGPUTypesResponse"]()

    def Cleanup(self, request: Any) -> Any:
        """Do nothing: the loop goes on for who asks next."""
        return MESSAGES["CleanupResponse"]()

    def Refresh(self, request: Any) -> Any:
        """Do nothing: the loop has state's sizes."""
        return MESSAGES["RefreshResponse"]()

    def NodeGroupTargetSize(self, request: Any) -> Any:
        """Return the size that a pool is to have."""
        return MESSAGES["NodeGroupTargetSizeResponse"](
            targetSize=self._groups.target(self._groups.pool(request.id))
        )

    def NodeGroupIncreaseSize(self, request: Any) -> Any:
        """Have a pool grow."""
        self._groups.grow(self._groups.pool(request.id), request.delta)
        return MESSAGES["NodeGroupIncreaseSizeResponse"]()

    def NodeGroupDeleteNodes(self, request: Any) -> Any:
        """Have nodes go."""
        self._groups.remove(self._groups.pool(request.id), [node.name for node in request.nodes])
        return MESSAGES["NodeGroupDeleteNodesResponse"]()

    def NodeGroupDecreaseTargetSize(self, request: Any) -> Any:
        """Give up nodes that don't stand yet."""
        self._groups.cancel(self._groups.pool(request.id), request.delta)
        return MESSAGES["NodeGroupDecreaseTargetSizeResponse"]()

    def NodeGroupNodes(self, request: Any) -> Any:
        """Return a pool's machines: those that stand, come and go."""
        pool = self._groups.pool(request.id)
        target = self._groups.target(pool)
        instances = []
        for number, machine in enumerate(pool.machines[: max(target, pool.size)]):
            state = CREATING if number >= pool.size else DELETING if number >= target else RUNNING
            status = MESSAGES["InstanceStatus"](instanceState=state)
            id = provider_id(self._groups.instance, machine)
            instances.append(MESSAGES["Instance"](id=id, status=status))
        return MESSAGES["NodeGroupNodesResponse"](instances=instances)

    def _group(self, pool: Pool) -> Any:
        debug = f"azlocal: {pool.name}, {pool.size} nodes; only the highest number can go"
        return MESSAGES["NodeGroup"](
            id=self._groups.id_of(pool), minSize=pool.least, maxSize=pool.most, debug=debug
        )


def start(service: Service, address: str, folder: Path) -> tuple[grpc.Server, int]:
    """Serve at an address, to clients with a certificate of ours alone; return the server and its port.

    Args:
        service: What is served.
        address: HOST:PORT.
        folder: Where the certificates are (infra.stack.external_grpc.certificates).

    Raises:
        UserError: The address can't be had.
    """
    server = grpc.server(ThreadPoolExecutor(_CALLS))
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            _answering(getattr(service, name)),
            request_deserializer=MESSAGES[f"{name}Request"].FromString,
            response_serializer=MESSAGES[f"{name}Response"].SerializeToString,
        )
        for name in METHODS
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    pair = ((folder / "server.key").read_bytes(), (folder / "server.crt").read_bytes())
    authority = (folder / "ca.crt").read_bytes()
    credentials = grpc.ssl_server_credentials([pair], authority, require_client_auth=True)
    try:
        port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise UserError(f"nobody can be served at {address}: {error}; name another address or port") from error
    server.start()
    return server, int(port)


def _answering(method: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
    """Return a method that turns errors into the protocol's."""

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(request)
        except KeyError as error:
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no pool {error} that scales")
        except Refused as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))

    return answer
