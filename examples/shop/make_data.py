"""Write the example's data and the simulator's world: 300 people whose membership follows from arithmetic.

    python make_data.py

Person i has the user ID "U" + 32 hex digits. Friends: all, every 20th has blocked the account. The
broadcast msg42 of 10 November went to all and was clicked by those whose i is no multiple of 3. Even i
bought A, multiples of 5 bought B, multiples of 7 are on buyers.txt, multiples of 25 on optout.txt. So
`clicked(msg42) AND purchased(A) EXCEPT uploaded(buyers)` is 86 people: 82 after opt-outs, of whom 76
have not blocked the account.
"""

import csv
import hashlib
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOW = datetime(2026, 11, 21, 10, 0, tzinfo=timezone(timedelta(hours=9)))
URL = "https://shop.example/spring"
PEOPLE = range(1, 301)


def user_id(i: int) -> str:
    return "U" + hashlib.sha256(f"shop/{i}".encode()).hexdigest()[:32]


def write_data(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, every in (("buyers", 7), ("optout", 25)):
        lines = [user_id(i) for i in PEOPLE if i % every == 0]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with (folder / "orders.csv").open("w", newline="", encoding="utf-8") as stream:
        out = csv.writer(stream, lineterminator="\n")
        out.writerow(["order_id", "user_id", "product", "amount", "ordered_at"])
        for product, every in (("A", 2), ("B", 5)):
            for i in PEOPLE:
                if i % every == 0:
                    ordered = NOW - timedelta(days=i % 200, hours=1)
                    out.writerow([f"{product}{i:04d}", user_id(i), product, 1000 + 10 * i, ordered.isoformat()])


def friend(i: int) -> dict[str, str]:
    known = {"userId": user_id(i), "status": "blocked" if i % 20 == 0 else "following"}
    known["followedAt"] = (NOW - timedelta(days=i)).isoformat()
    if i % 11:
        known |= {"gender": "female" if i % 2 else "male", "age": f"age_{20 + 5 * (i % 5)}", "area": "jp_13"}
    return known


def world() -> dict[str, object]:
    sent = {
        "requestId": "bb9744f9-47fa-4a29-941e-1234567890ab",
        "kind": "broadcast",
        "at": "2026-11-10T10:00:00+09:00",
        "urls": [URL],
        "to": [user_id(i) for i in PEOPLE],
        "opened": [user_id(i) for i in PEOPLE if i % 3],
        "clicked": {URL: [user_id(i) for i in PEOPLE if i % 3]},
    }
    shop = {
        "token": "sim-token",
        "quota": {"type": "limited", "value": 1000},
        "friends": [friend(i) for i in PEOPLE],
        "sends": [sent],
        "audiences": [],
    }
    return {"now": NOW.isoformat(), "accounts": {"shop": shop}}


def main(root: Path = HERE) -> None:
    write_data(root / "data")
    (root / "world.json").write_text(json.dumps(world(), indent=0, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
