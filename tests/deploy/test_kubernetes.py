"""The Kubernetes manifests: valid by the API's schema, and with no more rights than they say."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml
from tests.deploy.manifests import FOLDER, check, named, rendered

from davylamp.checks import faults
from davylamp.config import GatewayConfig, parse_config, settled
from davylamp.settings.words import from_environment
from davylamp.settings.yamlfile import read_yaml

NOT_ALONE = {"kustomization.yaml", "davylamp.yaml", "token.yaml", "learn.yaml", "act.yaml"}


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every manifest that is whole by itself, and its file."""
    for file in sorted(FOLDER.rglob("*.yaml")):
        if file.name not in NOT_ALONE:
            for document in yaml.safe_load_all(file.read_text()):
                yield str(file.relative_to(FOLDER)), document


@pytest.mark.parametrize(("file", "document"), list(documents()))
def test_manifests_are_valid(file: str, document: dict[str, Any]) -> None:
    """Each is what Kubernetes' API takes, strictly; a misspelt member would be found."""
    check(document)
    with pytest.raises(jsonschema.ValidationError):
        check({**document, "sepc": {}})


@pytest.mark.parametrize("folder", ["base", "lineage", "pod-actions"])
def test_what_kustomize_renders_is_valid(folder: str) -> None:
    """Its output is valid too, and the DaemonSet mounts the ConfigMap that was generated."""
    made = rendered(folder)
    for document in made:
        check(document)
    pod = named(made, "DaemonSet")["spec"]["template"]["spec"]
    [config] = [one for one in pod["volumes"] if one["name"] == "config"]
    assert config["configMap"]["name"] == named(made, "ConfigMap")["metadata"]["name"]
    assert pod["containers"][0]["image"] == "registry.example/davylamp:0.1.0"
    assert pod["automountServiceAccountToken"] is (folder != "base")


def test_the_gateway_has_two_capabilities_and_nothing_to_write_on() -> None:
    """Root without its powers: what is added, mounted and granted is all there is."""
    daemons = yaml.safe_load((FOLDER / "base" / "daemonset.yaml").read_text())
    pod = daemons["spec"]["template"]["spec"]
    [container] = pod["containers"]
    allowed = container["securityContext"]
    assert allowed["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}
    assert allowed["readOnlyRootFilesystem"] is True
    assert allowed["allowPrivilegeEscalation"] is False
    assert "privileged" not in allowed
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod.get("hostPID")
    assert not pod.get("hostIPC")
    paths = [one["hostPath"]["path"] for one in pod["volumes"] if "hostPath" in one]
    assert paths == ["/var/lib/davylamp"]
    assert granted("base") == set()
    assert granted("lineage") == {("pods", "list"), ("pods", "watch")}
    assert granted("pod-actions") == {
        ("pods", "list"),
        ("pods", "patch"),
        ("pods", "delete"),
        ("networkpolicies", "create"),
    }


def granted(folder: str) -> set[tuple[str, str]]:
    """Return what a folder's roles allow."""
    return {
        (resource, verb)
        for file in (FOLDER / folder).glob("rbac.yaml")
        for one in yaml.safe_load_all(file.read_text())
        for rule in one.get("rules", ())
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_variables_of_the_manifests_are_keys() -> None:
    """What the overlays set by the environment is configuration that the gateway takes."""
    pod = named(rendered("pod-actions"), "DaemonSet")["spec"]["template"]["spec"]
    given = {one["name"]: one["value"] for one in pod["containers"][0]["env"] if "value" in one}
    file = read_yaml((FOLDER / "base" / "davylamp.yaml").read_text(), "davylamp.yaml")
    config = settled((file, from_environment(given, GatewayConfig))).config
    assert config.lineage.sources.kubernetes.enabled
    assert config.actions.kubernetes.url == config.lineage.sources.kubernetes.url
    names = {one["name"] for one in pod["containers"][0]["env"]}
    assert names >= {"DAVYLAMP_NAME", "DAVYLAMP_LINEAGE__REDIS"}


def test_the_configuration_will_do() -> None:
    """A gateway starts with the base's configuration, and the probes ask where it listens."""
    config = parse_config((FOLDER / "base" / "davylamp.yaml").read_text())
    assert faults(config) == []
    daemons = yaml.safe_load((FOLDER / "base" / "daemonset.yaml").read_text())
    [container] = daemons["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert f"{asked['host']}:{asked['port']}" == config.metrics.listen
        assert asked["path"] == "/healthz"
    mounted = {one["mountPath"] for one in container["volumeMounts"]}
    assert config.state_dir in mounted
