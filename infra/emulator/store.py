"""What the emulator remembers, in one SQLite file: a restart or a kill loses nothing that was answered.

Tables:
    resources   ARM resources by lower-cased id: the body that GET shows, and hidden fields of the server.
    operations  long-running operations.
    secrets     protected settings, apart from the bodies: nothing that lists resources can show them.
    records     what the agents' side keeps for a cluster (certificates issued, nonces used), by kind and key.
    settings    single values: the clock's offset.
    faults      faults that were asked for.

Use it from one thread: the server's event loop. Every handler runs inside `transaction`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from infra.emulator.clock import parse, text
from infra.emulator.errors import EmulatorError

_VERSION: Final = 1
_SCHEMA: Final = """
create table resources (
    id text primary key, type text not null, spelled text not null, body text not null, hidden text not null
);
create index resources_by_type on resources (type);
create table operations (
    id text primary key, resource text not null, status text not null, content text not null
);
create index operations_by_status on operations (status);
create table secrets (resource text primary key, content text not null, stored text not null);
create table records (
    cluster text not null, kind text not null, key text not null, content text not null,
    primary key (cluster, kind, key)
);
create table settings (name text primary key, value text not null);
create table faults (id text primary key, content text not null);
"""


@dataclass(frozen=True)
class Resource:
    """An ARM resource.

    Attributes:
        id: as the client that made it spelled it; ids are compared without regard to case.
        type: `Microsoft.Kubernetes/connectedClusters`, as Azure spells it.
        body: what GET shows, apart from what is computed at that time (`connectivityStatus`).
        hidden: the server's own fields: `generation`, `reported`, `operation`, `deleting`.
    """

    id: str
    type: str
    body: dict[str, Any]
    hidden: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The id in the case that ids are compared in."""
        return self.id.lower()

    @property
    def name(self) -> str:
        """The last part of the id."""
        return self.id.rpartition("/")[2]

    @property
    def properties(self) -> dict[str, Any]:
        """The body's `properties`; empty where it has none."""
        properties: dict[str, Any] = self.body.get("properties") or {}
        return properties

    def with_properties(self, **changes: Any) -> Resource:
        """Return it with properties set, by their wire names; None takes one away."""
        properties = {**self.properties, **changes}
        return replace(
            self,
            body={
                **self.body,
                "properties": {name: value for name, value in properties.items() if value is not None},
            },
        )

    def with_hidden(self, **changes: Any) -> Resource:
        """Return it with hidden fields set; None takes one away."""
        hidden = {**self.hidden, **changes}
        return replace(self, hidden={name: value for name, value in hidden.items() if value is not None})


@dataclass(frozen=True)
class Secret:
    """A resource's protected settings.

    Attributes:
        stored: when they came, by the emulator's clock.
    """

    content: dict[str, Any] = field(repr=False)
    stored: datetime


