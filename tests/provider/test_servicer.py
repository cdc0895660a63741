"""The protocol, over real gRPC, with a kind that lives in memory."""

from __future__ import annotations

import threading
import time
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, status_pb2

from infra.plugin.values import UNKNOWN, decode, encode
from infra.provider.kind import Changes
from tests.provider.conftest import Served

URN = "urn:pulumi:dev::azlocal::azlocal:index:Instance$azlocal:test:Thing::one"


def check(served: Served, news: dict[str, Any], secret: tuple[str, ...] = ()) -> Any:
    return served.stub.Check(provider_pb2.CheckRequest(urn=URN, news=encode(news, secret)))


def diff(served: Served, olds: dict[str, Any], news: dict[str, Any], **more: Any) -> Any:
    return served.stub.Diff(
        provider_pb2.DiffRequest(urn=URN, id="x", olds=encode(olds), news=encode(news), **more)
    )


def create(served: Served, inputs: dict[str, Any], *, secret: tuple[str, ...] = (), preview: bool = False) -> Any:
    return served.stub.Create(
        provider_pb2.CreateRequest(urn=URN, properties=encode(inputs, secret), preview=preview)
    )


WHOLE = {"name": "a", "size": 1, "password": None, "note": None, "options": {}}


def test_check_fills_defaults_and_reports_every_fault(served: Served) -> None:
    assert decode(check(served, {"name": "a"}).inputs).values == WHOLE
    answer = check(served, {"size": "big", "colour": "red"})
    reasons = sorted(failure.reason for failure in answer.failures)
    assert len(reasons) == 3
    assert "azlocal:test:Thing has no such input" in reasons[0]
    assert reasons[1] == "name: azlocal:test:Thing needs it and it is not set"
    assert "got 'big'" in reasons[2]


def test_check_never_repeats_a_secret(served: Served) -> None:
    for name, value, secret in (("password", 52_901, ()), ("size", "hunter2", ("size",))):
        (failure,) = check(served, {"name": "a", name: value}, secret).failures
        assert failure.property == ""
        assert failure.reason.startswith(name)
        assert str(value) not in failure.reason


def test_unknown_inputs_pass_check_and_stay_unknown(served: Served) -> None:
    answer = check(served, {"name": UNKNOWN, "options": {"k": UNKNOWN}})
    assert not answer.failures
    assert decode(answer.inputs).unknown == {"name", "options"}


def test_declared_secrets_are_secret_whatever_the_program_says(served: Served) -> None:
    answer = check(served, {"name": "a", "password": "p"})
    assert decode(answer.inputs).secret == {"password"}
    made = create(served, WHOLE | {"password": "p"})
    assert decode(made.properties).secret == {"password"}


def test_a_secret_of_the_program_survives_into_state(served: Served) -> None:
    made = create(served, WHOLE | {"options": {"k": "v"}}, secret=("options",))
    assert decode(made.properties).secret == {"options"}


