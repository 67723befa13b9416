"""Shares of a set by a hash of each id: `split` with its arms, `sample`; and `lookalike`, which no data holds.

Normative: specs/language/04-sets.md, `sets.bucket`, `sets.split`, `sets.sample`, `sets.lookalike`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal

from audsql.diag import Bag, Diagnostic, Label, error
from audsql.line.limits import LOOKALIKE_PERCENT_MAX, LOOKALIKE_PERCENT_MIN
from audsql.meaning import ir
from audsql.meaning.calls import UNKNOWN, Meaning, Scope
from audsql.meaning.lineage import deep_atoms
from audsql.meaning.names import fix_near, nearest, unknown_parameter, written
from audsql.meaning.words import atom_words
from audsql.source import Span
from audsql.syntax import ast
from audsql.syntax.text import expression_text

__all__ = [
    "BUCKETS", "arm_bucket", "arm_of", "as_friends", "bucket_of", "lower_lookalike", "lower_sample",
    "lower_split",
]  # fmt: skip

BUCKETS = 100 * 100
"""Buckets are hundredths of a percent."""

_HASH_BYTES = 4
_SAMPLE_EXAMPLE = 'sample(buyers, 10%, seed: "2026")'
_LOOKALIKE_EXAMPLE = "lookalike(buyers, 3%)"


def bucket_of(salt: str, member: str) -> int:
    """The bucket of an id, from 0: the first 32 bits, big-endian, of SHA-256 of UTF-8 `salt:id`, modulo 10,000."""
    digest = hashlib.sha256(f"{salt}:{member}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:_HASH_BYTES], "big") % BUCKETS


# --- sample and lookalike ---------------------------------------------------------------------------


def lower_sample(call: ast.Call, subject: Meaning | None, scope: Scope, bag: Bag) -> Meaning:
    """`sample(x, 10%, seed: "s")`: those of a listable set in the first so many buckets."""
    kind = subject.kind if subject else None
    weight = _share(call, _SAMPLE_EXAMPLE, bag)
    # Who writes no percentage is shown the whole form, with its seed.
    seed = None if weight is None else _seed(call, bag)
    if weight is None or seed is None or subject is None or subject.expression is None:
        return Meaning(None, kind)
    hundredths = _hundredths(weight, "sample", bag)
    at = call.arguments.subject.span if call.arguments.subject else call.span
    if not _is_listable(subject.expression, "sample", "", at, scope, bag) or hundredths is None:
        return Meaning(None, kind)
    salt, label = f"sample:{seed}", expression_text(call)
    listed = with_followers(subject.expression, scope)
    return Meaning(ir.land(listed, _share_of(salt, 0, hundredths, label)), kind)


def lower_lookalike(call: ast.Call, subject: Meaning | None, bag: Bag) -> Meaning:
    """`lookalike(x, 3%)`: a name for what LINE Ads makes, of any set that is none itself."""
    weight = _share(call, _LOOKALIKE_EXAMPLE, bag)
    if weight is None or subject is None:
        return Meaning(None, "user_id")
    if call.arguments.named:
        bag.add(error("AUD0320", call.arguments.named[0][0].span, call="lookalike", example=_LOOKALIKE_EXAMPLE))
        return Meaning(None, "user_id")
    hundredths = _hundredths(weight, "lookalike", bag)
    if hundredths is None or subject.expression is None:
        return Meaning(None, "user_id")
    if not LOOKALIKE_PERCENT_MIN * 100 <= hundredths <= LOOKALIKE_PERCENT_MAX * 100:
        low, high = LOOKALIKE_PERCENT_MIN, LOOKALIKE_PERCENT_MAX
        bag.add(error("AUD0368", weight.span, percent=_percent(weight.value), minimum=low, maximum=high))
        return Meaning(None, "user_id")
    if any(isinstance(atom, ir.Lookalike) for atom in deep_atoms(subject.expression)):
        bag.add(error("AUD0367", call.span, what="lookalike", name=expression_text(call)))
        return Meaning(None, "user_id")
    return Meaning(ir.leaf(ir.Lookalike(subject.expression, hundredths)), "user_id")


def _share(call: ast.Call, example: str, bag: Bag) -> ast.Percent | None:
    """The percentage that follows the set, and nothing else."""
    arguments = call.arguments
    if arguments.subject is not None and len(arguments.values) == 1 and not arguments.conditions:
        value = arguments.values[0]
        if isinstance(value, ast.Percent):
            return value
        if isinstance(value, ast.Word):
            bag.add(unknown_parameter(value))
            return None
    bag.add(error("AUD0320", call.span, call=call.name.text, example=example))
    return None


def _seed(call: ast.Call, bag: Bag) -> str | None:
    """The seed of a sample; whatever else is named has no place there."""
    named = {name.text: value for name, value in call.arguments.named}
    if len(call.arguments.named) > 1 or named.keys() - {"seed"}:
        bag.add(error("AUD0320", call.span, call="sample", example=_SAMPLE_EXAMPLE))
        return None
    seed = named.get("seed")
    if isinstance(seed, ast.Word) and not seed.quoted:
        bag.add(unknown_parameter(seed))
        return None
    if isinstance(seed, ast.Text) and seed.text:
        return seed.text
    bag.add(error("AUD0360", seed.span if seed else call.span, example=_SAMPLE_EXAMPLE))
    return None


def _hundredths(weight: ast.Percent, what: str, bag: Bag) -> int | None:
    """A percentage above 0 and up to 100 in hundredths of a percent."""
    hundredths = weight.value * 100
    if 0 < hundredths <= BUCKETS and hundredths == int(hundredths):
        return int(hundredths)
    bag.add(error("AUD0361", weight.span, part=what, weight=_percent(weight.value)))
    return None


def _percent(value: Decimal) -> str:
    return f"{format(value.normalize(), 'f')}%"


def _share_of(salt: str, low: int, high: int, label: str) -> ir.Expression:
    """The bucket as an expression; a share of everything is everybody."""
    return ir.EVERYBODY if (low, high) == (0, BUCKETS) else ir.leaf(ir.Bucket(salt, low, high, label))


# --- listable sets ----------------------------------------------------------------------------------


def _is_listable(expression: ir.Expression, what: str, name: str, span: Span, scope: Scope, bag: Bag) -> bool:
    """Whether own data alone says who is in the set; if not, why not has been told."""
    problem = _opaque_problem(expression, what, name, span, scope)
    if problem is not None:
        bag.add(problem)
    return problem is None


def with_followers(expression: ir.Expression, scope: Scope) -> ir.Expression:
    """The set with its friends as a list, where the account may read them."""
    readable = {name for name, account in scope.accounts.items() if account.followers_readable}
    friends = (atom for atom in ir.atoms_of(expression) if isinstance(atom, ir.Friends) and atom.account in readable)
    return ir.substitute(expression, {atom.key: ir.leaf(ir.Followers(atom.account)) for atom in friends})


def as_friends(expression: ir.Expression) -> ir.Expression:
    """The set with `friends` where it has them as a list: in a test, who LINE lists is who is a friend."""
    listed = (atom for atom in ir.atoms_of(expression) if isinstance(atom, ir.Followers))
    return ir.substitute(expression, {atom.key: ir.leaf(ir.Friends(atom.account)) for atom in listed})


def _opaque_problem(expression: ir.Expression, what: str, name: str, span: Span, scope: Scope) -> Diagnostic | None:
    opaque = [atom for atom in ir.atoms_of(with_followers(expression, scope)) if atom.world != "own"]
    held = next((atom for atom in opaque if not isinstance(atom, ir.Friends)), None)
    verbs = {table: source.verbs for table, source in scope.tables.items() if source.verbs}
    if held is not None:
        return error("AUD0357", span, what=what, name=name, atom=atom_words(held, verbs))
    if opaque:
        return error("AUD0358", span, what=what, name=name)
    if ir.evaluate(expression, frozenset()):
        return error("AUD0359", span, what=what, name=name)
    return None


# --- split ------------------------------------------------------------------------------------------


def lower_split(node: ast.Split, meaning: Meaning, scope: Scope, bag: Bag) -> ir.Split | None:
    """The split with its arms, each with its buckets; None where it has errors.

    `meaning` is that of the split set. The account is left to who knows the project.
    """
    name = node.name.text
    salt = _salt(node, bag)
    weights = _weights(node, bag)
    whole, expression = _sums_up(node, weights, bag), meaning.expression
    if expression is None or not _is_listable(expression, "split", name, node.expression.span, scope, bag):
        return None
    if salt is None or not whole:
        return None
    expression = with_followers(expression, scope)
    arms: list[ir.SplitArm] = []
    low = 0
    for arm, weight in zip(node.arms, weights, strict=True):
        high = low + (weight or 0)
        label = f"{written(name)}.{written(arm.name.text)}"
        share = ir.land(expression, _share_of(salt, low, high, label))
        arms.append(ir.SplitArm(arm.name.text, high - low, share))
        low = high
    kind = meaning.kind or "user_id"
    text = expression_text(node.expression)
    return ir.Split(name, expression, text, salt, tuple(arms), kind, description=node.description, span=node.name.span)


def _salt(node: ast.Split, bag: Bag) -> str | None:
    if isinstance(node.salt, ast.Word):
        bag.add(unknown_parameter(node.salt))
        return None
    if node.salt is None or not node.salt.text:
        span = node.salt.span if node.salt else node.name.span
        bag.add(error("AUD0364", span, split=node.name.text))
        return None
    return node.salt.text


def _weights(node: ast.Split, bag: Bag) -> tuple[int | None, ...]:
    """The weight of each arm in hundredths of a percent, None where it has errors; names stand once."""
    first: dict[str, ast.Arm] = {}
    found: list[int | None] = []
    for arm in node.arms:
        known = first.setdefault(arm.name.text, arm)
        if known is not arm:
            labels = [Label(known.name.span, "first")]
            bag.add(error("AUD0363", arm.name.span, labels=labels, split=node.name.text, arm=arm.name.text))
        if isinstance(arm.weight, ast.Word):
            bag.add(unknown_parameter(arm.weight))
            found.append(None)
        else:
            found.append(_hundredths(arm.weight, arm.name.text, bag))
    return tuple(None if first[arm.name.text] is not arm else one for arm, one in zip(node.arms, found, strict=True))


def _sums_up(node: ast.Split, weights: Sequence[int | None], bag: Bag) -> bool:
    """Whether the weights are known and come to 100%; if they are and do not, it is told."""
    known = [weight for weight in weights if weight is not None]
    if len(known) < len(weights):
        return False
    total = sum(known)
    if total == BUCKETS:
        return True
    missing, over = BUCKETS - total, total - BUCKETS
    bag.add(
        error(
            "AUD0362",
            node.name.span,
            split=node.name.text,
            sum=_percent(Decimal(total) / 100),
            missing=_percent(Decimal(missing) / 100) if missing > 0 else None,
            over=_percent(Decimal(over) / 100) if over > 0 else None,
        )
    )
    return False


def arm_of(node: ast.Reference, scope: Scope, bag: Bag) -> Meaning:
    """`sale_test.a`: one arm of a declared split."""
    name, member = node.name.text, node.member
    split = scope.splits.get(name)
    if split is None or member is None:
        return UNKNOWN
    for arm in split.arms:
        if arm.name == member.text:
            return Meaning(arm.expression, split.id_kind)
    arms = tuple(arm.name for arm in split.arms)
    near = nearest(member.text, arms)
    labels = [Label(split.span, "declared")] if split.span else []
    fixes = fix_near(member.span, near)
    bag.add(
        error("AUD0365", member.span, labels=labels, fixes=fixes, split=name, arm=member.text, near=near, arms=arms)
    )
    return Meaning(None, split.id_kind)


def arm_bucket(split: ir.Split, arm: str) -> ir.Bucket | None:
    """The bucket of an arm; None for an arm of 100%, which is the whole set."""
    low = 0
    for one in split.arms:
        if one.name == arm:
            share = _share_of(split.salt, low, low + one.hundredths, f"{written(split.name)}.{written(arm)}")
            return share.atom if isinstance(share, ir.Leaf) and isinstance(share.atom, ir.Bucket) else None
        low += one.hundredths
    return None
