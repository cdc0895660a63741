"""`autoScalerProfile` of a cluster: AKS's own keys and texts (API-GA provisionedClusterInstances, ASCALE).

What `azlocal autoscale` doesn't act on is accepted, and said to be without effect.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Field

from infra.spec.forms import DURATION, Form
from infra.spec.types import Model

_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|ms|s|m|h)")
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

_SHARE = Form(r"0(\.[0-9]+)?|1(\.0+)?", "a part as a text: a number from 0 to 1 in quotes", '"0.5"')
_NUMBER = Form("[0-9]{1,9}", "a whole number as a text, in quotes", '"10"')
_YES_OR_NO = Form("true|false", "a text, in quotes: true or false", '"true"')

Time = Annotated[str, DURATION]
Number = Annotated[str, _NUMBER]
YesOrNo = Annotated[str, _YES_OR_NO]


class AutoScalerProfile(Model):
    """How eagerly the pools of a cluster grow and shrink that scale by themselves."""

    scan_interval: Time = Field("10s", alias="scan-interval", description="How often the cluster is looked at.")
    expander: Literal["least-waste", "most-pods", "priority", "random"] = Field(
        "least-waste",
        description="Which of several pools grows: that which leaves the least of its nodes unused, or takes the "
        "most pods. priority, random: as least-waste here.",
    )
    new_pod_scale_up_delay: Time = Field(
        "0s", alias="new-pod-scale-up-delay", description="Pods that are younger don't count yet."
    )
    scale_down_delay_after_add: Time = Field(
        "10m", alias="scale-down-delay-after-add", description="As long after a node came, none is removed."
    )
    scale_down_delay_after_failure: Time = Field(
        "3m", alias="scale-down-delay-after-failure", description="As long after a run that failed, none follows."
    )
    scale_down_unneeded_time: Time = Field(
        "10m", alias="scale-down-unneeded-time", description="How long no pod needs a node before it is removed."
    )
    scale_down_utilization_threshold: Annotated[str, _SHARE] = Field(
        "0.5",
        alias="scale-down-utilization-threshold",
        description="A node whose pods ask for this part of it, or more, stays.",
    )
    skip_nodes_with_local_storage: YesOrNo = Field(
        "true",
        alias="skip-nodes-with-local-storage",
        description="Whether a pod with an emptyDir or hostPath keeps its node.",
    )
    skip_nodes_with_system_pods: YesOrNo = Field(
        "true",
        alias="skip-nodes-with-system-pods",
        description="Whether a pod of kube-system that no disruption budget is about keeps its node.",
    )
    ignore_daemonsets_utilization: YesOrNo = Field(
        "false",
        alias="ignore-daemonsets-utilization",
        description="Whether pods of DaemonSets don't count as use of a node.",
    )
    balance_similar_node_groups: YesOrNo | None = Field(
        None, alias="balance-similar-node-groups", description="Without effect here."
    )
    daemonset_eviction_for_empty_nodes: YesOrNo | None = Field(
        None,
        alias="daemonset-eviction-for-empty-nodes",
        description="Without effect here: pods of DaemonSets end with their node.",
    )
    daemonset_eviction_for_occupied_nodes: YesOrNo | None = Field(
        None,
        alias="daemonset-eviction-for-occupied-nodes",
        description="Without effect here: pods of DaemonSets end with their node.",
    )
    max_empty_bulk_delete: Number | None = Field(
        None, alias="max-empty-bulk-delete", description="Without effect here."
    )
    max_graceful_termination_sec: Number | None = Field(
        None,
        alias="max-graceful-termination-sec",
        description="Without effect here: `up` drains a node for five minutes.",
    )
    max_node_provision_time: Time | None = Field(
        None, alias="max-node-provision-time", description="Without effect here: `timeoutMinutes` is."
    )
    max_total_unready_percentage: Number | None = Field(
        None, alias="max-total-unready-percentage", description="Without effect here."
    )
    ok_total_unready_count: Number | None = Field(
        None, alias="ok-total-unready-count", description="Without effect here."
    )
    scale_down_delay_after_delete: Time | None = Field(
        None, alias="scale-down-delay-after-delete", description="Without effect here: one run goes at a time."
    )
    scale_down_unready_time: Time | None = Field(
        None,
        alias="scale-down-unready-time",
        description="Without effect here: a node that isn't Ready stays, and `up` repairs its machine.",
    )


def time_of(text: str) -> timedelta:
    """Return a time as Go writes it: `10m`, `1h30m`."""
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text)))