def test_a_kind_may_have_its_replacement_made_first(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def refine(state: Any, news: Any, changes: Changes, op: Any) -> None:
        changes.create_first = True

    monkeypatch.setattr(served.kind, "refine", refine)
    answer = diff(served, WHOLE | {"serial": "s"}, WHOLE | {"name": "b"})
    assert list(answer.replaces) == ["name"]
    assert not answer.deleteBeforeReplace


def test_diff_of_equals_is_empty(served: Served) -> None:
    answer = diff(served, WHOLE | {"serial": "s"}, WHOLE)
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE
    assert answer.hasDetailedDiff


def test_diff_names_each_change_and_what_it_does(served: Served) -> None:
    old = WHOLE | {"options": {"k": "v", "same": "s"}, "serial": "s"}
    new = WHOLE | {"name": "b", "size": 2, "note": "ignored", "options": {"k": "w", "same": "s"}}
    answer = diff(served, old, new)
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert list(answer.replaces) == ["name"]
    assert answer.deleteBeforeReplace
    kinds = {path: change.kind for path, change in answer.detailedDiff.items()}
    assert kinds == {
        "name": provider_pb2.PropertyDiff.UPDATE_REPLACE,
        "size": provider_pb2.PropertyDiff.UPDATE,
        "options.k": provider_pb2.PropertyDiff.UPDATE,
    }


def test_diff_honours_ignore_changes(served: Served) -> None:
    answer = diff(served, WHOLE, WHOLE | {"size": 2, "options": {"k": "v"}}, ignoreChanges=["size", "options"])
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_an_unknown_value_counts_as_changed(served: Served) -> None:
    assert list(diff(served, WHOLE, WHOLE | {"name": UNKNOWN}).replaces) == ["name"]


def test_preview_makes_nothing_and_shows_what_it_can(served: Served) -> None:
    answer = decode(create(served, WHOLE, preview=True).properties)
    assert answer.unknown == {"serial"}
    assert answer.values["name"] == "a"
    assert not served.kind.objects


def test_a_partial_failure_hands_back_id_state_inputs_and_reason(served: Served) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        create(served, WHOLE | {"name": "half", "password": "p"})
    assert raised.value.code() is grpc.StatusCode.UNKNOWN
    metadata = dict(raised.value.trailing_metadata())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    failed = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(failed)
    assert failed.id == "half"
    assert list(failed.reasons) == ["it stands but doesn't answer"]
    assert decode(failed.properties).values["serial"] == "s1"
    assert decode(failed.properties).secret == decode(failed.inputs).secret == {"password"}


def test_an_expected_error_is_only_its_message(served: Served) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        create(served, WHOLE | {"name": "refused"})
    assert raised.value.details() == "the host refuses it; ask somebody"


def test_a_bug_with_values_keeps_them_out_of_what_debug_says(served: Served) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        create(served, WHOLE | {"name": "mistyped", "password": "hunter2"})
    assert "unexpected TypeError: not to be read" in str(raised.value.details())
    (trace,) = (text for level, text in served.log.lines if level == "debug")
    assert "in create" in trace, "where it happened is told"
    assert "ValidationError: 2 invalid properties" in trace, "also of the error behind the other"
    assert "hunter2" not in trace


def test_a_bug_shows_no_traceback_but_keeps_it_for_debug(served: Served) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        create(served, WHOLE | {"name": "bug"})
    assert "unexpected KeyError" in raised.value.details()
    assert "Traceback" not in raised.value.details()
    assert any(level == "debug" and "Traceback" in text for level, text in served.log.lines)


def test_read_says_gone_only_when_it_is(served: Served) -> None:
    def read(id: str, **more: Any) -> Any:
        return served.stub.Read(provider_pb2.ReadRequest(urn=URN, id=id, **more))

    assert read("nothing").id == ""
    with pytest.raises(grpc.RpcError):
        read("unreachable")
    create(served, WHOLE | {"note": "mine"})
    imported = read("a")
    assert decode(imported.inputs).values == WHOLE | {"note": "mine"}
    refreshed = read("a", properties=imported.properties, inputs=encode(WHOLE | {"note": "as written"}))
    assert decode(refreshed.inputs).values["note"] == "as written"


def test_update_in_preview_changes_nothing(served: Served) -> None:
    made = create(served, WHOLE)
    request = {"urn": URN, "id": "a", "olds": made.properties, "news": encode(WHOLE | {"size": 3})}
    preview = served.stub.Update(provider_pb2.UpdateRequest(**request, preview=True))
    assert decode(preview.properties).values["size"] == 3
    assert served.kind.objects["a"].size == 1
    done = served.stub.Update(provider_pb2.UpdateRequest(**request))
    assert decode(done.properties).values["size"] == served.kind.objects["a"].size == 3


def test_delete_twice_succeeds(served: Served) -> None:
    made = create(served, WHOLE)
    for _ in range(2):
        served.stub.Delete(provider_pb2.DeleteRequest(urn=URN, id="a", properties=made.properties))
    assert not served.kind.objects


def test_cancel_ends_a_blocking_create_and_keeps_what_was_made(served: Served) -> None:
    outcome: list[grpc.RpcError] = []

    def run() -> None:
        try:
            create(served, WHOLE | {"name": "slow"})
        except grpc.RpcError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert served.kind.started.wait(10)
    begun = time.monotonic()
    served.stub.Cancel(empty_pb2.Empty())
    thread.join(10)
    assert time.monotonic() - begun < 5
    assert "grpc-status-details-bin" in dict(outcome[0].trailing_metadata())


def test_handshake_and_attach_reach_the_engine(served: Served) -> None:
    answer = served.stub.Handshake(provider_pb2.ProviderHandshakeRequest(engine_address="127.0.0.1:1"))
    assert answer.accept_secrets
    served.stub.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:2"))
    assert served.attached == ["127.0.0.1:1", "127.0.0.1:2"]


def test_an_unknown_kind_is_named_with_those_there_are(served: Served) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        served.stub.Check(provider_pb2.CheckRequest(urn="urn:pulumi:d::p::azlocal:index:Nope::x"))
    assert raised.value.details() == "azlocal:index:Nope is not a kind of azlocal; it has azlocal:test:Thing"
