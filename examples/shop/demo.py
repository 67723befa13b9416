"""The example shop against the simulator, step by step, as `make demo` runs it.

The project is copied to a folder of its own, the simulator is started, and each command is shown with
its real output. Ends with an error if anything is not as it should be.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXPECTED_PEOPLE = 76
READY_SECONDS_MAX = 60


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="audsql-demo-") as folder:
        project = Path(folder, "shop")
        shutil.copytree(HERE, project, ignore=shutil.ignore_patterns(".audsql", "__pycache__", "*.py"))
        simulator, url = start_simulator(project)
        try:
            run_steps(project, url)
        finally:
            simulator.terminate()
            simulator.wait(timeout=30)


def start_simulator(project: Path) -> tuple["subprocess.Popen[bytes]", str]:
    """A LINE of our own: the example's friends, what they clicked, and a clock that does not wait."""
    ready = project / "sim.url"
    show("audsql sim --world world.json --ready-file sim.url &")
    command = [*audsql(), "sim", "--world", "world.json", "--ready-file", str(ready)]
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not (ready.exists() and ready.read_text().strip()):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            sys.exit("the simulator did not start")
        time.sleep(0.05)
    url = ready.read_text().strip().splitlines()[0]
    post(f"{url}/_sim/clock", {"auto": True})
    config = project / "audsql.toml"
    config.write_text(config.read_text(encoding="utf-8").replace('endpoint = "sim"', f'endpoint = "{url}"'), "utf-8")
    return process, url


def run_steps(project: Path, url: str) -> None:
    run(project, "check")
    run(project, "test")
    run(project, "plan", "--out", "spring.audplan")
    run(project, "apply", "spring.audplan")
    received(url)
    again = run(project, "plan")
    expect(any(line.startswith("No changes.") for line in again.splitlines()), "the second plan has changes")


def run(project: Path, *arguments: str) -> str:
    """Run one command, show it with its output, and end if it fails."""
    show(f"audsql {' '.join(arguments)}")
    environment = {**os.environ, "LINE_CHANNEL_ACCESS_TOKEN": "sim-token"}
    command = [*audsql(), *arguments]
    done = subprocess.run(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    print(done.stdout, flush=True)
    expect(done.returncode == 0, f"exit code {done.returncode}")
    return done.stdout


def received(url: str) -> None:
    """Who received what, as the simulator saw it."""
    show(f"curl {url}/_sim/inbox")
    with urllib.request.urlopen(f"{url}/_sim/inbox", timeout=30) as answer:
        inbox = json.load(answer)
    people = Counter(entry["userId"] for entry in inbox)
    texts = Counter(entry["messages"][0]["text"].splitlines()[0] for entry in inbox)
    for text, count in sorted(texts.items()):
        print(f"  {count} people received: {text}")
    twice = sum(count > 1 for count in people.values())
    print(f"  {len(people)} people in all, {twice} of them twice\n", flush=True)
    expect(len(people) == EXPECTED_PEOPLE and not twice, f"{EXPECTED_PEOPLE} people were expected, each once")


def show(command: str) -> None:
    print(f"$ {command}", flush=True)


def expect(truth: bool, otherwise: str) -> None:
    if not truth:
        sys.exit(f"demo: not as it should be: {otherwise}")


def audsql() -> list[str]:
    return [sys.executable, "-m", "audsql"]


def post(url: str, body: object) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30):
        pass


if __name__ == "__main__":
    main()