class Store:
    """Reads and writes the emulator's SQLite file."""

    def __init__(self, path: Path) -> None:
        """Open the file, 0600; make it where it is missing.

        Raises:
            EmulatorError: it is another version's, or no database.
        """
        path.touch(mode=0o600, exist_ok=True)
        self._path = path
        self._database = sqlite3.connect(path, isolation_level=None, timeout=10)
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise EmulatorError(
                f"{path}: the emulator's state can't be read ({error}). "
                "`azlocal emulator reset` starts over; what was onboarded to it has to be onboarded again."
            ) from error

    def _prepare(self) -> None:
        self._database.execute("pragma journal_mode = wal")
        # With WAL this survives a killed process; only a power cut can lose the last answers.
        self._database.execute("pragma synchronous = normal")
        self._database.execute("pragma secure_delete = on")  # what is forgotten, secrets too, is overwritten
        version = self._database.execute("pragma user_version").fetchone()[0]
        if version == 0:
            self._database.executescript(f"begin; {_SCHEMA} pragma user_version = {_VERSION}; commit;")
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"it has version {version}, this azlocal reads {_VERSION}")

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all of what is written inside, or nothing when an exception leaves it. Nested ones join."""
        if self._database.in_transaction:
            yield
            return
        self._database.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._database.execute("rollback")
            raise
        self._database.execute("commit")

    def clear(self) -> None:
        """Forget everything."""
        with self.transaction():
            for table in ("resources", "operations", "secrets", "records", "settings", "faults"):
                self._write(f"delete from {table}")  # noqa: S608 - names of our own

    # Resources

    def get(self, resource_id: str) -> Resource | None:
        """Return a resource, whatever the case of the id."""
        return next(iter(self._resources("where id = ?", resource_id.lower())), None)

    def put(self, resource: Resource) -> Resource:
        """Write a resource as it is; return it."""
        self._write(
            "insert into resources (id, type, spelled, body, hidden) values (?, ?, ?, ?, ?) "
            "on conflict (id) do update set body = excluded.body, hidden = excluded.hidden",
            resource.key,
            resource.type.lower(),
            json.dumps({"id": resource.id, "type": resource.type}),
            json.dumps(resource.body),
            json.dumps(resource.hidden),
        )
        return resource

    def delete(self, resource_id: str) -> None:
        """Remove a resource with everything below it: child and extension resources, secrets, agents' records."""
        key = resource_id.lower()
        for table, column in (("resources", "id"), ("secrets", "resource"), ("records", "cluster")):
            self._write(
                f"delete from {table} where {column} = ? or {column} >= ? and {column} < ?",  # noqa: S608
                key,
                *_below(key),
            )

    def under(self, prefix: str, resource_type: str | None = None) -> list[Resource]:
        """Return the resources below an id (a cluster, a resource group, a subscription), by id."""
        ends = _below(prefix.lower().rstrip("/"))
        if resource_type is None:
            return self._resources("where id >= ? and id < ? order by id", *ends)
        return self._resources("where id >= ? and id < ? and type = ? order by id", *ends, resource_type.lower())

    def of_type(self, resource_type: str) -> list[Resource]:
        """Return every resource of a type, by id."""
        return self._resources("where type = ? order by id", resource_type.lower())

    def _resources(self, condition: str, *values: Any) -> list[Resource]:
        rows = self._read(f"select spelled, body, hidden from resources {condition}", *values)  # noqa: S608
        return [
            Resource(**json.loads(spelled), body=json.loads(body), hidden=json.loads(hidden))
            for spelled, body, hidden in rows
        ]

    # Operations: `infra.emulator.operations` gives their content its meaning.

    def put_operation(self, operation_id: str, resource_id: str, status: str, content: Mapping[str, Any]) -> None:
        """Write an operation."""
        self._write(
            "insert into operations (id, resource, status, content) values (?, ?, ?, ?) "
            "on conflict (id) do update set status = excluded.status, content = excluded.content",
            operation_id,
            resource_id.lower(),
            status,
            json.dumps(content),
        )

    def operation(self, operation_id: str) -> dict[str, Any] | None:
        """Return an operation's content."""
        rows = self._read("select content from operations where id = ?", operation_id.lower())
        return json.loads(rows[0][0]) if rows else None

    def operations(self, status: str | None = None, resource_id: str | None = None) -> list[dict[str, Any]]:
        """Return operations, the oldest first; only those of a status or a resource where one is given."""
        columns = {"status": status, "resource": resource_id.lower() if resource_id else None}
        conditions = {column: value for column, value in columns.items() if value is not None}
        # Only what is asked is in the statement: then the index is used, and not every operation ever read.
        where = f"where {' and '.join(f'{column} = ?' for column in conditions)}" if conditions else ""
        rows = self._read(f"select content from operations {where} order by rowid", *conditions.values())  # noqa: S608
        return [json.loads(content) for (content,) in rows]

    # Protected settings

    def put_secret(self, resource_id: str, content: Mapping[str, Any], stored: datetime) -> None:
        """Keep a resource's protected settings, in place of what was kept before."""
        self._write(
            "insert or replace into secrets (resource, content, stored) values (?, ?, ?)",
            resource_id.lower(),
            json.dumps(content),
            text(stored),
        )

    def secret(self, resource_id: str) -> Secret | None:
        """Return a resource's protected settings."""
        rows = self._read("select content, stored from secrets where resource = ?", resource_id.lower())
        return Secret(json.loads(rows[0][0]), parse(rows[0][1])) if rows else None

    def delete_secret(self, resource_id: str) -> None:
        """Forget a resource's protected settings."""
        self._write("delete from secrets where resource = ?", resource_id.lower())

    # Records of the agents' side; a cluster's go with the cluster.

    def put_record(self, cluster_id: str, kind: str, key: str, content: Mapping[str, Any]) -> None:
        """Keep something for a cluster, such as a certificate that was issued to it."""
        self._write(
            "insert into records (cluster, kind, key, content) values (?, ?, ?, ?) "
            "on conflict (cluster, kind, key) do update set content = excluded.content",
            cluster_id.lower(),
            kind,
            key,
            json.dumps(content),
        )

    def record(self, cluster_id: str, kind: str, key: str) -> dict[str, Any] | None:
        """Return what was kept for a cluster under a kind and a key."""
        rows = self._read(
            "select content from records where cluster = ? and kind = ? and key = ?", cluster_id.lower(), kind, key
        )
        return json.loads(rows[0][0]) if rows else None

    def records(self, cluster_id: str, kind: str) -> dict[str, dict[str, Any]]:
        """Return what was kept for a cluster under a kind, by key, the oldest first."""
        rows = self._read(
            "select key, content from records where cluster = ? and kind = ? order by rowid",
            cluster_id.lower(),
            kind,
        )
        return {key: json.loads(content) for key, content in rows}

    def delete_record(self, cluster_id: str, kind: str, key: str) -> None:
        """Forget one of them."""
        self._write(
            "delete from records where cluster = ? and kind = ? and key = ?", cluster_id.lower(), kind, key
        )

    def delete_records(self, kind: str) -> None:
        """Forget a kind of them, of every cluster."""
        self._write("delete from records where kind = ?", kind)

    # Single values, and faults

    def setting(self, name: str) -> str | None:
        """Return what was kept under a name."""
        rows = self._read("select value from settings where name = ?", name)
        return str(rows[0][0]) if rows else None

    def set_setting(self, name: str, value: str) -> None:
        """Keep a value under a name."""
        self._write("insert or replace into settings (name, value) values (?, ?)", name, value)

    def faults(self) -> dict[str, dict[str, Any]]:
        """Return the faults that were asked for, by id, the oldest first."""
        return {
            key: json.loads(content)
            for key, content in self._read("select id, content from faults order by rowid")
        }

    def put_fault(self, fault_id: str, content: Mapping[str, Any]) -> None:
        """Keep a fault; one that is there stays at its place."""
        self._write(
            "insert into faults (id, content) values (?, ?) "
            "on conflict (id) do update set content = excluded.content",
            fault_id,
            json.dumps(content),
        )

    def delete_fault(self, fault_id: str) -> None:
        """Forget a fault."""
        self._write("delete from faults where id = ?", fault_id)

    def _read(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(self._database.execute(statement, values)) as cursor:
            return cursor.fetchall()

    def _write(self, statement: str, *values: Any) -> None:
        self._database.execute(statement, values).close()


def _below(key: str) -> tuple[str, str]:
    """Return between which two texts the ids below an id lie: the first one counts, the last one doesn't."""
    return f"{key}/", f"{key}0"  # what follows the slash
