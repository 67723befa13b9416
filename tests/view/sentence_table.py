"""Set expressions and their sentences, English and Japanese side by side: (expression, English, Japanese)."""

# ruff: noqa: E501

SENTENCES = [
    (
        "uploaded(buyers)",
        "People who are on the list buyers.",
        "リスト buyers に載っている人。",
    ),
    (
        "NOT uploaded(buyers)",
        "People who are not on the list buyers.",
        "リスト buyers に載っていない人。",
    ),
    (
        "NOT uploaded(buyers) AND NOT uploaded(optout)",
        "People who are not on the list buyers and are not on the list optout.",
        "リスト buyers に載っている人とリスト optout に載っている人以外のすべての人。",
    ),
    (
        "friends",
        "People who are friends of shop.",
        "shop の友だちである人。",
    ),
    (
        "friends EXCEPT uploaded(optout)",
        "People who are friends of shop, but are not on the list optout.",
        "shop の友だちである人。ただしリスト optout に載っている人を除く。",
    ),
    (
        "friends EXCEPT purchased(A) EXCEPT uploaded(optout)",
        "People who are friends of shop, but have not bought A and are not on the list optout.",
        "shop の友だちである人。ただしAを購入した人とリスト optout に載っている人を除く。",
    ),
    (
        "clicked(spring)",
        "People who clicked spring.",
        "spring をクリックした人。",
    ),
    (
        'clicked(spring, "https://example.com/a?b=1")',
        "People who clicked https://example.com/a?b=1 in spring.",
        "spring の https://example.com/a?b=1 をクリックした人。",
    ),
    (
        "opened(spring)",
        "People who opened spring.",
        "spring を開封した人。",
    ),
    (
        "received(summer)",
        "People who received summer.",
        "summer を受信した人。",
    ),
    (
        "opened(spring) OR clicked(spring)",
        "People who clicked spring or opened spring.",
        "spring をクリックしたか、spring を開封した人。",
    ),
    (
        "clicked(spring) OR NOT uploaded(buyers)",
        "People who clicked spring or are not on the list buyers.",
        "spring をクリックしたか、リスト buyers に載っていない人。",
    ),
    (
        "clicked(spring) AND purchased(A, last 90 days) EXCEPT uploaded(buyers)",
        "People who clicked spring and bought A in the last 90 days, but are not on the list buyers.",
        "spring をクリックし、過去90日間にAを購入した人。ただしリスト buyers に載っている人を除く。",
    ),
    (
        "(purchased(A) OR purchased(B)) AND clicked(spring)",
        "People who clicked spring and either bought A or bought B.",
        "spring をクリックし、Aを購入したか、Bを購入した人。",
    ),
    (
        "friends EXCEPT (purchased(A) OR uploaded(optout))",
        "People who are friends of shop, but have not bought A and are not on the list optout.",
        "shop の友だちである人。ただしAを購入した人とリスト optout に載っている人を除く。",
    ),
    (
        "purchased(A)",
        "People who bought A.",
        "Aを購入した人。",
    ),
    (
        "NOT purchased(A, last 90 days)",
        "People who have not bought A in the last 90 days.",
        "過去90日間にAを購入していない人。",
    ),
    (
        "purchased(A, B)",
        "People who bought A or B.",
        "AまたはBを購入した人。",
    ),
    (
        "purchased(*)",
        "People who bought anything.",
        "何かを購入した人。",
    ),
    (
        "friends EXCEPT purchased(*)",
        "People who are friends of shop, but have not bought anything.",
        "shop の友だちである人。ただし何かを購入した人を除く。",
    ),
    (
        "purchased(*, last 2 hours)",
        "People who bought anything in the last 2 hours.",
        "過去2時間に何かを購入した人。",
    ),
    (
        "purchased(A, last 1 day)",
        "People who bought A in the last day.",
        "過去1日間にAを購入した人。",
    ),
    (
        "purchased(A, last 30 minutes)",
        "People who bought A in the last 30 minutes.",
        "過去30分間にAを購入した人。",
    ),
    (
        "purchased(A, last 2 weeks)",
        "People who bought A in the last 14 days.",
        "過去14日間にAを購入した人。",
    ),
    (
        "purchased(A, since 2026-01-01)",
        "People who bought A from 2026-01-01 on.",
        "2026-01-01 以降にAを購入した人。",
    ),
    (
        "purchased(A, since 2026-01-01, before 2026-02-01 12:00)",
        "People who bought A from 2026-01-01 on and before 2026-02-01 12:00.",
        "2026-01-01 以降、2026-02-01 12:00 より前にAを購入した人。",
    ),
    (
        'purchased("A-12")',
        "People who bought A-12.",
        "A-12を購入した人。",
    ),
    (
        'purchased("夏の セット")',
        'People who bought "夏の セット".',
        "「夏の セット」を購入した人。",
    ),
    (
        "purchased(12)",
        "People who bought 12.",
        "12を購入した人。",
    ),
    (
        "purchased(A, at least 2 times)",
        "People who bought A at least 2 times.",
        "Aを購入した回数が2回以上である人。",
    ),
    (
        "purchased(A, B, at least 2 times, last 30 days)",
        "People who bought A or B at least 2 times in the last 30 days.",
        "過去30日間にAまたはBを購入した回数が2回以上である人。",
    ),
    (
        "purchased(A, exactly 1 time)",
        "People who bought A exactly once.",
        "Aを購入した回数がちょうど1回である人。",
    ),
    (
        "purchased(A, at most 3 times)",
        "People who are in the table orders and bought A at most 3 times.",
        "表 orders に載っていて、Aを購入した回数が3回以下である人。",
    ),
    (
        "purchased(A, at most 1 time)",
        "People who are in the table orders and bought A at most once.",
        "表 orders に載っていて、Aを購入した回数が1回以下である人。",
    ),
    (
        "purchased(A, exactly 0 times)",
        "People who are in the table orders and have not bought A.",
        "表 orders に載っていて、Aを購入していない人。",
    ),
    (
        "purchased(A, exactly 0 times) AND clicked(spring)",
        "People who clicked spring and are in the table orders and have not bought A.",
        "spring をクリックし、表 orders に載っていて、Aを購入していない人。",
    ),
    (
        "friends EXCEPT purchased(A, at least 2 times)",
        "People who are friends of shop, but are not among those who bought A at least 2 times.",
        "shop の友だちである人。ただしAを購入した回数が2回以上である人を除く。",
    ),
    (
        "purchased(A, amount >= 1000, last 90 days)",
        "People who bought A in the last 90 days where amount is at least 1000.",
        "過去90日間にA（amount が 1000以上）を購入した人。",
    ),
    (
        "purchased(A, sum(amount) >= 10000, last 90 days)",
        "People who bought A in the last 90 days, with a total amount of at least 10000.",
        "過去90日間にAを購入し、その amount の合計が 10000以上である人。",
    ),
    (
        "purchased(A, at least 2 times, sum(amount) >= 10000, latest status = done)",
        "People who bought A at least 2 times, with a total amount of at least 10000 and a latest status of done.",
        "Aを購入した回数が2回以上であり、その amount の合計が 10000以上、status の最新の値が doneである人。",
    ),
    (
        "orders()",
        "People who are in the table orders.",
        "表 orders に載っている人。",
    ),
    (
        "friends EXCEPT orders()",
        "People who are friends of shop, but are not in the table orders.",
        "shop の友だちである人。ただし表 orders に載っている人を除く。",
    ),
    (
        "orders(last 30 days)",
        "People who have a row in orders in the last 30 days.",
        "表 orders に過去30日間の行がある人。",
    ),
    (
        "orders(amount >= 1000, status in (done, paid))",
        "People who have a row in orders where amount is at least 1000 and status is done or paid.",
        "表 orders に行（amount が 1000以上、status が doneまたはpaid）がある人。",
    ),
    (
        "orders(amount >= 1000, last 30 days, at least 3 times)",
        "People who have at least 3 rows in orders in the last 30 days where amount is at least 1000.",
        "表 orders に過去30日間の行（amount が 1000以上）が3件以上ある人。",
    ),
    (
        "orders(status != done)",
        "People who have a row in orders where status is anything but done.",
        "表 orders に行（status が done以外）がある人。",
    ),
    (
        "orders(amount < 10)",
        "People who have a row in orders where amount is less than 10.",
        "表 orders に行（amount が 10未満）がある人。",
    ),
    (
        "orders(amount > 10)",
        "People who have a row in orders where amount is more than 10.",
        "表 orders に行（amount が 10を超える値）がある人。",
    ),
    (
        "orders(amount <= 10)",
        "People who have a row in orders where amount is at most 10.",
        "表 orders に行（amount が 10以下）がある人。",
    ),
    (
        "orders(paid_at >= 2026-01-01)",
        "People who have a row in orders where paid_at is 2026-01-01 or later.",
        "表 orders に行（paid_at が 2026-01-01 以降）がある人。",
    ),
    (
        "orders(coupon is missing, avg(amount) < 500)",
        "People who have a row in orders where coupon is missing, with an average amount of less than 500.",
        "表 orders に行（coupon が空）があり、その amount の平均が 500未満である人。",
    ),
    (
        "orders(coupon is given)",
        "People who have a row in orders where coupon is given.",
        "表 orders に行（coupon に値がある）がある人。",
    ),
    (
        "orders(max(amount) > 5, min(paid_at) >= 2026-01-01)",
        "People who are in the table orders, with a highest amount of more than 5 and a first paid_at of 2026-01-01 or later.",
        "表 orders に載っていて、その amount の最大が 5を超える値、paid_at の最初が 2026-01-01 以降である人。",
    ),
    (
        "orders(latest status != cancelled)",
        "People who are in the table orders, with a latest status of anything but cancelled.",
        "表 orders に載っていて、その status の最新の値が cancelled以外である人。",
    ),
    (
        "visited(last 30 days)",
        "People who have a row in orders in the last 30 days.",
        "表 orders に過去30日間の行がある人。",
    ),
    (
        "checkin(A) EXCEPT checkin(B)",
        "People who have a record of checkin for A, but have no record of checkin for B.",
        "Aの checkin の記録がある人。ただしBの checkin の記録がある人を除く。",
    ),
    (
        "checkin(A, at least 3 times)",
        "People who have a record of checkin for A at least 3 times.",
        "Aの checkin の記録がある回数が3回以上である人。",
    ),
    (
        'reviewed("a b")',
        'People who reviewed "a b".',
        "「a b」の reviewed の記録がある人。",
    ),
    (
        "linked(members)",
        "People who have a LINE user ID in members.",
        "ID連携 members に LINE ユーザーID がある人。",
    ),
    (
        "uploaded(phones) AND purchased(A)",
        "People who bought A and have the phone number, through the ID linkage members, of people who are on the list phones.",
        "Aを購入し、電話番号が、ID連携 members を通じて、リスト phones に載っている人のものである人。",
    ),
    (
        "gender(female)",
        "People who are female.",
        "みなし性別が女性である人。",
    ),
    (
        "NOT gender(female)",
        "People who are not female.",
        "みなし性別が女性ではない人。",
    ),
    (
        "gender(female) AND age(30..39)",
        "People who are aged 30 to 39 and are female.",
        "みなし年齢が30〜39歳であり、みなし性別が女性である人。",
    ),
    (
        "age(..19) OR age(50..)",
        "People who are aged 19 or younger or 50 or older.",
        "みなし年齢が19歳以下または50歳以上である人。",
    ),
    (
        "age(20..)",
        "People who are aged 20 or older.",
        "みなし年齢が20歳以上である人。",
    ),
    (
        "friends EXCEPT age(30..39)",
        "People who are friends of shop, but are not aged 30 to 39.",
        "shop の友だちである人。ただしみなし年齢が30〜39歳である人を除く。",
    ),
    (
        "area(tokyo, 神奈川) AND os(ios)",
        "People who are in Tokyo or Kanagawa and use iOS.",
        "みなし地域が東京または神奈川であり、みなしOSがiOSである人。",
    ),
    (
        "os(ios, android)",
        "People who use Android or iOS.",
        "みなしOSがAndroidまたはiOSである人。",
    ),
    (
        "friend_for(>= 90 days)",
        "People who have been friends for at least 90 days.",
        "みなし友だち期間が90日以上である人。",
    ),
    (
        "friend_for(< 30 days)",
        "People who have been friends for less than 30 days.",
        "みなし友だち期間が30日未満である人。",
    ),
    (
        "friend_for(30 days..89 days)",
        "People who have been friends for 30 to 89 days.",
        "みなし友だち期間が30〜89日である人。",
    ),
    (
        'chat_tag("VIP")',
        "People who have the chat tag VIP.",
        "チャットタグ VIP が付いている人。",
    ),
    (
        'friend_path("店頭")',
        "People who became friends through 店頭.",
        "経路 店頭 で友だちになった人。",
    ),
    (
        'rich_menu_clicked("summer")',
        "People who are in the LINE audience summer (rich menu clicks).",
        "LINE のオーディエンス summer（リッチメニュークリック）に入っている人。",
    ),
    (
        'shared("partner") EXCEPT uploaded(buyers)',
        "People who are in the LINE audience partner (shared audience), but are not on the list buyers.",
        "LINE のオーディエンス partner（共有オーディエンス）に入っている人。ただしリスト buyers に載っている人を除く。",
    ),
    (
        'sample(purchased(A), 10%, seed: "s")',
        "People who bought A and are in a fixed sample of 10% (seed s).",
        "Aを購入し、固定の10%の抽出（シード s）に入っている人。",
    ),
    (
        "sale_test.a",
        "People who bought A and are in arm a of the test sale_test (45%, chosen by a fixed hash).",
        "Aを購入し、テスト sale_test の a（45%、固定のハッシュで選択）に入っている人。",
    ),
    (
        "lookalike(uploaded(buyers), 3%)",
        "People who resemble people who are on the list buyers (3% of LINE's users, made in LINE Ads).",
        "LINE広告の類似オーディエンス（3%）として、リスト buyers に載っている人に似ている人。",
    ),
    (
        "(purchased(A) AND clicked(spring)) OR (purchased(B) AND opened(spring))",
        "People of whom at least one of these is true:\n"
        "  - all of this:\n"
        "    - they clicked spring\n"
        "    - they bought A\n"
        "  - all of this:\n"
        "    - they opened spring\n"
        "    - they bought B",
        "次のどれか一つ以上に当てはまる人:\n"
        "  - 次のすべて:\n"
        "    - spring をクリックした\n"
        "    - Aを購入した\n"
        "  - 次のすべて:\n"
        "    - spring を開封した\n"
        "    - Bを購入した",
    ),
    (
        "clicked(spring) EXCEPT (uploaded(buyers) AND purchased(A))",
        "People of whom all of this is true:\n"
        "  - they clicked spring\n"
        "  - but none of this:\n"
        "    - all of this:\n"
        "      - they bought A\n"
        "      - they are on the list buyers",
        "次のすべてに当てはまる人:\n"
        "  - spring をクリックした\n"
        "  - ただし、次のどれにも当てはまらない:\n"
        "    - 次のすべて:\n"
        "      - Aを購入した\n"
        "      - リスト buyers に載っている",
    ),
    (
        "NOT (uploaded(buyers) AND purchased(A))",
        "People of whom this is not true:\n  - all of this:\n    - they bought A\n    - they are on the list buyers",
        "次に当てはまらない人:\n  - 次のすべて:\n    - Aを購入した\n    - リスト buyers に載っている",
    ),
    (
        "lookalike(purchased(A) EXCEPT uploaded(buyers), 1.5%)",
        "People of whom all of this is true:\n"
        "  - they resemble (1.5%, made in LINE Ads) people of whom this is true:\n"
        "    - they bought A\n"
        "    - but none of this:\n"
        "      - they are on the list buyers",
        "次のすべてに当てはまる人:\n"
        "  - 次に当てはまる人に似ている（1.5%、LINE広告で作成）:\n"
        "    - Aを購入した\n"
        "    - ただし、次のどれにも当てはまらない:\n"
        "      - リスト buyers に載っている",
    ),
    (
        "(purchased(A) OR purchased(B)) AND (clicked(spring) OR opened(spring))",
        "People of whom all of this is true:\n"
        "  - at least one of these:\n"
        "    - they clicked spring\n"
        "    - they opened spring\n"
        "  - at least one of these:\n"
        "    - they bought A\n"
        "    - they bought B",
        "次のすべてに当てはまる人:\n"
        "  - 次のどれか一つ以上:\n"
        "    - spring をクリックした\n"
        "    - spring を開封した\n"
        "  - 次のどれか一つ以上:\n"
        "    - Aを購入した\n"
        "    - Bを購入した",
    ),
]
