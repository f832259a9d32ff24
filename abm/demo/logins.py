"""Who signs in to the demo: three of the imported sellers, a marketer and an administrator, all with one password."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password
from django.contrib.auth.models import Group

from crm import access
from crm.models import User

# What each of them is, by the name to sign in with.
SELLERS = {"rep": "darcel.schlecht", "other rep": "cassey.cress", "lead": "melvin.marxen"}
MARKETING, ADMIN = "marketing", "admin"
USERNAMES = (*SELLERS.values(), MARKETING, ADMIN)


@dataclass(frozen=True)
class Login:
    """One line of the list of logins."""

    username: str
    role: str
    team: str


def sellers() -> dict[str, User]:
    """Give the three sellers by what they are."""
    found = User.objects.select_related("team").in_bulk(SELLERS.values(), field_name="username")
    return {what: found[username] for what, username in SELLERS.items()}


def make() -> None:
    """Make the marketer and the administrator, who are no sellers; nobody can sign in before `give` sets a password."""
    marketer, _new = User.objects.get_or_create(
        username=MARKETING, defaults={"first_name": "Noor", "last_name": "Admiraal", "is_staff": True, "password": make_password(None)}
    )
    marketer.groups.add(Group.objects.get(name=access.MARKETING))
    User.objects.get_or_create(
        username=ADMIN,
        defaults={"first_name": "Ada", "last_name": "Beheer", "is_staff": True, "is_superuser": True, "password": make_password(None)},
    )


def are_open() -> bool:
    """Say whether a password was set once, whichever it is now."""
    return not User.objects.filter(username__in=USERNAMES, password__startswith=UNUSABLE_PASSWORD_PREFIX).exists()


def have(password: str) -> bool:
    """Say whether the demo's administrator signs in with this password."""
    admin = User.objects.filter(username=ADMIN).first()
    return admin is not None and admin.check_password(password)


def give(password: str) -> None:
    """Give all of them this password."""
    # One hash for all: they share the password anyway, and each hash takes half a second.
    User.objects.filter(username__in=USERNAMES).update(password=make_password(password), is_staff=True)


def every() -> Iterator[Login]:
    """Yield the logins in the order in which to try them."""
    users = User.objects.select_related("team").prefetch_related("groups").in_bulk(USERNAMES, field_name="username")
    for username in USERNAMES:
        user = users[username]
        role = access.ADMINISTRATOR if user.is_superuser else ", ".join(group.name for group in user.groups.all())
        yield Login(username, role, user.team.name if user.team else "")
