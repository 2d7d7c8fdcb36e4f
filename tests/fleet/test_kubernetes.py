"""config/fleet/kubernetes: valid for the newest releases of Kubernetes, and in agreement with the daemon and the image."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from containers.compose import ROOT, read_compose
from fleet.kustomize import Document, render
from fleet.service_monitor import ServiceMonitor
from front.scripted_daemon import running
from youtu_edge.__main__ import make_parser
from youtu_edge.config import Config
from youtu_edge.config_environment import PREFIX
from youtu_edge.config_file import load_config

KUBERNETES = ROOT / "config/fleet/kubernetes"
FORMS = ("base", "overlays/boards")
NOT_BUILT_IN = {"ServiceMonitor"}
"""Kinds of the Prometheus operator, whose schema is not among those of Kubernetes."""
BOARD = "youtu-edge-0"


@pytest.fixture(params=FORMS)
def documents(request: pytest.FixtureRequest) -> list[Document]:
    """Everything that one form renders to."""
    return render(KUBERNETES / request.param)


def one(documents: list[Document], kind: str, name: str = "youtu-edge") -> Document:
    (found,) = (each for each in documents if each["kind"] == kind and each["metadata"]["name"].startswith(name))
    return found


def pod(documents: list[Document]) -> Document:
    spec: Document = one(documents, "StatefulSet")["spec"]["template"]["spec"]
    return spec


def daemon(documents: list[Document]) -> Document:
    (container,) = pod(documents)["containers"]
    assert isinstance(container, dict)
    return container


def environment(documents: list[Document], container: Document) -> dict[str, str]:
    """The variables of a container of the first pod."""
    settings = one(documents, "ConfigMap", "youtu-edge-settings")
    assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
    found: dict[str, str] = dict(settings["data"])
    for variable in container.get("env", []):
        if "value" in variable:  # $(NAME) is the value of a variable before it
            found[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda each: found[each[1]], variable["value"])
        else:
            assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
            found[variable["name"]] = BOARD
    return found


def configuration(documents: list[Document]) -> Config:
    """What the daemon of the first pod reads."""
    container = daemon(documents)
    options = make_parser().parse_args(container["args"])
    file = getattr(options, "config", None)
    path = (
        ROOT / "config" / Path(file).relative_to("/etc/youtu-edge") if file else ROOT / "scripts/container/youtu-edge.yaml"
    )
    return load_config(path, options.set, environment(documents, container))


def seconds(probe: Document) -> int:
    return int(probe["periodSeconds"]) * int(probe["failureThreshold"])


@pytest.mark.parametrize("age", [0, 1], ids=["newest", "before it"])
def test_every_document_fits_the_schema_of_that_release(documents: list[Document], age: int) -> None:
    """Unknown fields are errors."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    releases = sorted(
        {tuple(map(int, text.split(".")[:2])) for text in kubernetes_validate.utils.all_versions()}, reverse=True
    )
    release = ".".join(map(str, releases[age]))
    checked = [each for each in documents if each["kind"] not in NOT_BUILT_IN]
    for document in checked:
        assert kubernetes_validate.validate(document, release, strict=True) == release
    assert {each["kind"] for each in checked} == {
        *("ConfigMap", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Service", "StatefulSet")
    }


@pytest.mark.parametrize("form", FORMS)
def test_it_renders_as_kustomize_does(form: str) -> None:
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    shown = subprocess.run(["kubectl", "kustomize", str(KUBERNETES / form)], capture_output=True, text=True, check=True)

    def by_name(documents: list[Document]) -> dict[tuple[str, str], Document]:
        return {(each["kind"], each["metadata"]["name"]): each for each in documents}

    assert by_name(render(KUBERNETES / form)) == by_name(list(yaml.safe_load_all(shown.stdout)))


def test_everything_is_in_one_namespace(documents: list[Document]) -> None:
    assert {each["metadata"]["namespace"] for each in documents} == {"youtu-edge"}


def test_the_settings_exist_and_each_pod_is_a_board_of_its_own(documents: list[Document]) -> None:
    config = configuration(documents)
    assert (config.service.host, config.service.board) == ("0.0.0.0", BOARD)
    assert not config.service.allow_unauthenticated
    assert pod(documents)["enableServiceLinks"] is False


def test_files_of_the_daemon_are_in_volumes(documents: list[Document]) -> None:
    container, spec = daemon(documents), pod(documents)
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    claims = {claim["metadata"]["name"] for claim in one(documents, "StatefulSet")["spec"]["volumeClaimTemplates"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert {mount["name"] for mount in mounts.values()} == claims | set(volumes)
    config = configuration(documents)
    data, keys, trust = "/var/lib/youtu-edge", Path(config.service.keys_file), config.updates.trust_dir
    assert mounts[data]["name"] in claims
    assert all(Path(path).is_relative_to(data) for path in (config.model.path, config.storage.directory))
    assert volumes[mounts[str(keys.parent)]["name"]]["secret"]["secretName"] == "youtu-edge-keys"
    assert volumes[mounts[trust]["name"]]["configMap"]["optional"]
    assert container["securityContext"]["readOnlyRootFilesystem"]


def test_the_daemon_accepts_keys_that_its_group_may_read(documents: list[Document], tmp_path: Path) -> None:
    """A secret belongs to root and the pod's group."""
    (mode,) = (volume["secret"]["defaultMode"] for volume in pod(documents)["volumes"] if "secret" in volume)
    keys = tmp_path / "keys.json"
    command = [sys.executable, "-m", "youtu_edge", "--config", "/dev/null", "keys"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "daemon"), f"{PREFIX}SERVICE__KEYS_FILE": str(keys)}
    subprocess.run([*command, "add", "phone"], env=variables, check=True, capture_output=True)
    keys.chmod(mode)
    listed = subprocess.run([*command, "list"], env=variables, check=True, capture_output=True, text=True)
    assert "phone" in listed.stdout


def test_the_user_and_the_limits_are_those_of_the_image_and_of_compose(documents: list[Document]) -> None:
    user, _, group = re.findall(r"(?m)^USER (.*)$", (ROOT / "Containerfile").read_text("utf-8"))[-1].partition(":")
    context = pod(documents)["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (int(user), int(group), int(group))
    alone = read_compose().services["youtu-edge"]
    for container in (daemon(documents), *pod(documents)["initContainers"]):
        assert container["securityContext"]["capabilities"]["drop"] == alone.cap_drop
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["resources"] == daemon(documents)["resources"], "a new version is tested as it will run"
    assert configuration(documents).memory.fraction == 1.0
    (tmp,) = (volume["emptyDir"] for volume in pod(documents)["volumes"] if "emptyDir" in volume)
    assert f"/tmp:size={tmp['sizeLimit'].removesuffix('Mi')}m" in alone.tmpfs[0]


def test_probes_and_clients_get_answers_by_the_names_that_they_use(documents: list[Document]) -> None:
    """The kubelet asks for the address of the pod, without a key; clients for a name of the service, or of the pod."""
    container, service = daemon(documents), configuration(documents).service
    namespace = documents[0]["metadata"]["namespace"]
    names = [each["metadata"]["name"] for each in documents if each["kind"] == "Service"]
    hosts = {
        f"{prefix}{name}{suffix}:{service.port}"
        for name in names
        for prefix in ([f"{BOARD}."] if name.endswith("-boards") else [""])
        for suffix in ("", f".{namespace}", f".{namespace}.svc")
    }
    settings = ("service.host=0.0.0.0", "service.allow_unauthenticated=true")
    with running(*settings, f"service.allowed_hosts={json.dumps(service.allowed_hosts)}") as served:
        served.wait_ready()
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container[name]["httpGet"]
            assert asked["port"] == container["ports"][0]["name"]
            assert served.request("GET", asked["path"], headers={"Host": "10.42.0.7:8080"})[0] == 200
        for host in hosts:
            assert served.request("GET", "/v1/models", headers={"Host": host})[0] == 200, host
        assert served.request("GET", "/v1/models", headers={"Host": "evil.example"})[0] == 403


def test_probes_and_the_drain_leave_each_other_time(documents: list[Document]) -> None:
    container, service = daemon(documents), configuration(documents).service
    assert seconds(container["startupProbe"]) >= service.load_deadline_s
    assert service.drain_delay_s >= seconds(container["readinessProbe"])
    assert pod(documents)["terminationGracePeriodSeconds"] >= service.drain_delay_s + service.drain_s + 5


def test_ports_and_labels_lead_from_one_to_the_other(documents: list[Document]) -> None:
    labels = one(documents, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    port = daemon(documents)["ports"][0]
    assert port["containerPort"] == configuration(documents).service.port
    services = [each for each in documents if each["kind"] == "Service"]
    for service in services:
        assert service["spec"]["selector"].items() <= labels.items()
        assert service["spec"]["ports"] == [{"name": "http", "port": port["containerPort"], "targetPort": port["name"]}]
    for kind, field in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        assert one(documents, kind)["spec"][field]["matchLabels"].items() <= labels.items()
    assert one(documents, "NetworkPolicy")["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": port["name"]}]
    governing = one(documents, "StatefulSet")["spec"]["serviceName"]
    assert {each["metadata"]["name"] for each in services if each["spec"].get("clusterIP") == "None"} == {governing}


def test_the_autoscaler_scales_the_boards_by_a_metric_that_they_have(documents: list[Document]) -> None:
    spec = one(documents, "HorizontalPodAutoscaler")["spec"]
    target = one(documents, "StatefulSet")
    assert spec["scaleTargetRef"] == {key: target[key] for key in ("apiVersion", "kind")} | {"name": "youtu-edge"}
    assert "replicas" not in target["spec"], "the autoscaler's, and not reset by every apply"
    (metric,) = (each["pods"] for each in spec["metrics"])
    with running() as served:
        served.wait_ready()
        assert served.metric(metric["metric"]["name"]) == 0
    assert int(metric["target"]["averageValue"]) == configuration(documents).scheduler.max_sequences / 2


def test_the_monitor_asks_every_board(documents: list[Document]) -> None:
    monitor = ServiceMonitor.read(one(documents, "ServiceMonitor"))
    (service,) = (
        each
        for each in documents
        if each["kind"] == "Service" and monitor.selector.items() <= each["metadata"]["labels"].items()
    )
    (endpoint,) = monitor.endpoints
    assert endpoint.port in {port["name"] for port in service["spec"]["ports"]}
    assert service["spec"]["clusterIP"] == "None", "each pod, and not one of them"
    # The alerts ask for this job.
    assert service["metadata"]["labels"][monitor.job_label] == "youtu-edge"
    assert 'job="youtu-edge"' in (ROOT / "monitoring/alerts.yml").read_text("utf-8")
    with running() as served:
        served.wait_ready()
        assert served.request("GET", endpoint.path)[0] == 200


def test_boards_are_chosen_by_labels_and_get_one_pod_each() -> None:
    spec = pod(render(KUBERNETES / "overlays/boards"))
    assert spec["nodeSelector"]["kubernetes.io/arch"] == "arm64"
    assert (ROOT / f"config/boards/{spec['nodeSelector']['youtu-edge/board']}.yaml").is_file()
    (rule,) = spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"


def test_the_document_says_how_to_make_what_is_not_among_the_manifests(documents: list[Document]) -> None:
    """Secrets, trusted keys, the label of nodes, the namespace."""
    text = (ROOT / "docs/fleet.md").read_text("utf-8")
    (endpoint,) = ServiceMonitor.read(one(documents, "ServiceMonitor")).endpoints
    credentials = endpoint.authorization.credentials
    assert f"create secret generic {credentials.name} --from-file={credentials.key}=" in text
    for volume in pod(documents)["volumes"]:
        if "secret" in volume:
            assert f"create secret generic {volume['secret']['secretName']} --from-file=keys.json" in text
        elif "configMap" in volume:
            assert f"create configmap {volume['configMap']['name']} " in text
    for label, value in pod(documents).get("nodeSelector", {}).items():
        assert label == "kubernetes.io/arch" or f"kubectl label node NODE {label}={value}" in text
    assert f"kubectl create namespace {documents[0]['metadata']['namespace']}" in text


def script(documents: list[Document], directory: Path, url: str) -> subprocess.CompletedProcess[str]:
    """The init container's own command, with paths of this machine."""
    (container,) = pod(documents)["initContainers"]
    shell, option, text = container["command"]
    programs = directory / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "youtu-edge").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m youtu_edge "$@"\n')
    (programs / "youtu-edge").chmod(0o755)
    variables = environment(documents, container) | {
        "MODEL_URL": url,
        f"{PREFIX}MODEL__PATH": str(directory / "models/current"),
        f"{PREFIX}UPDATES__TRUST_DIR": str(directory),
    }
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    ours = {"PYTHONPATH": str(ROOT / "daemon"), "PATH": path, "HOME": str(directory)}
    return subprocess.run([shell, option, text], env=variables | ours, capture_output=True, text=True, check=False)


def test_a_pod_starts_with_the_model_that_it_has_while_the_file_server_is_away(
    documents: list[Document], tmp_path: Path
) -> None:
    first = script(documents, tmp_path, "https://127.0.0.1:9/models/")
    assert first.returncode != 0
    assert first.stderr.startswith("youtu-edge: ")
    (tmp_path / "models/versions/one").mkdir(parents=True)
    (tmp_path / "models/current").symlink_to("versions/one")
    assert script(documents, tmp_path, "https://127.0.0.1:9/models/").returncode == 0


def test_a_model_is_fetched_by_https_from_where_a_policy_lets_it(documents: list[Document]) -> None:
    assert one(documents, "ConfigMap", "youtu-edge-settings")["data"]["MODEL_URL"].startswith("https://")
    rules = one(documents, "NetworkPolicy")["spec"]["egress"]
    assert [443] in [[port["port"] for port in rule["ports"]] for rule in rules]
