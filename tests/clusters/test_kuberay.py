"""The KubeRay manifests: the operator's own schema, and what Ray's autoscaler makes of them.

``kuberay_crds.json.gz`` holds the schemas of KubeRay's custom resources, pod templates and all, taken from its
repository (the file names the tag); Kubernetes drops fields that a schema does not name, so here they are refused.
The operator itself needs a Kubernetes cluster and is not run.
"""

from __future__ import annotations

import copy
import gzip
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from jsonschema import Draft7Validator
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from shipped import check_fer_tune, commands_in, header, secrets_in, text

FILES = {"RayCluster": "kuberay/raycluster.yaml", "RayJob": "kuberay/rayjob.yaml"}


def strict(schema: Any) -> Any:
    """Refuse fields that the schema does not name, which Kubernetes would drop without a word."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        key: {name: strict(each) for name, each in value.items()} if key == "properties" else strict(value)
        for key, value in schema.items()
    }
    if "properties" in made and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    with gzip.open(Path(__file__).with_name("kuberay_crds.json.gz")) as file:
        schemas = json.load(file)["schemas"]
    made = {kind: strict(schema) for kind, schema in schemas.items()}
    for schema in made.values():
        schema["properties"]["metadata"].pop("additionalProperties", None)
    return made


def faults(manifest: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    # without check_schema, which takes seconds on schemas of this size
    return [f"{error.json_path}: {error.message[:200]}" for error in Draft7Validator(schema).iter_errors(manifest)]


def load(kind: str) -> dict[str, Any]:
    return yaml.safe_load(text(FILES[kind]))


def cluster_spec(kind: str) -> dict[str, Any]:
    spec: dict[str, Any] = load(kind)["spec"]
    return spec if kind == "RayCluster" else spec["rayClusterSpec"]


def pods(kind: str) -> list[dict[str, Any]]:
    spec = cluster_spec(kind)
    return [group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]


@pytest.mark.parametrize("kind", FILES)
def test_the_operator_would_take_it(kind: str, schemas: dict[str, Any]) -> None:
    manifest = load(kind)
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", kind)
    assert not faults(manifest, schemas[kind])


@pytest.mark.parametrize("kind", FILES)
def test_a_slip_would_be_seen(kind: str, schemas: dict[str, Any]) -> None:
    for change in (
        lambda spec: spec["headGroupSpec"]["template"]["spec"]["containers"][0].update(imagePullPolcy="Always"),
        lambda spec: spec["workerGroupSpecs"][0].update(minReplicas="0"),
        lambda spec: spec.update(authOptions={"mode": "tokens"}),
        lambda spec: spec.pop("headGroupSpec"),
    ):
        manifest = load(kind)
        change(manifest["spec"] if kind == "RayCluster" else manifest["spec"]["rayClusterSpec"])
        assert faults(manifest, schemas[kind])


@pytest.mark.parametrize("kind", FILES)
def test_ray_s_autoscaler_reads_it(kind: str) -> None:
    resource = {"metadata": {"name": "fer-tune", "namespace": "default"}, "spec": copy.deepcopy(cluster_spec(kind))}
    config = _derive_autoscaling_config_from_ray_cr(resource)
    assert config["idle_timeout_minutes"] == 10
    head, worker = config["available_node_types"]["headgroup"], config["available_node_types"]["gpu"]
    assert head["resources"]["CPU"] == 0  # no trial on the head
    assert worker["resources"]["GPU"] == 1
    assert worker["resources"]["CPU"] >= 4
    assert worker["min_workers"] == 0 < worker["max_workers"]
    assert cluster_spec(kind)["enableInTreeAutoscaling"] is True


@pytest.mark.parametrize("kind", FILES)
def test_the_token_is_on_and_comes_from_a_secret(kind: str) -> None:
    assert cluster_spec(kind)["authOptions"] == {"mode": "token", "secretName": "fer-tune-ray"}
    assert "create secret generic fer-tune-ray --from-literal=auth_token=" in header(FILES[kind])
    assert not secrets_in(text(FILES[kind]))
    for pod in pods(kind):
        for variable in pod["containers"][0]["env"]:
            assert "value" not in variable
            assert variable["valueFrom"]["secretKeyRef"]["name"].startswith("fer-tune-")
    assert cluster_spec(kind)["headGroupSpec"]["serviceType"] == "ClusterIP"


@pytest.mark.parametrize("kind", FILES)
def test_pods_are_bounded_watched_and_unprivileged(kind: str) -> None:
    for pod in pods(kind):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 1000
        [container] = pod["containers"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"] == container["resources"]["limits"]
        for probe in ("readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["path"] == "/api/healthz"
        assert container["livenessProbe"]["failureThreshold"] * container["livenessProbe"]["periodSeconds"] >= 120
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_probes_need_no_token() -> None:
    """Ray answers them without one: else a protected node would be killed as dead."""
    from ray.dashboard.http_server_agent import PUBLIC_EXACT_PATHS

    assert "/api/healthz" in PUBLIC_EXACT_PATHS


@pytest.mark.parametrize("kind", FILES)
def test_the_version_of_ray_is_the_installed_one(kind: str) -> None:
    assert cluster_spec(kind)["rayVersion"] == ray.__version__


def test_both_run_the_same_cluster() -> None:
    assert cluster_spec("RayCluster") == cluster_spec("RayJob")


def test_a_job_that_is_tried_again_resumes_the_same_run() -> None:
    spec = load("RayJob")["spec"]
    words = shlex.split(spec["entrypoint"])
    assert check_fer_tune(spec["entrypoint"])
    run = words[words.index("--or-resume") + 1]
    assert run == f"{words[words.index('--storage') + 1]}/{words[words.index('--name') + 1]}"
    assert spec["backoffLimit"] > 0
    assert spec["shutdownAfterJobFinishes"] is True
    assert yaml.safe_load(spec["runtimeEnvYAML"])["env_vars"]["RAY_JOB_STOP_SIGNAL"] == "SIGINT"


@pytest.mark.parametrize("kind", FILES)
def test_it_opens_with_its_commands(kind: str) -> None:
    commands = commands_in(header(FILES[kind]))
    assert f"kubectl apply -f clusters/{FILES[kind]}" in commands
    assert any(command.startswith("kubectl delete") for command in commands)
    submits = [command for command in commands if command.startswith("ray job submit")]
    assert all(check_fer_tune(command) for command in submits)
    assert len(submits) == (1 if kind == "RayCluster" else 0)
