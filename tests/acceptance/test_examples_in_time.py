"""The examples about deliveries in time and per person, from their text to the simulator's inbox."""

from __future__ import annotations

import json
import runpy
import shutil
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

from audsql.cli.app import run
from harness import place

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROGRAM = runpy.run_path(str(EXAMPLES / "make_people.py"))
PERSON = {PROGRAM["user_id"](i): i for i in PROGRAM["PEOPLE"]}
REACHABLE = {i for i in PROGRAM["PEOPLE"] if i % 20 and i % 25}
MINUTE, HOUR, DAY = 60, 3_600, 86_400


@contextmanager
def example(name: str, root: Path):
    shutil.copytree(EXAMPLES / name, root, ignore=shutil.ignore_patterns(".audsql"), dirs_exist_ok=True)
    world = json.loads((root / "world.json").read_text(encoding="utf-8"))
    config = (root / "audsql.toml").read_text(encoding="utf-8")
    with place(root, world, {}) as here:
        here.write("audsql.toml", config.replace('endpoint = "sim"', f'endpoint = "{here.simulator.base_url}"'))
        here.control("POST", "/_sim/clock", {"auto": True})
        yield here


def play(here, *pauses: int) -> None:
    """Apply, and a run after each of these pauses; nothing needs a person."""
    outcome = here.apply(as_of=None)
    assert outcome.exit_code == 0, outcome.diagnostics
    for pause in pauses:
        here.advance(pause)
        outcome = here.run()
        assert outcome.exit_code == 0, outcome.diagnostics


def got(here) -> dict[str, set[int]]:
    """Who received what, by the texts of a message set; nobody the same one twice."""
    found: dict[str, set[int]] = defaultdict(set)
    for one in here.inbox():
        text = "|".join(message.get("text") or message["altText"] for message in one["messages"])
        assert PERSON[one["userId"]] not in found[text]
        found[text].add(PERSON[one["userId"]])
    return dict(found)


def test_first_purchase(tmp_path):
    with example("first-purchase", tmp_path) as here:
        play(here, *[13 * HOUR] * 17)
        never = {i for i in REACHABLE if i % 3}
        assert got(here) == {
            "はじめてのお買い物に使えるクーポンです。コード：HAJIME10": never,
            "クーポンの期限は3日後です。": never,
        }
        hours = {one["at"][11:13] for one in here.inbox()}
        assert hours <= {f"{hour:02}" for hour in range(12, 21)}


def test_cart_reminder(tmp_path):
    with example("cart-reminder", tmp_path) as here:
        play(here, HOUR, DAY)
        carts = {i for i in REACHABLE if i % 4 == 1}
        assert got(here) == {
            "ご注文ありがとうございます。1分のアンケートにご協力ください。https://shop.example/survey": {
                i for i in carts if i % 3 == 0
            },
            "カートに商品が残っています。https://shop.example/cart": {i for i in carts if i % 3},
        }


def test_opened_then_sale(tmp_path):
    with example("opened-then-sale", tmp_path) as here:
        play(here, *[12 * HOUR] * 8)
        assert got(here) == {
            "秋のカードをご覧いただいた方だけのセールです。https://shop.example/sale": {
                i for i in REACHABLE if i % 7 and i % 5
            }
        }


def test_dormant(tmp_path):
    with example("dormant", tmp_path) as here:
        play(here, *[HOUR] * 12, DAY)
        texts = got(here)
        assert set().union(*texts.values()) == {i for i in REACHABLE if i >= 26}
        for text, people in texts.items():
            assert all(text.startswith(f"{PROGRAM['FAMILY'][i % 10] if i % 9 else 'お客'}様") for i in people)
            assert all(f"{35 * i}ポイント" in text if 35 * i >= 1000 else "新しい商品" in text for i in people)


def test_loyal_codes(tmp_path, capsys):
    with example("loyal-codes", tmp_path) as here:
        assert here.apply(as_of=None).exit_code == 5
        assert run(["send-test", "thanks_2026", "--to", "testers", "--project", str(tmp_path)]) == 0
        capsys.readouterr()
        tests = len(here.inbox())
        assert tests == 2
        play(here, HOUR)
        sent = here.inbox()[tests:]
        loyal = {i for i in PROGRAM["PEOPLE"] if i % 4 == 0 and i % 25}
        assert {PERSON[one["userId"]] for one in sent} == {i for i in loyal if i % 20}
        given = [one["messages"][0]["text"].partition("コード：")[2] for one in sent]
        codes = (tmp_path / "data" / "codes.csv").read_text().splitlines()[1:]
        assert len(set(given)) == len(given) and set(given) <= set(codes)


def test_price_drop(tmp_path):
    with example("price-drop", tmp_path) as here:
        play(here, *[20 * MINUTE] * 9)
        fell = {i for i in REACHABLE if i % 6 == 2 and i % 5}
        texts = got(here)
        assert set().union(*texts.values()) == fell
        for text, people in texts.items():
            assert all(PROGRAM["ITEMS"][i % 5][1] in text for i in people)
        rows = (tmp_path / "data" / "price_drops.csv").read_text(encoding="utf-8").splitlines()
        here.write("data/price_drops.csv", "\n".join([rows[0], *reversed(rows[1:]), *rows[1:]]) + "\n")
        before = len(here.inbox())
        assert here.run().exit_code == 0
        assert len(here.inbox()) == before


def test_restock(tmp_path):
    with example("restock", tmp_path) as here:
        play(here, 2 * HOUR, HOUR)
        waiting = {i for i in REACHABLE if i % 5 == 3 and i % 15 != 3}
        assert got(here) == {"お待たせしました。デスクライトが再入荷しました。https://shop.example/restock": waiting}


def test_recommendations(tmp_path):
    with example("recommendations", tmp_path) as here:
        play(here, HOUR + MINUTE, DAY)
        texts = got(here)
        assert set().union(*texts.values()) == {i for i in REACHABLE if i % 2 == 0}
        for text, people in texts.items():
            assert all(f"{PROGRAM['ITEMS'][i % 5][1]}、{PROGRAM['ITEMS'][(i + 2) % 5][1]}" in text for i in people)
        one = here.inbox()[0]
        links = [card["footer"]["contents"][0]["action"]["uri"] for card in one["messages"][0]["contents"]["contents"]]
        i = PERSON[one["userId"]]
        assert links == [f"https://shop.example/items/{PROGRAM['ITEMS'][k][0]}" for k in (i % 5, (i + 2) % 5)]


def test_welcome(tmp_path):
    with example("welcome", tmp_path) as here:
        play(here, *[30 * MINUTE + 1] * 8, *[6 * HOUR] * 16)
        gift = (
            "友だち追加ありがとうございます。|ポスターをご覧いただきありがとうございます。"
            "プレゼントはこちらです。https://shop.example/gift"
        )
        assert got(here) == {
            gift: {1, 2, 3, 4},
            "お買い物ありがとうございました。": {2},
            "人気の商品をご紹介します。https://shop.example/popular": {1, 3},
        }
