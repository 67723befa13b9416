"""What the policies of a project take away from an export.

A delivery never reaches whom a policy keeps away, and a file for LINE's own screens must not go around that. The
sets of policies are of user ids; here each becomes a set of the ids that are exported. Where a rule cannot be told
from the data alone, as many are taken away as it can mean; where even that is not known, the export is refused.
Rules: specs/operations.md, export.policies.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from audsql.diag import Diagnostic, error
from audsql.meaning import ir
from audsql.meaning.types import linkages, mapped_through
from audsql.records import dataclass
from audsql.session.project import Opened

__all__ = ["Denial", "denials"]


@dataclass(frozen=True, slots=True)
class Denial:
    """One rule: who is taken away, as ids of the exported kind, over own data. `rule`: `always except` or `require`.
    `whole`: whether nobody else can be meant, False where a part of the rule was accepted as not known."""

    policy: str
    rule: str
    expression: ir.Expression
    whole: bool = True


@dataclass(frozen=True, slots=True)
class _Rule:
    policy: str
    rule: str
    denied: ir.Expression


def denials(
    opened: Opened, kind: ir.IdKind, accepted: Set[str], around: Set[str]
) -> tuple[tuple[Denial, ...], tuple[Diagnostic, ...]]:
    """The rules that an export is subject to, in their order. AUD1088 for each that cannot be applied and is not
    accepted. `accepted`: policies of which only what the data say is applied. `around`: those that are left out."""
    found: list[Denial] = []
    problems: list[Diagnostic] = []
    for rule in _rules(opened):
        if rule.policy in around:
            continue
        expression, atom = _by_data(rule.denied)
        unlinked = expression is not None and _as_kind(opened, expression, kind) is None
        if atom is not None or unlinked:
            if rule.policy not in accepted:
                missing = kind if unlinked else None
                problems.append(error("AUD1088", None, policy=rule.policy, atom=atom, kind=missing))
                continue
            expression = _surely(rule.denied)
        as_kind = None if expression is None else _as_kind(opened, expression, kind)
        if as_kind is not None and as_kind != ir.NOBODY:
            found.append(Denial(rule.policy, rule.rule, as_kind, atom is None and not unlinked))
    return tuple(found), tuple(problems)


def _rules(opened: Opened) -> Iterator[_Rule]:
    """Whom each rule denies. Exceptions name deliveries, so an export is none of them."""
    assert opened.analysis is not None
    project = opened.analysis.project
    for policy in project.policies:
        yield _Rule(policy.name, "always except", policy.expression)
    friends = {atom.key for rule in project.requirements if isinstance(rule, ir.RequireWithin)
               for atom in ir.atoms_of(rule.expression) if isinstance(atom, ir.Friends)}  # fmt: skip
    for rule in project.requirements:
        if isinstance(rule, ir.RequireWithin):
            # LINE delivers to friends alone, whatever a file holds.
            within = ir.substitute(rule.expression, dict.fromkeys(friends, ir.EVERYBODY))
            yield _Rule(rule.name, "require", ir.lnot(within))


def _by_data(denied: ir.Expression) -> tuple[ir.Expression | None, str | None]:
    """Everybody who can be denied, over own data; else the atom that hides it. (None, atom) where nothing bounds it."""
    from audsql.compile.bounds import TooMany, bounds

    opaque = [atom.key for atom in ir.atoms_of(denied) if atom.world != "own"]
    if not opaque:
        return denied, None
    try:
        high = bounds(denied)[1]
    except TooMany:
        high = None
    return high, opaque[0] if high is None else None


def _surely(denied: ir.Expression) -> ir.Expression | None:
    """Those who are denied whatever LINE holds."""
    from audsql.compile.bounds import TooMany, bounds

    try:
        return bounds(denied)[0]
    except TooMany:
        return None


def _as_kind(opened: Opened, denied: ir.Expression, kind: ir.IdKind) -> ir.Expression | None:
    """A set of user ids as ids of another kind; None where the data do not connect them.

    An id is denied where a person who is denied has it. One that a list of its own kind names is denied besides,
    also where no table knows whose it is.
    """
    if kind == "user_id" or isinstance(denied, ir.Constant):
        return denied
    assert opened.analysis is not None
    scope = opened.analysis.scope
    tables = linkages("user_id", kind, scope.tables.values(), scope.accounts.get(scope.account))
    table = tables[0] if len(tables) == 1 else None
    if ir.evaluate(denied, frozenset()):
        # All but some: allowed is who is among these.
        allowed = None if table is None else mapped_through(ir.lnot(denied), "user_id", kind, table)
        return None if allowed is None else ir.lnot(allowed)
    own: dict[str, ir.Expression] = {}
    for atom in ir.atoms_of(denied):
        if isinstance(atom, ir.Mapped) and atom.kind == kind:
            own[atom.key] = atom.inner
        elif isinstance(atom, ir.Bucket):
            return None if table is None else mapped_through(denied, "user_id", kind, table)
        elif table is None:
            return None
        else:
            own[atom.key] = mapped_through(ir.leaf(atom), "user_id", kind, table)
    by_itself = ir.substitute(denied, own)
    return by_itself if table is None else ir.lor(by_itself, mapped_through(denied, "user_id", kind, table))
