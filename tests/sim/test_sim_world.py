"""World files: the schema, what is refused, dumping and loading, determinism (specs/simulator.md, Worlds)."""

from __future__ import annotations

import ast
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from sim_cases import FEMALE, GROUPS, KEY, SEND, TEXT, all_of, audience, ids_body, line, none_of, uids, world

from audsql.sim.worldfile import KEYS

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "specs/schemas/world.schema.json").read_text(encoding="utf-8"))


def is_valid(document: Any) -> bool:
    from jsonschema import Draft202012Validator

    return bool(Draft202012Validator(SCHEMA).is_valid(document))


@pytest.fixture(scope="module")
def f1000(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The world of 1,000 people whose membership follows from arithmetic."""
    path = ROOT / "tests/fixtures/make_f1000.py"
    specification = importlib.util.spec_from_file_location("make_f1000", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("f1000")
    module.main(folder)
    return json.loads((folder / "world.json").read_text(encoding="utf-8"))


def busy() -> Any:
    """A simulation in the middle of everything."""
    turn = {"nth": 5, "when": "ended", "friends": [{"userId": uids([7])[0], "gender": None, "os": "ios"}],
            "audiences": [{"description": "VIP", "add": uids([9]), "remove": uids([1])}],
            "reactions": [{"opened": uids([2]), "clicked": {"https://shop.example/a": uids([2])}}]}  # fmt: skip
    document = world(progress=[None, {"errorCode": 1, "delivered": 3}], followersReadable=True, turns=[turn])
    document["accounts"]["shop"]["friends"][0]["changes"] = [{"at": "2026-11-21T00:00:55+09:00", "status": "blocked"}]
    document["accounts"]["shop"]["audiences"] = [
        {"type": "CHAT_TAG", "description": "VIP", "members": uids([1]),
         "changes": [{"at": "2026-11-21T00:01:00+09:00", "add": uids([2])}]},
        {"type": "WEBTRAFFIC", "description": "theirs", "members": uids(range(1, 61)),
         "owner": {"serviceType": "bm", "id": "1", "name": "x"}},
    ]  # fmt: skip
    shop = line(document)
    made = shop.upload(range(1, 101))
    shop.post(f"{GROUPS}/upload", {"description": "empty"})
    shop.clicks()
    shop.post("/_sim/faults", [{"match": {"path": SEND}, "nth": 5, "do": "refuse"}])
    shop.narrowcast(recipient=audience(made), limit={"max": 90, "upToRemainingQuota": True})
    shop.wait(15)
    shop.post(f"{SEND}/narrowcast", {"messages": TEXT, "filter": {"demographic": FEMALE}}, X_Line_Retry_Key=KEY)
    shop.ask("PUT", f"{GROUPS}/upload", {"audienceGroupId": made, "audiences": ids_body([150])})
    shop.post(f"{SEND}/push", {"to": uids([3])[0], "messages": TEXT, "customAggregationUnits": ["u"]})
    shop.ask("DELETE", f"{GROUPS}/{made}")
    shop.wait(0.5)
    return shop


def test_the_fixture_satisfies_the_schema_and_loads(f1000: Any) -> None:
    assert is_valid(f1000)
    shop = line(f1000)
    assert is_valid(shop.simulation.dump())
    friends = shop.simulation.dump()["accounts"]["shop"]["friends"]
    assert len(friends) == 1_000
    assert sum(1 for each in friends if each["status"] == "blocked") == 50


def test_the_founding_sentence_over_the_fixture(f1000: Any) -> None:
    shop = line(f1000)
    request_id = f1000["accounts"]["shop"]["sends"][0]["requestId"]
    bought = shop.upload([n for n in range(1, 1_001) if n % 4 == 0 and n % 7 and n % 25])
    made = shop.post(f"{GROUPS}/click", {"description": "clicks", "requestId": request_id}).body["audienceGroupId"]
    shop.wait(30)
    sent = shop.sent(recipient=all_of(audience(made), audience(bought)))
    expected = [n for n in range(1, 1_001) if n % 4 == 0 and n % 7 and n % 25 and n % 3 == 0 and n % 20]
    assert shop.received(sent) == expected
    assert len(expected) == 58


def test_a_dump_satisfies_the_schema() -> None:
    assert is_valid(busy().simulation.dump())
    assert is_valid(world())


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"now": "2026-11-21", "accounts": {}},
        {"now": "yesterday", "accounts": {"a": {"token": "t"}}},
        {"now": "2026-11-21", "accounts": {"a": {}}},
        {"now": "2026-11-21", "accounts": {"a": {"token": "t", "folowersReadable": True}}},
        {"now": "2026-11-21", "accounts": {"a": {"token": "t", "quota": {"type": "limited"}}}},
        {"now": "2026-11-21", "accounts": {"a": {"token": "t", "friends": [{"userId": "U1"}]}}},
        {"now": "2026-11-21", "accounts": {"a": {"token": "t", "audiences": [{"type": "CLICK"}]}}},
    ],
)
def test_wrong_worlds_are_refused_by_the_schema(wrong: Any) -> None:
    assert not is_valid(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"now": "yesterday", "accounts": {}},
        {"now": "2026-11-21", "accounts": {"a": {}}},
        {"now": "2026-11-21", "accounts": {"a": {"token": "t", "folowersReadable": True}}},
        {"now": "2026-11-21", "accounts": {"a": {"token": "t", "friends": [{"userId": "U1"}]}}},
        {"now": "2026-11-21", "accounts": {"a": {"token": "t"}, "b": {"token": "t"}}},
        [],
    ],
)
def test_a_wrong_world_leaves_the_old_one(wrong: Any) -> None:
    shop = line()
    assert shop.ask("PUT", "/_sim/world", wrong).status == 400
    assert shop.get("/v2/bot/info").status == 200


def test_loading_and_schema_know_the_same_keys() -> None:
    assert set(SCHEMA["properties"]) == KEYS["world"]
    for name in ("account", "friend", "send", "audience", "turn"):
        assert set(SCHEMA["$defs"][name]["properties"]) == KEYS[name], name


def test_a_dump_loads_again_and_continues_alike() -> None:
    shop = busy()
    dump = json.loads(json.dumps(shop.simulation.dump()))
    other = line(dump)
    assert other.simulation.dump() == dump
    for each in (shop, other):
        each.wait(15)
        each.narrowcast(recipient=none_of(audience(each.ready(range(1, 9), "again"))))
        each.post(f"{SEND}/narrowcast", {"messages": TEXT}, X_Line_Retry_Key=KEY)
        each.wait(3_600)
    assert shop.simulation.dump() == other.simulation.dump()
    assert len(shop.get("/_sim/inbox").body) > 100


def test_the_world_can_be_replaced_over_the_control_plane() -> None:
    shop = busy()
    dump = shop.get("/_sim/world").body
    other = line()
    assert other.ask("PUT", "/_sim/world", dump).status == 200
    assert other.get("/_sim/world").body == dump
    assert other.ask("PUT", "/_sim/world", world()).status == 200
    assert other.get("/_sim/inbox").body == []


def test_the_same_requests_give_the_same_bytes() -> None:
    first, second = (json.dumps(busy().simulation.dump()) for _ in range(2))
    assert first == second


def test_the_seed_changes_the_ids() -> None:
    ids = {line({**world(), "seed": seed}).narrowcast().headers["X-Line-Request-Id"] for seed in range(3)}
    assert len(ids) == 3


def test_times_without_an_offset_are_japanese() -> None:
    shop = line({"now": "2026-11-21", "accounts": {"a": {"token": "sim-token"}}})
    assert shop.get("/_sim/clock").body["now"] == "2026-11-21T00:00:00+09:00"


def test_the_judge_shares_no_code_with_the_accused() -> None:
    for path in sorted((ROOT / "src/audsql/sim").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert all(not each.startswith("audsql") or each.startswith("audsql.sim") for each in names), path.name
