"""A live flow is edited, renamed, given up, lost: what a plan says of the people inside, and what becomes of them."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema

from audsql import session
from audsql.apply.store import Holder
from audsql.session import flow_play, flowing
from audsql.session.planning import open_store
from audsql.view import flow as flow_view
from audsql.view import markdown
from audsql.view import plan as plan_view
from audsql.view.terminal import Style
from harness import place

IDS = [f"U{number:032x}" for number in range(1, 121)]
HEAD = """
account shop { token: env("LINE_CHANNEL_ACCESS_TOKEN") }
message survey { text: "how was it?" }
message reminder { text: "still in your cart" }
message bye { text: "last call" }
upload buyers { file: "buyers.txt"  id: user_id }
table carts { file: "carts.csv"  id: user_id  time: at }
"""
FLOW = """
flow cart {
  start when carts(last 30 days)
  branch { uploaded(buyers) -> send survey  otherwise -> send reminder }
  wait 3 days
  send bye
}
"""
DAY = 24 * 60 * 60
SCHEMAS = Path(__file__).resolve().parents[2] / "specs" / "schemas"
NOW = datetime.fromisoformat("2026-11-21T10:00:00+09:00")


ANNA = Holder("anna", "here", 1, "test")
LATER = datetime.now(UTC) + timedelta(days=1)


def store_of(here):
    store, problems = open_store(here.opened(), create=False)
    assert store is not None, problems
    return store


@contextmanager
def shop(root, flow=FLOW):
    friends = [{"userId": one, "followedAt": "2026-01-01T00:00:00+09:00"} for one in IDS]
    account = {"token": "sim-token", "quota": {"type": "none"}, "followersReadable": True, "friends": friends}
    world = {"now": "2026-11-21T10:00:00+09:00", "auto": True, "accounts": {"shop": account}}
    rows = "".join(f"{one},2026-11-20T10:00:00+09:00\n" for one in IDS)
    files = {"main.aud": HEAD + flow, "buyers.txt": "\n".join(IDS[:40]) + "\n", "carts.csv": "user_id,at\n" + rows}
    with place(root, world, files) as here:
        yield here


def edit(here, flow):
    here.write("main.aud", HEAD + flow)


def said(document, language):
    return plan_view.human(document, Style(language=language))


def texts(here):
    return Counter(one["messages"][0]["text"] for one in here.inbox())


def people(here):
    """Who stands where: by version's state and step."""
    document = flowing.shown(here.opened(), "cart").document
    return {(one["state"], row["step"]): row["waiting"] for one in document["versions"] for row in one["steps"]}


def test_a_new_flow_says_how_many_enter_and_which_arms_they_take(tmp_path):
    with shop(tmp_path) as here:
        document = here.plan(None).document
        assert (document["summary"]["add"], document["flows"][0]["entering"]) == (1, 120)
        assert [one["people"] for one in document["flows"][0]["arms"]] == [40, 80]
        assert {one["name"] for one in document["sources"]} == {"buyers", "carts"}
        assert "would enter now: 120" in said(document, "en") and "今入る人: 120 人" in said(document, "ja")
        assert here.apply(document).exit_code == 0
        assert texts(here) == {"how was it?": 40, "still in your cart": 80}
        again = here.plan(None).document
        assert (again["summary"]["changes"], again["flows"][0]["inside"][0]["what"]) == (False, "stay")


