"""Coupons reach inboxes beside other messages, and so does what is filled in for each person."""

from __future__ import annotations

from f1000 import FOUNDING, SOURCES, f1000

COUPON = "01JYNW8JMQVFBNWF1APF8Z3FS7"
GIFT = f'message gift {{ coupon: "{COUPON}" }}\n'
PERSONAL = """
table members { file: "data/members.csv"  id: user_id }
message hi { template: "{{ name }}"  table: members  column name: string = "you" }
delivery sale_a { to: uploaded(buyers)  send: hi }
"""


def test_a_coupon_is_sent_beside_a_text(tmp_path):
    spec = GIFT + f"delivery sale_a {{ to: {FOUNDING}  send: sale, gift }}\n"
    with f1000(tmp_path, spec) as here:
        world = here.control("GET", "/_sim/world")
        world["accounts"]["shop"]["coupons"] = [
            {
                "couponId": COUPON,
                "created": "2026-11-01T00:00:00+09:00",
                "document": {"title": "10% off", "startTimestamp": 1_793_000_000, "endTimestamp": 1_800_000_000},
            }
        ]
        here.control("PUT", "/_sim/world", world)
        assert here.plan().document["guards"] == []
        assert here.apply().exit_code == 0
        assert len(here.received()) == 58
        assert all(one["messages"][1:] == [{"type": "coupon", "couponId": COUPON}] for one in here.inbox())


def test_a_template_is_filled_in_for_each_person(tmp_path):
    with f1000(tmp_path, PERSONAL, SOURCES) as here:
        assert here.plan().document["applyable"]
        assert here.apply().exit_code == 0
        found = {int(one["userId"][1:], 16): one["messages"][0]["text"] for one in here.inbox()}
        # Every second person has a row with a LINE user ID.
        assert all(text == (f"お客様{number}" if number % 2 else "you") for number, text in found.items())
        assert len(found) == len(here.inbox())
        assert len(found) > 100
