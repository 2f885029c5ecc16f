"""Tests the files of docker/ and deploy/ with linters for their formats, and with the service."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from nginx import BINARY, REPO

TOOLS = Path(sys.executable).parent
DEPLOY = REPO / "deploy"
COMPOSE = ["docker-compose.yml", "docker-compose.tls.yml"]


def run(*command, **options) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, cwd=REPO, **options)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def settings() -> set[str]:
    """Returns every setting that the service lists."""
    output = run(BINARY, "--help")
    names = set(re.findall(r"\[env: (\w+)", output)) | set(re.findall(r"^  ([A-Z_]+)  ", output, re.M))
    assert {"LISTEN", "GMAP_TOKEN", "DB_PASSWORD"} < names
    return names


def compose() -> dict:
    return yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())


def manifests() -> dict[str, dict]:
    documents = [
        yaml.safe_load(file.read_text()) for file in (DEPLOY / "kubernetes").glob("*.yaml")
    ]
    return {document["kind"]: document for document in documents}


def test_scripts_are_valid():
    scripts = run("git", "ls-files", "*.sh", ".ci/run", ":!tests/lib.sh").split()
    assert len(scripts) > 8
    # shellcheck follows from the scripts to tests/lib.sh.
    run(TOOLS / "shellcheck", "-x", "-P", "SCRIPTDIR", "-S", "warning", *scripts)


def test_yaml_is_valid():
    rules = "{extends: default, rules: {line-length: {max: 120}, document-start: disable, braces: disable}}"
    run(TOOLS / "yamllint", "--strict", "-d", rules, "deploy")


@pytest.mark.parametrize("file", COMPOSE)
def test_compose_files_match_their_schema(file):
    run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / file)


def test_compose_accepts_every_setting():
    environment = compose()["services"]["order-api-app"]["environment"]
    files = {"DB_PASSWORD_FILE": "db_password", "GMAP_TOKEN_FILE": "gmap_token"}
    assert set(environment) | set(files) == settings()
    for name, value in environment.items():
        assert value.startswith("${" + name), f"{name} is not taken from the environment"
    for name, secret in files.items():
        assert compose()["secrets"][secret]["file"] == "${" + name + ":-./no-secret}"
        assert secret in compose()["services"]["order-api-app"]["secrets"]


def test_no_secret_is_in_the_compose_file():
    environment = compose()["services"]["order-api-app"]["environment"]
    for name in ("DB_PASSWORD", "GMAP_TOKEN", "DATABASE_URL"):
        assert environment[name] == "${" + name + ":-}"
    database = compose()["services"]["order-api-db"]["environment"]
    assert database["POSTGRES_PASSWORD"] == "${DB_PASSWORD:-}"


def test_env_example_lists_every_variable_of_compose():
    used = set()
    for file in COMPOSE:
        used |= set(re.findall(r"\$\{(\w+)", (DEPLOY / file).read_text()))
    lines = re.findall(r"^#([A-Z_]+)=(.*)$", (DEPLOY / ".env.example").read_text(), re.M)
    # TEST_IMAGE is for developers; Compose itself reads COMPOSE_FILE.
    assert used - {"TEST_IMAGE"} | {"COMPOSE_FILE"} == {name for name, _ in lines}
    compose_file = (DEPLOY / "docker-compose.yml").read_text()
    for name, value in lines:
        # Uncommenting a line changes nothing.
        assert " " not in value
        for default in re.findall(r"\$\{" + name + r":?-([^}]*)\}", compose_file):
            assert default in (value, "./no-secret")


def test_every_service_is_hardened():
    for name, service in compose()["services"].items():
        if name == "order-api-test":
            continue
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["restart"] == "unless-stopped"
        assert service["mem_limit"] and service["pids_limit"] and service["healthcheck"]


def test_manifests_match_the_kubernetes_schemas():
    files = [file for file in (DEPLOY / "kubernetes").glob("*.yaml") if file.stem != "kustomization"]
    assert len(files) == 7
    run(TOOLS / "kubernetes-validate", "--strict", *files)


def test_every_manifest_is_applied():
    listed = set(manifests()["Kustomization"]["resources"])
    there = {file.name for file in (DEPLOY / "kubernetes").glob("*.yaml")}
    assert there - listed == {"kustomization.yaml", "secret.example.yaml"}
    assert listed < there


def test_manifests_match_each_other_and_the_service():
    kinds = manifests()
    pod = kinds["Deployment"]["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert kinds["Service"]["spec"]["selector"] == labels
    assert kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert kinds["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    (container,) = pod["spec"]["containers"]
    # Secrets are files, or DATABASE_URL.
    config = set(kinds["ConfigMap"]["data"])
    assert config == settings() - {"DB_PASSWORD", "GMAP_TOKEN"}
    ports = [port["name"] for port in container["ports"]]
    assert kinds["Service"]["spec"]["ports"][0]["targetPort"] in ports
    document = json.loads((REPO / "docs/openapi.json").read_text())
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] in document["paths"]
    open_paths = [
        path["path"] for rule in kinds["Ingress"]["spec"]["rules"] for path in rule["http"]["paths"]
    ]
    assert not {"/metrics", "/livez", "/readyz", "/"} & set(open_paths)
    data = kinds["ConfigMap"]["data"]
    grace = pod["spec"]["terminationGracePeriodSeconds"]
    assert grace > int(data["SHUTDOWN_DRAIN"]) + int(data["REQUEST_TIMEOUT"])


def test_settings_of_the_manifests_are_accepted():
    data = manifests()["ConfigMap"]["data"]
    clean = {"PATH": os.environ["PATH"], "DB_PASSWORD": "x"}
    output = run(BINARY, "config", env=clean | data | {"DB_PASSWORD_FILE": ""})
    assert "postgres.example.com" in output


def test_systemd_accepts_the_unit(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.fail("systemd-analyze is missing: apt-get install systemd")
    text = (DEPLOY / "systemd/order-api.service").read_text()
    unit = tmp_path / "order-api.service"
    # systemd-analyze also checks that the binary exists.
    unit.write_text(text.replace("/usr/local/bin/order-api", str(BINARY)))
    assert str(BINARY) in unit.read_text()
    assert run("systemd-analyze", "verify", unit) == ""
    exposure = run("systemd-analyze", "security", "--offline=yes", unit)
    level = float(re.search(r"Overall exposure level for order-api.service: ([\d.]+)", exposure)[1])
    assert level < 2
