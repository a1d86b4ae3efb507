"""The command that checks and shows a configuration."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner, Result

from davylamp.cli import main

GOOD = "sandboxes: {interfaces: [lo]}\nmode: enforce\n"
# text, the place and the words of its fault
BAD = [
    ("policy: {actions: {mning: drop}}", "3:10: policy.actions: no category 'mning'"),
    ("metrics:\n  listen: 0.0.0.0:9464", "4:3: metrics.listen"),
    ("lineage:\n  redis: https://x", "lineage URL"),
    (
        "outputs:\n  webhook: {url: 'https://x', secret_file: /nowhere}",
        "4:31: outputs.webhook.secret_file",
    ),
    ("intercept: {enabled: true, exempt: [x]}", "3:28: intercept.exempt"),
    ("intercept: {enabled: true, resolvers: [nowhere]}", "write 10.88.0.53"),
    ("intercept: {enabled: true, resolvers: [10.0.0.0/8]}", "write addresses, as 10.88.0.53"),
    ("signatures: /nowhere", "/nowhere"),
]


def run(tmp_path: Path, text: str, *words: str) -> Result:
    """Run ``davylamp config WORD --config FILE …``."""
    file = tmp_path / "c.yaml"
    file.write_text(text)
    first, *others = words
    return CliRunner().invoke(main, ["config", first, "--config", str(file), *others])


@pytest.mark.parametrize(("text", "said"), BAD)
def test_faults_are_found_without_a_kernel(tmp_path: Path, text: str, said: str) -> None:
    """Each fault that a gateway would find at its start is told with its place, and exit 2."""
    done = run(tmp_path, GOOD + text, "check", "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["ok"]) == (2, False)
    assert any(said in line for line in told["errors"]), told


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """One run names all that is wrong, not the first alone."""
    done = run(tmp_path, GOOD + "\n".join(text for text, _ in BAD[:2]), "check")
    assert done.exit_code == 2
    assert done.stderr.count("error: ") == 2


# text, the key that is warned of
RISKS = [
    ("mode: observe", "mode"),
    ("exception_policy: fail-open", "exception_policy"),
    ("policy: {actions: {mining: alert}}", "policy.actions"),
    (
        "policy: {trusted: [com]}\nintercept: {enabled: true, resolvers: [10.0.0.1]}",
        "policy.trusted",
    ),
    ("lineage: {redis: 'redis://u:p@10.0.0.5'}", "lineage.redis"),
    ("outputs: {syslog: {address: 'udp://10.0.0.5'}}", "outputs.syslog.address"),
    ("outputs: {redis: false, console: false}", "outputs"),
    ("sandboxes: {interfaces: [no-such-bridge]}", "sandboxes.interfaces"),
    ("pack: {local: /no/such/share}", "pack.local"),
    ("api: {listen: '10.0.0.1:1', cleartext: true}", "api.cleartext"),
]


@pytest.mark.parametrize(("text", "key"), RISKS)
def test_risks_are_warned_of(tmp_path: Path, text: str, key: str) -> None:
    """A setting that may not be meant is a warning with its key, and exit 3 where asked for."""
    whole = text if text.startswith("sandboxes") else f"sandboxes: {{interfaces: [lo]}}\n{text}"
    done = run(tmp_path, whole, "check", "--json", "--fail-on-warning")
    assert done.exit_code == 3, done.output
    assert [one["key"] for one in json.loads(done.stdout)["warnings"]] == [key]


def test_a_secret_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    """The file's mode decides, not its place."""
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef" * 2)
    text = f"outputs: {{webhook: {{url: 'https://h.example', secret_file: '{secret}'}}}}"
    for mode, code in ((0o644, 3), (0o600, 0)):
        secret.chmod(mode)
        assert run(tmp_path, GOOD + text, "check", "--fail-on-warning").exit_code == code


def test_what_is_shown_can_be_read_again(tmp_path: Path) -> None:
    """The values in force are a configuration, valid by the schema, that says the same."""
    first = run(tmp_path, GOOD, "show", "--set", "queues.workers=4")
    again = run(tmp_path, first.stdout, "show")
    assert first.stdout == again.stdout
    tree = yaml.safe_load(first.stdout)
    assert tree["queues"]["workers"] == 4
    schema = json.loads(CliRunner().invoke(main, ["config", "schema"]).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tree, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**tree, "moed": 1}, schema)
    told = json.loads(run(tmp_path, GOOD, "show", "--origin", "--json").stdout)
    assert told["mode"] == {"value": "enforce", "origin": f"{tmp_path / 'c.yaml'}:2:1"}


def test_the_environment_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container needs no file: variables alone make a configuration."""
    monkeypatch.setenv("DAVYLAMP_SANDBOXES__INTERFACES", "lo")
    done = CliRunner().invoke(main, ["config", "show", "--origin"])
    assert done.exit_code == 0
    assert "environment variable DAVYLAMP_SANDBOXES__INTERFACES" in done.stdout
