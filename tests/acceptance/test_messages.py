"""Coupons reach inboxes beside other messages; templates and flows are checked, told of and not sent."""

from __future__ import annotations

from f1000 import FOUNDING, SOURCES, f1000

COUPON = "01JYNW8JMQVFBNWF1APF8Z3FS7"
GIFT = f'message gift {{ coupon: "{COUPON}" }}\n'
FLOW = "flow hello { start when purchased(A)  wait 3 days  send sale, gift  exit when purchased(B, since start) }\n"
PERSONAL = """
table members { file: "data/members.csv"  id: user_id }
message hi { template: "{{ name }}"  table: members  column name: string = "you" }
delivery sale_a { to: uploaded(buyers)  send: hi }
"""


def test_a_coupon_is_sent_beside_a_text(tmp_path):
    spec = GIFT + FLOW + f"delivery sale_a {{ to: {FOUNDING}  send: sale, gift }}\n"
    with f1000(tmp_path, spec) as here:
        document = here.plan().document
        assert [one["code"] for one in document["guards"]] == ["AUD0729"]
        assert here.apply().exit_code == 0
        assert len(here.received()) == 58
        assert all(one["messages"][1:] == [{"type": "coupon", "couponId": COUPON}] for one in here.inbox())


def test_a_template_is_checked_and_not_sent(tmp_path):
    with f1000(tmp_path, PERSONAL, SOURCES) as here:
        document = here.plan().document
        assert ([one["code"] for one in document["guards"]], document["applyable"]) == (["AUD0728"], False)
        assert here.inbox() == []
