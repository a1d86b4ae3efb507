"""Records, labels and what is refused before it reaches the store."""

import math

import pytest

from davylamp.attribution import model
from davylamp.attribution.model import (
    Attribution,
    Binding,
    BindingChange,
    Grade,
    ToolCall,
    ToolCallChange,
)
from davylamp.errors import ConfigError

BINDING = Binding(
    ip="10.0.0.7", lifecycle_id="c@1", valid_from=1.5, container="c", step=2, labels={"a": "b"}
)
CALL = ToolCall(tool_call_id="t", lifecycle_id="c@1", started=2.0, tool="bash", step=3)


def test_grades_are_ordered_from_bound_to_unknown() -> None:
    """The order of certainty is the documented one, and only the first four claim to be right."""
    ordered = sorted(Grade, key=lambda grade: grade.rank)
    assert ordered == ["bound", "token", "observed", "declared", "stale", "unknown"]
    assert [grade.certain() for grade in ordered] == [True] * 4 + [False] * 2


@pytest.mark.parametrize("change", [BindingChange(binding=BINDING), ToolCallChange(call=CALL)])
def test_changes_survive_json(change: model.Change) -> None:
    """A change read back is the change that was written."""
    assert model.decode_change(model.encode(change)) == change


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (" 10.0.0.7 ", "10.0.0.7"),
        ("FD00:0::7", "fd00::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
    ],
)
def test_an_address_has_one_form(text: str, canonical: str) -> None:
    """However an address is written, its key is the form that packets give."""
    assert model.canonical_ip(text) == canonical


def test_labels_fill_only_what_is_empty() -> None:
    """The label contract fills empty fields; what the writer said stands."""
    labels = {"davylamp.run_id": "r", "davylamp.step": "9", "davylamp.rollout_id": "o", "x": "y"}
    bare = Binding(ip="10.0.0.7", lifecycle_id="c@1", valid_from=1.0, run_id="mine")
    filled = model.with_labels(bare, labels)
    assert (filled.run_id, filled.rollout_id, filled.step) == ("mine", "o", 9)
    assert filled.labels == labels


@pytest.mark.parametrize("step", ["-1", "1e3", "٣", "9" * 40, "x"])
def test_a_step_label_that_is_no_number_is_left_out(step: str) -> None:
    """Labels come from anywhere: a strange step is ignored, not raised."""
    bare = Binding(ip="10.0.0.7", lifecycle_id="c@1", valid_from=1.0)
    assert model.with_labels(bare, {"davylamp.step": step}).step is None


@pytest.mark.parametrize(
    "binding",
    [
        Binding(ip="ten", lifecycle_id="c", valid_from=1.0),
        Binding(ip="10.0.0.7", lifecycle_id="", valid_from=1.0),
        Binding(ip="10.0.0.7", lifecycle_id="c", valid_from=math.nan),
        Binding(ip="10.0.0.7", lifecycle_id="c", valid_from=-1.0),
        Binding(ip="10.0.0.7", lifecycle_id="c" * 600, valid_from=1.0),
        Binding(ip="10.0.0.7", lifecycle_id="c", valid_from=1.0, run_id="\ud800"),
        Binding(ip="10.0.0.7", lifecycle_id="c", valid_from=1.0, image="a\nb"),
        Binding(ip="10.0.0.7", lifecycle_id="c", valid_from=1.0, labels={"a": "x" * 600}),
        Binding(
            ip="10.0.0.7",
            lifecycle_id="c",
            valid_from=1.0,
            labels={str(number): "" for number in range(65)},
        ),
    ],
)
def test_unfit_bindings_are_refused(binding: Binding) -> None:
    """A binding that could not be stored, found or read back is the writer's error."""
    with pytest.raises(ConfigError):
        model.checked_binding(binding)


def test_the_calls_own_fields_win_in_the_event() -> None:
    """An event shows the tool call's step, and the binding's where the call says nothing."""
    binding = Binding(
        ip="10.0.0.7", lifecycle_id="c@1", valid_from=1.0, step=2, trajectory_id="b", run_id="r"
    )
    info = Attribution(Grade.BOUND, binding, CALL).info()
    assert (info.step, info.trajectory_id, info.run_id) == (3, "b", "r")
    assert (info.tool_call_id, info.tool, info.grade) == ("t", "bash", "bound")


def test_changes_become_lineage_events() -> None:
    """A release and a call's end are told apart from their beginnings."""
    released = Binding(ip="10.0.0.7", lifecycle_id="c@1", valid_from=1.0, valid_to=2.0)
    event = model.change_event(BindingChange(binding=released), 3.0)
    assert (event.change, event.ip) == ("released", "10.0.0.7")
    assert model.change_event(ToolCallChange(call=CALL), 3.0).change == "tool_call_started"
