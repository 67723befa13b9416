"""Review of a change: planned on a branch, applied on main, refused where anything moved; and without any secret."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from audsql.cli.app import group

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "acceptance"))

from f1000 import FOUNDING, delivery, f1000  # noqa: E402

AHEAD = delivery(FOUNDING, "at: 2026-12-01 10:00")
WORKFLOWS = sorted((ROOT / "examples/ci/github").glob("*.yml"))
GITLAB = ROOT / "examples/ci/gitlab/.gitlab-ci.yml"


def git(root: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=n", "-c", "user.email=n@e.example", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", *settings, *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def branch_with_a_plan(here: Any) -> dict[str, Any]:
    """A repository whose branch `change` adds the delivery; its plan is saved outside the commits."""
    spec = (here.root / "shop.aud").read_text()
    here.write(".gitignore", ".audsql/\n*.plan\n")
    here.write("shop.aud", spec.split("delivery sale_a")[0])
    git(here.root, "init", "-q")
    git(here.root, "add", "-A")
    git(here.root, "commit", "-qm", "before")
    git(here.root, "checkout", "-qb", "change")
    here.write("shop.aud", spec)
    git(here.root, "commit", "-qam", "sale_a")
    done = here.command("plan", "--out", "pr.plan", "--json")
    assert done.returncode == 0, done.stderr
    git(here.root, "checkout", "-q", "main")
    plan: dict[str, Any] = json.loads((here.root / "pr.plan").read_text())
    return plan


def merged(here: Any) -> None:
    git(here.root, "merge", "-q", "--no-ff", "-m", "merge", "change")


@pytest.mark.rule("review.digest")
@pytest.mark.parametrize("with_the_file", [True, False])
def test_what_was_reviewed_is_applied_on_main_once(tmp_path: Path, with_the_file: bool) -> None:
    with f1000(tmp_path, AHEAD) as here:
        plan = branch_with_a_plan(here)
        merged(here)
        here.advance(600)
        arguments = (
            ("pr.plan", "--expect", plan["digest"])
            if with_the_file
            else ("--auto-approve", "--expect", plan["review_digest"])
        )
        done = here.command("apply", *arguments)
        assert done.returncode == 0, done.stderr
        again = here.command("plan")
        assert "No changes." in again.stdout


@pytest.mark.rule("review.digest")
def test_main_that_moved_is_refused_with_the_new_digest(tmp_path: Path) -> None:
    with f1000(tmp_path, AHEAD) as here:
        plan = branch_with_a_plan(here)
        merged(here)
        spec = (here.root / "shop.aud").read_text()
        here.write("shop.aud", spec.replace("2026-12-01 10:00", "2026-12-01 11:00"))
        git(here.root, "commit", "-qam", "somebody else")
        fresh = here.command("apply", "--auto-approve", "--expect", plan["review_digest"])
        assert (fresh.returncode, "AUD0626" in fresh.stderr) == (5, True)
        now = json.loads(here.command("plan", "--json").stdout)["review_digest"]
        assert now != plan["review_digest"]
        assert now in fresh.stderr
        saved = here.command("apply", "pr.plan", "--expect", plan["digest"])
        assert (saved.returncode, "AUD0624" in saved.stderr) == (5, True)
        assert here.audiences() == [one for one in here.audiences() if one["type"] != "UPLOAD"]
        assert here.inbox() == []


@pytest.mark.rule("review.digest")
def test_data_that_moved_are_another_review(tmp_path: Path) -> None:
    with f1000(tmp_path, AHEAD) as here:
        plan = branch_with_a_plan(here)
        merged(here)
        file = here.root / "data/optout.txt"
        file.write_text(file.read_text() + "U" + format(7, "032x") + "\n")
        fresh = here.command("apply", "--auto-approve", "--expect", plan["review_digest"])
        assert (fresh.returncode, "AUD0626" in fresh.stderr) == (5, True)
        assert here.inbox() == []


@pytest.mark.rule("review.digest")
def test_time_alone_is_no_other_review(tmp_path: Path) -> None:
    with f1000(tmp_path, AHEAD) as here:
        first = here.plan().document
        here.advance(3_600)
        second = here.plan().document
        assert first["digest"] != second["digest"]
        assert first["review_digest"] == second["review_digest"]


# --- without data, secrets and network -----------------------------------------------------------------

NO_NETWORK = """
import socket, sys