def test_who_is_inside_finishes_on_the_version_that_they_entered(tmp_path):
    with shop(tmp_path) as here:
        here.apply(as_of=None)
        edit(here, FLOW.replace("wait 3 days", "wait 5 days").replace("send bye", "send bye, bye"))
        document = here.plan(None).document
        schema = json.loads((SCHEMAS / "plan.schema.json").read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator(schema).validate(document)
        (flow,) = document["flows"]
        assert (flow["action"], flow["entering"], flow["inside"][0]["people"]) == ("change", 0, 120)
        assert [one["step"] for one in flow["edits"]] == ["1", "2"]
        for language, words in {
            "en": ("120 people inside finish on the version of", "the edit changes nothing for them"),
            "ja": ("中にいる 120 人は", "今回の編集はこの人たちに影響せず、この版に新しい人は入りません"),
        }.items():
            assert all(one in said(document, language) for one in words)
            assert words[0] in markdown.plan_comment(document, language, 20).replace("\\", "")
        assert here.apply(document).exit_code == 0
        assert people(here) == {("closing", "2"): 120}
        here.advance(3 * DAY + 60)
        here.run()
        assert texts(here)["last call"] == 120
        document = flowing.shown(here.opened(), "cart").document
        assert [(one["state"], one["people"]["done"]) for one in document["versions"]] == [
            ("active", 0),
            ("closed", 120),
        ]
        here.run()
        assert texts(here)["last call"] == 120


def test_moved_takes_along_who_is_inside_and_nobody_gets_anything_twice(tmp_path):
    renamed = FLOW.replace("flow cart", "flow basket").replace("send bye\n", "send bye\n  wait 1 day\n  send survey\n")
    with shop(tmp_path) as here:
        here.apply(as_of=None)
        edit(here, renamed + "moved cart -> basket\n")
        document = here.plan(None).document
        assert [(one["action"], one["from"]) for one in document["flows"]] == [("move", "cart")]
        assert document["applyable"] is False, "buyers would get the survey again"
        card = 'message card { text: "x" }\nmoved cart -> basket\n'
        edit(here, renamed.replace("send survey\n}", "send card\n}") + card)
        document = here.plan(None).document
        assert (document["applyable"], document["flows"][0]["inside"][0]["steps"][0]["to"]) == (True, "2")
        assert "120 people inside go on in the new version" in said(document, "en")
        assert "それぞれ同じ位置のステップから新しい版" in said(document, "ja")
        assert here.apply(document).exit_code == 0
        assert here.plan(None).document["summary"]["changes"] is False
        here.advance(3 * DAY + 60)
        here.run()
        here.advance(DAY)
        here.run()
        assert texts(here) == {"how was it?": 40, "still in your cart": 80, "last call": 120, "x": 120}


def test_who_is_held_when_a_flow_is_renamed_does_not_enter_it_again(tmp_path):
    renamed = FLOW.replace("flow cart", "flow basket") + "moved cart -> basket\n"
    with shop(tmp_path) as here:
        here.apply(as_of=None)
        with store_of(here) as store:
            lease = store.acquire(ANNA, LATER, timedelta(minutes=5))
            held = [replace(one, state="held") for one in store.ledger().places("cart")[:30]]
            store.ledger().move(lease, LATER, "flow.held", held)
            store.release(lease, LATER)
        edit(here, renamed)
        document = here.plan(None).document
        (flow,) = document["flows"]
        assert (flow["action"], flow["entering"], flow["inside"][0]["steps"][0]["held"]) == ("move", 0, 30)
        assert here.apply(document).exit_code == 7, "somebody is held"
        here.run()
        with store_of(here) as store:
            assert Counter((one.flow, one.state) for one in store.ledger().places()) == {
                ("cart", "held"): 30, ("basket", "waiting"): 90,
            }  # fmt: skip
        assert sum(texts(here).values()) == 120


def test_friends_that_can_be_read_enter_by_themselves_and_shares_of_them_are_counted(tmp_path):
    flow = """
flow cart {
  start when friends EXCEPT uploaded(buyers)
  branch { arms.a -> send survey  otherwise -> send reminder }
}
split arms of friends { a 50%, b 50% } salt "s"
"""
    with shop(tmp_path) as here:
        here.write("main.aud", (HEAD + flow).replace('TOKEN")', 'TOKEN")  followers: readable'))
        outcome = here.plan(None)
        assert outcome.document is not None, outcome.diagnostics
        (found,) = outcome.document["flows"]
        first, second = (one["people"] for one in found["arms"])
        assert (found["entering"], first + second) == (80, 80) and 20 < first < 60
        assert here.apply(outcome.document).exit_code == 0
        assert texts(here) == {"how was it?": first, "still in your cart": second}


def test_who_stays_in_the_set_is_not_counted_as_entering_again(tmp_path):
    with shop(tmp_path, FLOW.replace("  send bye\n", "  send bye\n  reentry: always\n")) as here:
        here.apply(as_of=None)
        here.advance(3 * DAY + 60)
        here.run()
        assert here.plan(None).document["flows"][0]["entering"] == 0


def test_a_flow_that_is_given_up_takes_everybody_out_and_one_that_is_gone_does_not(tmp_path):
    with shop(tmp_path) as here:
        here.apply(as_of=None)
        edit(here, "")
        document = here.plan(None).document
        assert (document["flows"][0]["action"], document["flows"][0]["inside"][0]["what"]) == ("close", "finish")
        edit(here, "removed cart { delete }\n")
        document = here.plan(None).document
        assert document["flows"][0]["inside"][0]["what"] == "taken_out"
        assert "120 people inside are taken out" in said(document, "en")
        assert "120 人は外され" in said(document, "ja")
        assert here.apply(document).exit_code == 0
        here.advance(3 * DAY + 60)
        here.run()
        assert texts(here)["last call"] == 0


def test_a_flow_of_a_lost_state_begins_anew_only_if_a_person_says_so(tmp_path):
    with shop(tmp_path) as here:
        here.apply(as_of=None)
        for path in (tmp_path / ".audsql").glob("state*"):
            path.unlink()
        document = here.plan(None).document
        assert [one["code"] for one in document["guards"]] == ["AUD0775"]
        assert here.apply(as_of=None).exit_code == 5
        assert sum(texts(here).values()) == 120
        accepted = here.apply(as_of=None, accept_restart=frozenset({"cart"}), reason="the disk is gone")
        assert accepted.exit_code == 0


# --- looked at ------------------------------------------------------------------------------------------


def test_a_flow_is_shown_played_and_exported(tmp_path):
    with shop(tmp_path) as here:
        assert flowing.shown(here.opened(), "car").diagnostics[0].code == "AUD0780"
        assert "not applied yet" in flow_view.shown(flowing.shown(here.opened(), "cart").document, Style())
        before = {path for path in tmp_path.rglob("*") if path.name.startswith("state")}
        outcome = flow_play.play(here.opened(), "cart", 10, NOW)
        assert outcome.exit_code == 0, outcome.diagnostics
        turns = outcome.document["turns"]
        sent = [sum(row["count"] for row in one["sent"]) for one in turns]
        assert [(one["at"][:13], one["entered"], one["done"]) for one in turns] == [
            ("2026-11-21T10", 120, 0), ("2026-11-24T10", 0, 120),
        ]  # fmt: skip
        assert sent == [120, 120]
        assert here.inbox() == [] and {path for path in tmp_path.rglob("*") if path.name.startswith("state")} == before
        assert "`send survey` (step 1.1.1) to 40" in flow_view.played(outcome.document, Style())
        assert "120 人が入る" in flow_view.played(outcome.document, Style(language="ja"))
        assert flow_play.play(here.opened(), "cart", 0, None).diagnostics[0].code == "AUD0781"
        recipe = flowing.exported(here.opened(), "cart").document
        assert "Wait 3 days. Add a message step: bye." in flow_view.recipe(recipe, Style())
        assert "設定できないこと" in flow_view.recipe(recipe, Style(language="ja"))
        here.apply(as_of=None)
        shown = flowing.shown(here.opened(), "cart").document
        assert (shown["approved"], shown["next_due"][:10]) == ("yes", "2026-11-24")
        schema = json.loads((SCHEMAS / "flow.schema.json").read_text(encoding="utf-8"))
        for one in (shown, outcome.document, recipe):
            jsonschema.Draft202012Validator(schema).validate(one)
        assert "120 before `send bye` (step 3)" in flow_view.shown(shown, Style())
        assert "`send bye`（ステップ 3） の前に 120 人" in flow_view.shown(shown, Style(language="ja"))


def test_a_rehearsal_plays_a_flow_with_who_is_inside_and_sends_nothing(tmp_path):
    with shop(tmp_path) as here:
        here.apply(as_of=None)
        sent = texts(here)
        edit(here, FLOW + "flow other { start when uploaded(buyers)  send bye }\n")
        outcome = session.rehearse(here.opened(), None, session.ApplyOptions())
        assert outcome.exit_code == 0, outcome.diagnostics
        told = [(one["flow"], one["count"]) for one in outcome.document["events"] if one["event"] == "flow_sent"]
        assert told == [("other", 40), ("cart", 120)]
        assert texts(here) == sent
        assert here.plan(None).document["flows"][1]["action"] == "new"


def test_what_line_decides_is_not_played(tmp_path):
    flow = FLOW.replace("uploaded(buyers)", "gender(female)")
    with shop(tmp_path, flow) as here:
        assert flow_play.play(here.opened(), "cart", 3, NOW).diagnostics[-1].code == "AUD0782"


def test_the_commands_take_a_name_and_say_it_as_text_and_json(tmp_path):
    with shop(tmp_path) as here:
        assert here.command("flow", "show", "cart").stdout.startswith("cart: not applied yet")
        assert '"kind": "audsql.flow"' in here.command("flow", "show", "cart", "--json").stdout
        assert here.command("flow", "export", "cart").stdout.startswith("# cart: recipe")
        assert here.command("flow", "play", "cart", "--days", "400").returncode == 64
        assert here.command("flow", "show", "nothing").returncode == 1
