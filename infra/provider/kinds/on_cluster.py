"""What the kinds have in common that Azure has its agents make in a connected cluster."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Final, TypeVar

from infra.arc.azure import Azure
from infra.arc.cluster_resources import problems_of
from infra.arc.errors import ArcError
from infra.model.work import Work
from infra.plugin.operation import Operation
from infra.provider.kind import InitFailed, Kind, Made
from infra.provider.kinds.arc_base import AzureSessions, arm_id, connection_of, remove_from_cluster
from infra.resources.azure_access import AzureAccess
from infra.resources.on_cluster import OnCluster

InputsT = TypeVar("InputsT", bound=OnCluster)
StateT = TypeVar("StateT", bound=OnCluster)

SECONDS: Final = 1200


class OnClusterKind(Kind[InputsT, StateT]):
    """A kind whose objects Azure reports, and agents make."""

    what: ClassVar[str]
    """What it is called in messages."""
    fault: ClassVar[str]
    """What is said of one that stands and didn't become what it should be."""

    def __init__(self, sessions: AzureSessions) -> None:
        self._sessions = sessions

    def create(self, op: Operation, inputs: InputsT) -> Made[StateT]:
        """Make it; one that stands under the name is made what is wanted."""
        return self.made(self.put(op, inputs))

    def read(self, op: Operation, id: str, old: StateT | None) -> StateT | None:
        """Return what Azure says of it; protected settings are those last sent, for nobody gives them back."""
        azure, parts = self._sessions.of(old.access if old else AzureAccess(), id)
        cluster = arm_id(parts.parent)
        body = self.get(azure, cluster.name, parts.name)
        if body is None:
            return None
        if old is None:
            about = OnCluster(
                access=AzureAccess(),
                cluster_id=parts.parent,
                connection=connection_of(azure, cluster.name),
                name=parts.name,
            )
            old = self.imported(about, body)
        return self.observed(old, body)

    def update(self, op: Operation, id: str, old: StateT, inputs: InputsT) -> StateT:
        """Make it what is wanted, with all protected settings: Azure keeps none that aren't sent again."""
        return self.put(op, inputs)

    def delete(self, op: Operation, id: str, old: StateT) -> None:
        """Have the agents remove it; where they can't, Azure forgets it, and what stays is said."""
        azure, parts = self._sessions.of(old.access, id)
        cluster = arm_id(parts.parent).name

        def delete(force: bool) -> None:
            self.remove(azure, cluster, parts.name, force=force, work=op.work(SECONDS))

        remove_from_cluster(op, azure, cluster, f"{self.what} {old.name}", delete)

    def put(self, op: Operation, inputs: InputsT) -> StateT:
        """Send it and wait.

        Raises:
            InitFailed: The agents say that it failed, or not in time that it didn't.
        """
        azure, cluster = self._sessions.of(inputs.access, inputs.cluster_id)
        wanted = self.wanted(inputs)
        try:
            answer = self.send(azure, cluster.name, inputs, op.work(SECONDS))
        except ArcError as error:
            stands = self.get(azure, cluster.name, inputs.name)
            if stands is None:
                raise
            listed = "".join(f"\n  - {text}" for text in problems_of(stands))
            raise InitFailed(
                self.made(self.observed(wanted, stands)),
                f"{self.what} {inputs.name} {self.fault}: {error}{listed}",
            ) from error
        return self.observed(wanted, answer)

    @abstractmethod
    def get(self, azure: Azure, cluster: str, name: str) -> dict[str, Any] | None:
        """Return what Azure has of it."""

    @abstractmethod
    def send(self, azure: Azure, cluster: str, inputs: InputsT, work: Work) -> dict[str, Any]:
        """Have Azure make it, and wait."""

    @abstractmethod
    def remove(self, azure: Azure, cluster: str, name: str, *, force: bool, work: Work) -> None:
        """Have it deleted; with `force` Azure alone forgets it."""

    @abstractmethod
    def wanted(self, inputs: InputsT) -> StateT:
        """Return the state of one that is being made."""

    @abstractmethod
    def imported(self, about: OnCluster, body: dict[str, Any]) -> StateT:
        """Return the state of one that nothing is known of but what Azure has."""

    @abstractmethod
    def observed(self, state: StateT, body: dict[str, Any]) -> StateT:
        """Return the state with what Azure says now."""
