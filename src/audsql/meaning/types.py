"""Types of sets: the kind of id that their members are, and whose accounts and providers they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from audsql.diag import Diagnostic, Label, error
from audsql.meaning import ir
from audsql.meaning.lineage import deep_atoms
from audsql.meaning.words import atom_words
from audsql.records import dataclass
from audsql.source import Span, made_often

__all__ = [
    "ID_KINDS",
    "Use",
    "check_belongs",
    "kind_problem",
    "linkages",
    "localise",
    "mapped_through",
    "opaque_atoms",
]

ID_KINDS: tuple[ir.IdKind, ...] = ("user_id", "member_id", "phone", "email", "ifa")


@made_often
@dataclass(frozen=True, slots=True)
class Use:
    """A place in an expression that names a set, and the set. `by_name`: through an audience's name."""

    span: Span
    expression: ir.Expression = field(repr=False)
    by_name: bool = False


def linkages(
    left: ir.IdKind, right: ir.IdKind, tables: Iterable[ir.TableSource], account: ir.Account | None
) -> tuple[ir.TableSource, ...]:
    """The tables that hold both kinds of id, by name. Where several do, those of the account's provider alone."""
    both = [table for table in tables if {left, right} <= {kind for kind, _ in table.ids}]
    own = [table for table in both if account is not None and table.provider in ("", account.provider)]
    return tuple(sorted(own if own and len(both) > 1 else both, key=lambda table: table.name))


def kind_problem(
    left: ir.IdKind, right: ir.IdKind, found: Sequence[ir.TableSource], here: Span, there: Span | None
) -> Diagnostic:
    """Two sets of different id kinds that an operator joins, and not one linkage that connects them but none or
    several (specs/language/04-sets.md, `sets.kinds`, `sets.linkage`)."""
    labels = [Label(there, "other")] if there else []
    if found:
        labels += [Label(table.span, "linkage") for table in found if table.span]
        names = tuple(table.name for table in found)
        return error("AUD0390", here, labels=labels, left=left, right=right, tables=names)
    return error("AUD0340", here, labels=labels, left=left, right=right)


def mapped_through(expression: ir.Expression, kind: ir.IdKind, to: ir.IdKind, table: ir.TableSource) -> ir.Expression:
    """The set as ids of another kind; nobody stays nobody."""
    if expression == ir.NOBODY:
        return ir.NOBODY
    return ir.leaf(ir.Mapped(table.name, kind, expression, to))


def localise(expression: ir.Expression, account: str) -> ir.Expression:
    """The expression for one delivering account: `friends` and what is found by name become that account's.

    A mapped set is of own data alone; a look-alike stays as it is, for no delivery can use it.
    """
    found: dict[str, ir.Expression] = {}
    for atom in ir.atoms_of(expression):
        match atom:
            case ir.Friends(""):
                found[atom.key] = ir.leaf(ir.Friends(account))
            case ir.RemoteAudience("", kind, name):
                found[atom.key] = ir.leaf(ir.RemoteAudience(account, kind, name))
    return ir.substitute(expression, found) if found else expression


def opaque_atoms(expression: ir.Expression) -> tuple[ir.Atom, ...]:
    """The atoms whose members can never be listed, `friends` aside (multicast reaches friends only)."""
    return tuple(a for a in ir.atoms_of(expression) if a.world != "own" and not isinstance(a, ir.Friends))


def check_belongs(
    uses: Iterable[Use],
    account: ir.Account,
    deliveries: Mapping[str, ir.Delivery],
    sources: Mapping[str, ir.UploadSource | ir.TableSource],
) -> Iterator[Diagnostic]:
    """Sets that the account cannot use: another account's clicks, another provider's ids, another region's areas."""
    for use in uses:
        for atom in deep_atoms(use.expression):
            problem = _belongs(atom, use.span, account, deliveries, sources)
            if problem is not None:
                yield problem


def _belongs(
    atom: ir.Atom,
    span: Span,
    account: ir.Account,
    deliveries: Mapping[str, ir.Delivery],
    sources: Mapping[str, ir.UploadSource | ir.TableSource],
) -> Diagnostic | None:
    match atom:
        case ir.Clicked(name) | ir.Opened(name) | ir.Received(name):
            other = deliveries.get(name)
            if other is None or not other.account or other.account == account.name:
                return None
            labels = [Label(other.span, "declared")] if other.span else []
            return error(
                "AUD0345", span, labels=labels, atom=atom_words(atom), other=other.account, account=account.name
            )
        case ir.Uploaded(name) | ir.Rows(name) | ir.Linked(name) | ir.Mapped(name):
            return _provider_problem(sources.get(name), span, account)
        case ir.Attribute("area", value) if not value.startswith(f"{account.region}_"):
            return error("AUD0323", span, atom=atom_words(atom), region=account.region, account=account.name)
        case _:
            return None


def _provider_problem(
    source: ir.UploadSource | ir.TableSource | None, span: Span, account: ir.Account
) -> Diagnostic | None:
    if source is None or not source.provider or not account.provider or source.provider == account.provider:
        return None
    labels = [Label(source.span, "declared")] if source.span else []
    return error(
        "AUD0343",
        span,
        labels=labels,
        source=source.name,
        source_provider=source.provider,
        account=account.name,
        account_provider=account.provider,
    )
