"""Write the data and the simulator's worlds of the examples about deliveries in time and per person.

    python make_people.py

Each example has 90 people whose membership follows from arithmetic. Person i has the user ID "U" + 32 hex digits and is
a friend for i days; every 20th has blocked the account, every 25th is on optout.txt. It is 21 November 2026, 10:00.
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NOW = datetime(2026, 11, 21, 10, 0, tzinfo=timezone(timedelta(hours=9)))
CARD = "4f1c2a90-8f5e-4d8e-9f3b-0a1b2c3d4e5f"
CARD_URL = "https://shop.example/autumn"
PEOPLE = range(1, 91)
FAMILY = ("佐藤", "鈴木", "高橋", "田中", "伊藤", "渡辺", "山本", "中村", "小林", "加藤")
ITEMS = (
    ("scarf", "ウールマフラー", 4800),
    ("mug", "マグカップ", 1600),
    ("lamp", "デスクライト", 7200),
    ("bag", "トートバッグ", 5400),
    ("tea", "紅茶セット", 2400),
)


def user_id(i: int) -> str:
    return "U" + hashlib.sha256(f"people/{i}".encode()).hexdigest()[:32]


def ago(**amount: float) -> str:
    return (NOW - timedelta(**amount)).isoformat()


def write_list(folder: Path, name: str, people: Iterable[int]) -> None:
    lines = [user_id(i) for i in people]
    (folder / "data" / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_table(folder: Path, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with (folder / "data" / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
        out = csv.writer(stream, lineterminator="\n")
        out.writerow(header)
        out.writerows(rows)


def friend(i: int) -> dict[str, object]:
    known: dict[str, object] = {"userId": user_id(i), "status": "blocked" if i % 20 == 0 else "following"}
    return known | {"followedAt": ago(days=i)}


def write_world(folder: Path, account: dict[str, Any] | None = None) -> None:
    shop: dict[str, Any] = {"token": "sim-token", "quota": {"type": "limited", "value": 5000}}
    shop |= {"friends": [friend(i) for i in PEOPLE], **(account or {})}
    text = json.dumps({"now": NOW.isoformat(), "accounts": {"shop": shop}}, ensure_ascii=False, indent=1)
    (folder / "world.json").write_text(text + "\n", encoding="utf-8")


def write_members(folder: Path) -> None:
    rows = [
        (f"m{i:03}", user_id(i), FAMILY[i % 10] if i % 9 else "", "gold" if i % 10 == 0 else "silver", 35 * i)
        for i in PEOPLE
    ]
    write_table(folder, "members", ["member_id", "user_id", "name", "rank", "points"], rows)


def write_orders(folder: Path, rows: Iterable[tuple[int, str, float]]) -> None:
    """Person, item and days ago."""
    lines = [
        (f"o{number:04}", user_id(i), item, ago(days=days)) for number, (i, item, days) in enumerate(rows, start=1)
    ]
    write_table(folder, "orders", ["order_id", "user_id", "item", "ordered_at"], lines)


# --- the examples -----------------------------------------------------------------------------------


def first_purchase(folder: Path) -> None:
    """Members are all; who is a multiple of 3 has bought."""
    write_members(folder)
    write_orders(folder, [(i, "mug", 40 + i) for i in PEOPLE if i % 3 == 0])
    write_world(folder)


def cart_reminder(folder: Path) -> None:
    """A cart of 20 hours ago: i % 4 == 1; of these every third person has ordered since."""
    rows = [(user_id(i), f"c{i:03}", ago(hours=20), ago(hours=2) if i % 3 == 0 else "") for i in PEOPLE if i % 4 == 1]
    write_table(folder, "carts", ["user_id", "cart_id", "put_at", "ordered_at"], rows)
    write_world(folder)


def opened_then_sale(folder: Path) -> None:
    """The card of 18 November went to all; who is no multiple of 5 opened it. Multiples of 7 have bought since."""
    write_list(folder, "buyers", [i for i in PEOPLE if i % 7 == 0])
    card = {
        "requestId": CARD, "kind": "broadcast", "at": "2026-11-18T10:00:00+09:00", "urls": [CARD_URL],
        "to": [user_id(i) for i in PEOPLE], "opened": [user_id(i) for i in PEOPLE if i % 5],
        "clicked": {CARD_URL: [user_id(i) for i in PEOPLE if i % 3 == 0]},
    }  # fmt: skip
    write_world(folder, {"followersReadable": True, "sends": [card]})


def dormant(folder: Path) -> None:
    """Each bought i * 7 days ago; half a year or longer ago are those from the 27th on."""
    write_members(folder)
    write_orders(folder, [(i, ITEMS[i % 5][0], 7 * i) for i in PEOPLE])
    write_world(folder)


def loyal_codes(folder: Path) -> None:
    """Multiples of 4 bought three times within half a year; there are 24 codes."""
    write_members(folder)
    write_orders(folder, [(i, ITEMS[time][0], 10 * time + i) for i in PEOPLE if i % 4 == 0 for time in range(3)])
    codes = [(f"THANKS-{hashlib.sha256(f'code/{number}'.encode()).hexdigest()[:8].upper()}",) for number in range(24)]
    write_table(folder, "codes", ["code"], codes)
    write_list(folder, "testers", [1, 2])
    write_world(folder)


def price_drop(folder: Path) -> None:
    """Favourites of i % 6 == 2 fall in an hour; every fifth of these prices is up again five minutes later."""
    rows = []
    for i in (i for i in PEOPLE if i % 6 == 2):
        item, name, before = ITEMS[i % 5]
        fell = (NOW + timedelta(hours=1)).isoformat()
        back = (NOW + timedelta(hours=1, minutes=5)).isoformat() if i % 5 == 0 else ""
        rows.append((user_id(i), item, name, before, before * 8 // 10, fell, back))
    header = ["user_id", "item", "name", "before", "price", "dropped_at", "back_at"]
    write_table(folder, "price_drops", header, rows)
    write_world(folder)


def restock(folder: Path) -> None:
    """Who waits for the lamp: i % 5 == 3; it is back an hour from now. One in three has bought another one."""
    rows = [(user_id(i), "lamp", "デスクライト", (NOW + timedelta(hours=1)).isoformat()) for i in PEOPLE if i % 5 == 3]
    write_table(folder, "restocks", ["user_id", "item", "name", "restocked_at"], rows)
    write_orders(folder, [(i, "lamp", 1) for i in PEOPLE if i % 15 == 3])
    write_world(folder)


def recommendations(folder: Path) -> None:
    """Two items for each even person, by a rank of the week."""
    rows = []
    for i in PEOPLE:
        if i % 2 == 0:
            first, second = ITEMS[i % 5], ITEMS[(i + 2) % 5]
            rows.append((user_id(i), first[1], first[2], first[0], second[1], second[2], second[0]))
    header = ["user_id", "name_1", "price_1", "item_1", "name_2", "price_2", "item_2"]
    write_table(folder, "recommendations", header, rows)
    write_world(folder)


def welcome(folder: Path) -> None:
    """In the three hours to come six people add the account, four by the poster, one of whom leaves again."""
    (folder / "events").mkdir(exist_ok=True)
    lines = []
    for number in range(6):
        at = NOW + timedelta(minutes=30 * (number + 1))
        event = {
            "type": "follow", "mode": "active", "timestamp": int(at.timestamp() * 1000),
            "source": {"type": "user", "userId": user_id(number + 1)}, "webhookEventId": f"01J{number:023}",
            "deliveryContext": {"isRedelivery": False}, "follow": {"isUnblocked": False},
        }  # fmt: skip
        lines.append(event | ({"via": "poster"} if number < 4 else {}))
    left = {**lines[3], "type": "unfollow", "timestamp": lines[3]["timestamp"] + 3_600_000}
    left = {name: value for name, value in left.items() if name not in ("follow", "via")}
    lines.append(left | {"webhookEventId": f"01J{9:023}"})
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / "events" / "follows.jsonl").write_text(text, encoding="utf-8")
    write_orders(folder, [(2, "mug", -1.5)])
    write_world(folder)


EXAMPLES = {
    "first-purchase": first_purchase,
    "cart-reminder": cart_reminder,
    "opened-then-sale": opened_then_sale,
    "dormant": dormant,
    "loyal-codes": loyal_codes,
    "price-drop": price_drop,
    "restock": restock,
    "recommendations": recommendations,
    "welcome": welcome,
}


def main(root: Path) -> None:
    for name, write in EXAMPLES.items():
        folder = root / name
        (folder / "data").mkdir(parents=True, exist_ok=True)
        write_list(folder, "optout", [i for i in PEOPLE if i % 25 == 0])
        write(folder)


if __name__ == "__main__":
    main(HERE)
