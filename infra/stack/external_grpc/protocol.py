"""The messages and methods of the protocol, as data.

Facts of kubernetes/autoscaler, cluster-autoscaler/cloudprovider/externalgrpc/protos/externalgrpc.proto. Methods
that aren't here gRPC answers with UNIMPLEMENTED, which the protocol has for them: prices, templates of nodes, and
NodeGroupGetOptions, whose durations upstream takes for zero where they are left out (kubernetes/autoscaler#5935,
#10245).
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE: Final = "clusterautoscaler.cloudprovider.v1.externalgrpc"
SERVICE: Final = f"{PACKAGE}.CloudProvider"

_MESSAGES: Final[dict[str, dict[str, tuple[int, str]]]] = {
    "NodeGroup": {"id": (1, "string"), "minSize": (2, "int32"), "maxSize": (3, "int32"), "debug": (4, "string")},
    "ExternalGrpcNode": {"providerID": (1, "string"), "name": (2, "string")},
    "NodeGroupsRequest": {},
    "NodeGroupsResponse": {"nodeGroups": (1, "NodeGroup*")},
    "NodeGroupForNodeRequest": {"node": (1, "ExternalGrpcNode")},
    "NodeGroupForNodeResponse": {"nodeGroup": (1, "NodeGroup")},
    "GPULabelRequest": {},
    "GPULabelResponse": {"label": (1, "string")},
    "GetAvailableGPUTypesRequest": {},
    "GetAvailableGPUTypesResponse": {},
    "CleanupRequest": {},
    "CleanupResponse": {},
    "RefreshRequest": {},
    "RefreshResponse": {},
    "NodeGroupTargetSizeRequest": {"id": (1, "string")},
    "NodeGroupTargetSizeResponse": {"targetSize": (1, "int32")},
    "NodeGroupIncreaseSizeRequest": {"delta": (1, "int32"), "id": (2, "string")},
    "NodeGroupIncreaseSizeResponse": {},
    "NodeGroupDeleteNodesRequest": {"nodes": (1, "ExternalGrpcNode*"), "id": (2, "string")},
    "NodeGroupDeleteNodesResponse": {},
    "NodeGroupDecreaseTargetSizeRequest": {"delta": (1, "int32"), "id": (2, "string")},
    "NodeGroupDecreaseTargetSizeResponse": {},
    "NodeGroupNodesRequest": {"id": (1, "string")},
    "NodeGroupNodesResponse": {"instances": (1, "Instance*")},
    "Instance": {"id": (1, "string"), "status": (2, "InstanceStatus")},
    "InstanceStatus": {"instanceState": (1, "int32")},
}
"""Fields by name: number and type, a star behind it for a list. A state is an enum, which is sent as a number."""

METHODS: Final = (
    *("NodeGroups", "NodeGroupForNode", "GPULabel", "GetAvailableGPUTypes", "Cleanup", "Refresh"),
    *("NodeGroupTargetSize", "NodeGroupIncreaseSize", "NodeGroupDeleteNodes"),
    *("NodeGroupDecreaseTargetSize", "NodeGroupNodes"),
)
"""Those that are served; each takes a METHODRequest and answers with a METHODResponse."""

RUNNING: Final = 1
CREATING: Final = 2
DELETING: Final = 3
"""States of an instance."""


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="externalgrpc.proto", package=PACKAGE, syntax="proto3")
    scalars = {"string": 9, "int32": 5}  # google/protobuf/descriptor.proto, FieldDescriptorProto.Type
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            added = message.field.add(name=field, number=number, label=3 if kind.endswith("*") else 1)
            added.type = scalars.get(kind, 11)
            if kind not in scalars:
                added.type_name = f".{PACKAGE}.{kind.removesuffix('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in _MESSAGES
    }


MESSAGES: Final = _build()
"""The messages' classes, by their names."""