def blocked(*args, **kwargs):
    raise AssertionError("the network was used")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = blocked
from audsql.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def without_secrets(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A process with an empty environment, whose sockets cannot connect."""
    command = [sys.executable, "-c", NO_NETWORK, *arguments]
    environment = {"PATH": str(Path(shutil.which("git") or "/usr/bin/git").parent)}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.rule("review.offline")
def test_a_fork_without_secrets_data_and_network_is_checked_and_planned(tmp_path: Path) -> None:
    with f1000(tmp_path, AHEAD) as here:
        branch_with_a_plan(here)
        git(here.root, "checkout", "-q", "change")
        shutil.rmtree(here.root / "data")
        for arguments in (("check",), ("lint",), ("test",), ("fmt",)):
            assert without_secrets(here.root, *arguments).returncode == 0, arguments
        done = without_secrets(here.root, "plan", "--offline", "--base", "main", "--json", "--out", "offline.plan")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert (document["kind"], document["without_data"], document["applyable"]) == (
            "audsql.offline_plan",
            True,
            False,
        )
        assert [one["address"] for one in document["comparison"]["changes"]] == ["delivery.sale_a"]
        (row,) = [one for one in document["deliveries"] if one["address"] == "delivery.sale_a"]
        assert row["sends"]
        assert "people" not in row
        shown = without_secrets(here.root, "plan", "--offline", "--base", "main", "--format", "markdown")
        assert shown.returncode == 0, shown.stderr
        comment = shown.stdout
        assert comment.startswith("<!-- audsql:offline env=default digest=sha256:")
        assert "without data" in comment
        refused = here.command("apply", "offline.plan")
        assert (refused.returncode, "AUD0651" in refused.stderr) == (5, True)


@pytest.mark.rule("review.offline")
@pytest.mark.parametrize(
    "options", [("--offline", "--as-of", "2026-11-21"), ("--offline", "--prune"), ("--base", "HEAD")]
)
def test_options_that_mean_nothing_are_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "a.aud").write_text('account shop { token: env("T") }\n')
    done = without_secrets(tmp_path, "plan", *options)
    assert (done.returncode, "AUD0652" in done.stderr) == (64, True)


@pytest.mark.rule("review.yen")
def test_a_price_is_a_number(tmp_path: Path) -> None:
    (tmp_path / "audsql.toml").write_text('[account.shop]\nendpoint = "line"\nyen_per_message = "much"\n')
    done = without_secrets(tmp_path, "check")
    assert (done.returncode, "AUD0650" in done.stderr + done.stdout) == (1, True)
    (tmp_path / "audsql.toml").write_text('[account.shop]\nendpoint = "line"\nyen_per_message = 2.8\n')
    assert without_secrets(tmp_path, "check").returncode == 0


# --- files for CI ---------------------------------------------------------------------------------------


def scripts(value: Any) -> list[str]:
    """Everything in a document that a shell runs."""
    if isinstance(value, list):
        return [text for one in value for text in scripts(one)]
    if not isinstance(value, dict):
        return []
    own = [value[name] for name in ("run", "entry") if isinstance(value.get(name), str)]
    own += [line for name in ("script", "before_script") for line in value.get(name, ())]
    return own + [text for one in value.values() for text in scripts(one)]


def commands_in(text: str) -> list[list[str]]:
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*(audsql .*)", line)
        if match:
            words = shlex.split(re.split(r"\s(?:>{1,2}|\|\|?)\s", match[1])[0])
            found.append(["--json" if word == "${options[@]}" else word for word in words[1:]])
    return found


FILES = [*WORKFLOWS, GITLAB, ROOT / "action.yml", ROOT / ".pre-commit-hooks.yaml"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_command_in_them_is_one(path: Path) -> None:
    commands = [command for text in scripts(yaml.safe_load(path.read_text())) for command in commands_in(text)]
    assert commands
    for name, *arguments in commands:
        command = group.get_command(click.Context(group), name)
        assert command is not None, name
        command.make_context(name, list(arguments), resilient_parsing=False).close()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_give_away_nothing(path: Path) -> None:
    text = path.read_text()
    flow = yaml.safe_load(text)
    triggers = flow[True]
    assert "pull_request_target" not in text
    assert "workflow_run" not in triggers
    assert flow["permissions"].get("contents") == "read"
    assert set(flow["permissions"]) <= {"contents", "pull-requests"}
    assert flow["concurrency"]["cancel-in-progress"] == ("pull_request" in triggers)
    uses = re.findall(r"uses: (\S+)", text)
    assert set(uses) <= {"actions/checkout@v4"}
    # What comes from outside reaches a shell as a variable, never as text of the script.
    assert not [script for script in scripts(flow) if "${{" in script]
    for job in flow["jobs"].values():
        secret = "secrets." in yaml.safe_dump(job)
        assert secret == ("environment" in job)
        if secret and "pull_request" in triggers:
            assert job["if"] == "github.event.pull_request.head.repo.full_name == github.repository"
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False


def test_the_action_takes_its_inputs_as_variables() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    assert not [script for script in scripts(action) if "${{" in script]
    assert {step["uses"] for step in action["runs"]["steps"] if "uses" in step} == {"actions/upload-artifact@v4"}
    assert {"env", "project", "mode"} <= set(action["inputs"])
    assert {"digest", "changes"} <= set(action["outputs"])
    for script in scripts(action):
        assert subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False).returncode == 0


def test_hooks_are_named() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert [one["id"] for one in hooks] == ["audsql-fmt", "audsql-check", "audsql-lint"]


# --- policies of a team ----------------------------------------------------------------------------------

GOOD = {
    "messages": [{"name": "card", "link_hosts": ["shop.example"]}],
    "deliveries": [{"address": "delivery.a", "action": "send", "people": {"low": 0, "high": 10_000}}],
    "removed": [],
}
BAD: dict[str, Any] = {
    "messages": [{"name": "card", "link_hosts": ["evil.example"]}],
    "deliveries": [
        {"address": "delivery.a", "action": "send", "people": {"low": 0, "high": 10_001}},
        {"address": "delivery.b", "action": "schedule", "people": {"low": 0, "high": None}},
        {"address": "delivery.c", "action": "update", "people": None},
        {"address": "delivery.d", "action": "keep", "people": None},
    ],
    "removed": [{"name": "old", "action": "prune", "addresses": []}],
}
DENIED = {
    "message card leads to evil.example", "delivery.a reaches more than 10000 people",
    "delivery.b reaches more than 10000 people", "delivery.c reaches more than 10000 people",
    "delivery old is pruned: ask the owner of the account",
}  # fmt: skip


@pytest.mark.parametrize(("plan", "denied"), [(GOOD, set()), (BAD, DENIED)], ids=["good", "bad"])
def test_a_policy_in_python(plan: dict[str, Any], denied: set[str]) -> None:
    script = ROOT / "examples/policies/policy.py"
    done = subprocess.run(
        [sys.executable, str(script)], input=json.dumps(plan), capture_output=True, text=True, timeout=60, check=False
    )
    assert (set(done.stdout.splitlines()), done.returncode) == (denied, 1 if denied else 0)


def test_a_policy_reads_a_real_plan(tmp_path: Path) -> None:
    with f1000(tmp_path, AHEAD) as here:
        here.command("plan", "--out", "a.plan")
        shown = here.command("show", "a.plan", "--json")
        script = ROOT / "examples/policies/policy.py"
        done = subprocess.run(
            [sys.executable, str(script)], input=shown.stdout, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode in (0, 1)
        assert done.stderr == ""


@pytest.mark.parametrize(("plan", "denied"), [(GOOD, set()), (BAD, DENIED)], ids=["good", "bad"])
def test_the_same_policy_in_rego(plan: dict[str, Any], denied: set[str]) -> None:
    if shutil.which("opa") is None and importlib.util.find_spec("regorus") is None:
        pytest.skip("neither the program opa nor the package regorus is installed")
    policy = ROOT / "examples/policies/policy.rego"
    if importlib.util.find_spec("regorus") is not None:
        engine = importlib.import_module("regorus").Engine()
        engine.add_policy_from_file(str(policy))
        engine.set_input_json(json.dumps(plan))
        found = json.loads(engine.eval_rule_as_json("data.main.deny"))
    else:
        command = ["opa", "eval", "--stdin-input", "--format", "raw", "--data", str(policy), "data.main.deny"]
        done = subprocess.run(command, input=json.dumps(plan), capture_output=True, text=True, timeout=60, check=True)
        found = json.loads(done.stdout)
    assert set(found) == denied
