"""The loop behind `azlocal autoscale`: looks at clusters, decides, and runs the engine with another pool size.

It is azlocal's own. The upstream cluster-autoscaler is an image that a machine without its registry can't have;
what is decided follows it (infra.lifecycle.scaling), and a run is that of `azlocal up`. One goes at a time.
What has to be remembered between two looks stands on the nodes themselves, so the loop may end at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from infra.counting import counted
from infra.errors import UserError
from infra.kubernetes.api import ClusterApi
from infra.kubernetes.kubeconfig import select_cluster
from infra.kubernetes.scheduling import look_at_scheduling, note_unneeded
from infra.lifecycle.scaling.decide import decide
from infra.lifecycle.scaling.view import Decision
from infra.model.run import PoolSizes
from infra.spec import SpecError, load_instance
from infra.spec.auto_scaler import time_of
from infra.stack import verbs
from infra.stack.command import Signals, stack_output
from infra.stack.messages import say
from infra.stack.pool_sizes import pool_sizes_of
from infra.stack.scaling_view import profile_of, scaling_clusters, view_of
from infra.stack.settle import is_dead
from infra.stack.state import Stack

_LOCKED: Final = 2.0
"""How often it is looked, in seconds, whether another run has ended."""


@dataclass
class Autoscaler:
    """Looks at a stack's clusters, again and again.

    Attributes:
        stack: The stack.
        cluster: The only cluster that is looked at; None: all that have pools which scale.
        signals: Who asks for the end.
        options: For the engine.
        resize: Runs it with other pool sizes; returns its exit code.
        notes: What was said last of each cluster: it isn't said again.
        apis: The clusters' API servers.
    """

    stack: Stack
    cluster: str | None
    signals: Signals
    options: Sequence[str] = ()
    resize: Callable[..., int] = verbs.resize
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    apis: dict[str, ClusterApi] = field(default_factory=dict)

    def run(self, interval: float | None) -> int:
        """Look until somebody asks for the end; return 0 then.

        Args:
            interval: Seconds between two looks; None: the shortest `scan-interval` of the clusters.

        Raises:
            UserError: Nothing of the stack scales.
        """
        self._begin(interval)
        while not self.signals.came:
            pause = self._interval(interval)
            try:
                if not self.look() and not self.signals.came:
                    pause = max(pause, self._after_failure())
                    say(f"the next look is in {pause:.0f} s")
            except SpecError as error:
                self._tell("", [str(finding) for finding in error.findings])
            except (KeyboardInterrupt, SystemExit):
                break  # the engine's command was asked for something, and told to end
            except UserError as error:
                self.apis.clear()
                self._tell("", [str(error)])
            self.signals.wait(pause)
        say("stopped; what stands stays as it is")
        return 0

    def once(self) -> int:
        """Look once; return the exit code of the run that it took, else 0.

        Raises:
            UserError: The stack or a cluster can't be asked.
        """
        return 0 if self.look() else 1

    def look(self) -> bool:
        """Look at each cluster and do what is decided; return whether that succeeded.

        Raises:
            UserError: The stack or a cluster can't be asked.
        """
        spec = load_instance(self.stack.name, self.stack.directory)
        for cluster in scaling_clusters(spec, self.cluster):
            if self.signals.came:
                break
            self.wait_for_others()
            sizes = pool_sizes_of(self.stack)
            api = self.api(cluster.name)
            seen = look_at_scheduling(api)
            view = view_of(spec, cluster.name, sizes, seen, datetime.now(UTC))
            outcome = decide(
                view,
                profile_of(
                    cluster.auto_scaler_profile, loses_volumes=cluster.storage_profile.delete_local_volumes
                ),
            )
            self._tell(cluster.name, outcome.notes)
            note_unneeded(api, seen.nodes, outcome.unneeded)
            if outcome.decision is not None and not self._carry_out(cluster.name, outcome.decision, sizes):
                return False
        return True

    def _carry_out(self, cluster: str, decision: Decision, sizes: PoolSizes) -> bool:
        verb = "grows" if decision.size > decision.before else "shrinks"
        change = f"{verb} from {decision.before} to {decision.size}"
        if decision.size == decision.before:
            change = f"gets its {counted(decision.size, 'node')} again"
        say(f"cluster {cluster}: pool {decision.pool} {change}: {decision.reason}")
        begun = time.monotonic()
        code = self.resize(
            self.stack,
            {**sizes, cluster: {**sizes.get(cluster, {}), decision.pool: decision.size}},
            *self.options,
        )
        took = f"after {time.monotonic() - begun:.0f} s"
        if code:
            say(f"cluster {cluster}: the run for pool {decision.pool} failed {took}; the engine says why above")
            return False
        say(f"cluster {cluster}: pool {decision.pool} has {counted(decision.size, 'node')} {took}")
        return True

    def wait_for_others(self) -> None:
        """Wait for the end of another run of the stack."""
        is_known = False
        while not self.signals.came:
            held = [lock for lock in self.stack.locks() if not is_dead(lock)]
            if not held:
                return
            if not is_known:
                say(f"waits for another run of {self.stack.name}: process {held[0].get('pid')} has its lock")
                is_known = True
            self.signals.wait(_LOCKED)

    def _begin(self, interval: float | None) -> None:
        spec = load_instance(self.stack.name, self.stack.directory)
        clusters = scaling_clusters(spec, self.cluster)
        pools = [
            f"{cluster.name}/{pool.name} {pool.min_count}-{pool.max_count}"
            for cluster in clusters
            for pool in cluster.agent_pools
            if pool.enable_auto_scaling
        ]
        say(
            "this is azlocal's own loop, and not the upstream cluster-autoscaler; it looks every "
            f"{self._interval(interval):g} s at the pools {', '.join(pools)}"
        )

    def _interval(self, interval: float | None) -> float:
        return interval or min(time_of(text).total_seconds() for text in self._profiles("scan_interval")) or 1.0

    def _after_failure(self) -> float:
        return max(time_of(text).total_seconds() for text in self._profiles("scale_down_delay_after_failure"))

    def _profiles(self, name: str) -> list[str]:
        """Return what the clusters' profiles have, or where the files can't be read, what the default is."""
        from infra.spec.auto_scaler import AutoScalerProfile

        try:
            spec = load_instance(self.stack.name, self.stack.directory)
            profiles = [cluster.auto_scaler_profile for cluster in scaling_clusters(spec, self.cluster)]
        except (SpecError, UserError):
            profiles = [AutoScalerProfile.model_construct()]
        return [str(getattr(profile, name)) for profile in profiles]

    def api(self, cluster: str) -> ClusterApi:
        """Return a cluster's API server.

        Raises:
            UserError: The stack has no such cluster.
        """
        if cluster not in self.apis:
            text = stack_output(self.stack.name, self.stack.directory, "kubeconfig")
            self.apis[cluster] = ClusterApi(select_cluster(text, f"{self.stack.name}-{cluster}"))
        return self.apis[cluster]

    def _tell(self, cluster: str, notes: Sequence[str]) -> None:
        if self.notes.get(cluster, ()) != tuple(notes):
            self.notes[cluster] = tuple(notes)
            for note in notes:
                say(f"cluster {cluster}: {note}" if cluster else note)
