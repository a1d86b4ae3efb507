"""The chart, rendered by Helm: valid, what the kustomize base is, and strict in its values."""

import json
import runpy
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.manifests import ROOT, check, named, rendered

from davylamp.checks import faults
from davylamp.config import parse_config

CHART = ROOT / "deploy" / "helm" / "davylamp"
HELM = Path(sys.prefix) / "bin" / "helm"
SEES = ("--set", "lineage.kubernetes=true")
ACTS = (*SEES, "--set", "actions.namespaces={sandboxes}")
LIKE = {"base": (), "lineage": SEES, "pod-actions": ACTS}

pytestmark = pytest.mark.skipif(not HELM.exists(), reason="no Helm for this machine")


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    """Render the chart as it would be installed into the namespace that the manifests name."""
    command = [str(HELM), "template", "davylamp", str(CHART), "--namespace", "davylamp", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def templated(*words: str) -> list[dict[str, Any]]:
    """Return the chart's manifests."""
    done = helm(*words)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def bare(document: dict[str, Any]) -> str:
    """Return a manifest without what either tool does its own way: labels, order, a name."""
    document = {key: deepcopy(value) for key, value in document.items() if key != "metadata"}
    if document["kind"] == "ConfigMap":
        document["data"] = {key: yaml.safe_load(one) for key, one in document["data"].items()}
    if document["kind"] == "DaemonSet":
        spec = document["spec"]
        del spec["selector"], spec["template"]["metadata"]
        pod = spec["template"]["spec"]
        pod["containers"][0]["env"].sort(key=lambda one: one["name"])
        for volume in pod["volumes"]:
            volume.get("configMap", {}).pop("name", None)
    return json.dumps(document, sort_keys=True)


@pytest.mark.parametrize("folder", LIKE)
def test_the_chart_is_what_kustomize_renders(folder: str) -> None:
    """Either way the same is applied, but for the namespace, which Helm makes itself."""
    made = templated(*LIKE[folder])
    for document in made:
        check(document)
    theirs = [one for one in rendered(folder) if one["kind"] != "Namespace"]
    assert sorted(map(bare, made)) == sorted(map(bare, theirs))
    pod = named(made, "DaemonSet")["spec"]
    assert pod["selector"]["matchLabels"] == pod["template"]["metadata"]["labels"]


def test_the_configuration_is_checked_before_it_is_applied() -> None:
    """A gateway starts with the chart's values; a misspelt key of it is refused by Helm."""
    config = parse_config(named(templated(), "ConfigMap")["data"]["davylamp.yaml"])
    assert faults(config) == []
    for words, why in (
        (("--set", "config.policy.blok_seconds=3"), "blok_seconds is not allowed"),
        (("--set", "config.mode=watch"), "config.mode"),
        (("--set", "imag.tag=1"), "imag is not allowed"),
        (ACTS[2:], "actions.namespaces needs lineage.kubernetes"),
    ):
        refused = helm(*words)
        assert refused.returncode == 1
        assert why in refused.stderr


def test_a_changed_configuration_is_a_changed_pod_and_a_digest_comes_first() -> None:
    """Pods are replaced when what they read changed; an image by digest is that image."""
    digest = f"sha256:{'0' * 64}"
    before = named(templated(), "DaemonSet")["spec"]["template"]
    after = named(templated("--set", f"config.mode=enforce,image.digest={digest}"), "DaemonSet")[
        "spec"
    ]["template"]
    assert before["metadata"]["annotations"] != after["metadata"]["annotations"]
    assert after["spec"]["containers"][0]["image"] == f"registry.example/davylamp@{digest}"


def test_the_schema_of_the_values_is_that_of_the_configuration() -> None:
    """A new key of the configuration is one that the chart takes."""
    made = runpy.run_path(str(ROOT / "tools" / "schemas" / "helm.py"))["values"]()
    kept = (CHART / "values.schema.json").read_text()
    assert json.dumps(made, indent=2) + "\n" == kept, "run tools/schemas/helm.py"
