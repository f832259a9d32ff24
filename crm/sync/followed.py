"""Which records can be followed, whom they are in sight of, and what else their shown fields come from."""

from dataclasses import dataclass

from django.db.models import Model

from crm.models import Account, Activity, Contact, Delivery, DmuMembership, FollowUp, Opportunity, Person, Pilot

# SQL: the account, owner and team by which somebody saw a row `o`, and where these stand.
AT_ACCOUNT = "o.account_id, a.owner_id, a.team_id FROM {o} LEFT JOIN crm_account AS a ON a.id = o.account_id"
_AT_DEAL = "d.account_id, {whose}.owner_id, {whose}.team_id FROM {{o}} LEFT JOIN crm_opportunity AS d ON d.id = o.opportunity_id{more}"


@dataclass(frozen=True)
class Followed:
    """Records of one model that a copy can be kept of.

    `lies_at`: SQL that joins rows `k` to a change of sight `s` of their account; empty: they lie at none.
    `seen_by`: SQL by whom a row that goes was seen; empty: it goes with another, which is told of.
    `moved_by`: columns whose change takes a row out of somebody's sight.
    `shows`: relations from which it shows fields, or takes who sees it; their change is its change.
    """

    model: type[Model]
    lies_at: str = "k.account_id = s.account_id"
    seen_by: tuple[str, ...] = (AT_ACCOUNT,)
    moved_by: tuple[str, ...] = ("account_id",)
    columns: tuple[str, ...] = ("account_id",)
    shows: tuple[str, ...] = ()
    person: str = "NULL"

    @property
    def kind(self) -> str:
        """Name the model as Django does."""
        return self.model._meta.label_lower

    @property
    def table(self) -> str:
        """Name the table."""
        return self.model._meta.db_table


@dataclass(frozen=True)
class Part:
    """Rows that are shown with another record: one written or deleted counts as a change of that record."""

    model: type[Model]
    column: str
    whole: type[Model]


_FOLLOWED: dict[str, Followed] = {}
_PARTS: list[Part] = []


def follow(*all_of: Followed) -> None:
    """Have the records of models followed; apps above crm do so at start."""
    _FOLLOWED.update({one.kind: one for one in all_of})


def is_part(model: type[Model], column: str, *, of: type[Model]) -> None:
    """Say that rows of a model are shown with the record that a column names."""
    if (part := Part(model, column, of)) not in _PARTS:
        _PARTS.append(part)


def every() -> list[Followed]:
    """List what is followed."""
    return list(_FOLLOWED.values())


def parts() -> list[Part]:
    """List what is shown with others."""
    return list(_PARTS)


def of(model: type[Model]) -> Followed:
    """Give how a model is followed."""
    return _FOLLOWED[model._meta.label_lower]


def of_person() -> Followed:
    """Give what takes a person out of sight: contacts."""
    return of(Contact)


def owned(model: type[Model]) -> Followed:
    """Follow records that lie at no account, and are in sight of their owner and team."""
    return Followed(model, lies_at="", seen_by=("NULL, o.owner_id, o.team_id FROM {o}",), moved_by=_OWN, columns=_OWN)


_OWN = ("owner_id", "team_id")
follow(
    Followed(
        Account, lies_at="k.id = s.account_id", seen_by=("o.id, o.owner_id, o.team_id FROM {o}",), moved_by=(), columns=_OWN
    ),
    Followed(Contact, columns=("account_id", "person_id"), person="o.person_id", shows=("person",)),
    # A person is in sight with a contact, and out of sight with the last one.
    Followed(
        Person, lies_at="k.id IN (SELECT c.person_id FROM crm_contact AS c WHERE c.account_id = s.account_id)", seen_by=(), moved_by=(),
        shows=("contacts",),
    ),
    Followed(DmuMembership),
    Followed(
        Opportunity, seen_by=(AT_ACCOUNT, "o.account_id, o.owner_id, o.team_id FROM {o}"), moved_by=("account_id", *_OWN),
        columns=("account_id", *_OWN),
    ),
    Followed(
        Pilot, lies_at="k.opportunity_id IN (SELECT d.id FROM crm_opportunity AS d WHERE d.account_id = s.account_id)",
        seen_by=(
            _AT_DEAL.format(whose="a", more=" LEFT JOIN crm_account AS a ON a.id = d.account_id"), _AT_DEAL.format(whose="d", more=""),
        ),
        moved_by=("opportunity_id",), columns=("opportunity_id",), shows=("opportunity",),
    ),
    Followed(Activity),
    Followed(Delivery),
    Followed(
        FollowUp, seen_by=(AT_ACCOUNT, "o.account_id, o.owner_id, NULL FROM {o}"), moved_by=("account_id", "owner_id"),
        columns=("account_id", "owner_id"), shows=("account", "opportunity", "contact__person"),
    ),
)  # fmt: skip
