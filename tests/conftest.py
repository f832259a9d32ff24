"""What every test may ask for: a fixed moment, people of each role, and clients that are signed in."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.apps import AppConfig, apps
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models.signals import post_migrate
from django.dispatch import receiver
from django.test import Client
from django.utils import timezone, translation
from factory.random import reseed_random
from pytest_django import DjangoDbBlocker
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from crm import access
from crm.models import ApiKey, Team, User
from tests import clean_slate
from tests.factories.crm import TeamFactory, UserFactory
from tests.overlap import committed, two_at_once

__all__ = ["committed", "two_at_once"]  # fixtures for everybody

AT = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)


LONGEST_FIRST = ("browser", "flows", "scale", "abm", "doors")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, or one worker would end alone with them.

    Leave tests that need PostgreSQL out of the SQLite pass; the PostgreSQL pass runs every one of them.
    """
    from django.conf import settings

    items.sort(
        key=lambda item: LONGEST_FIRST.index(item.path.parent.name) if item.path.parent.name in LONGEST_FIRST else len(LONGEST_FIRST)
    )

    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        out = [item for item in items if item.get_closest_marker("postgres")]
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


def pytest_configure() -> None:
    """Hash passwords of tests with what takes no time; all that is about passwords is the same with any hash."""
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]


@receiver(post_migrate)
def grant_roles_again(sender: AppConfig, **_migration: object) -> None:
    """Give the groups of the migrations back after a transactional test, whose flush takes every row with it."""
    if sender.name == "abm" and "crm_user" in connection.introspection.table_names():
        for app in ("crm", "abm"):
            access.grant_roles(apps, app)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Begin with a database that is migrated already, if the run has made one."""
    if connection.vendor == "sqlite" and (ready := os.environ.get("MIGRATED_SQLITE")):
        clean_slate.begin_with(ready)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Remember what a fresh database holds, for the end of every transactional test."""
    with django_db_blocker.unblock():
        clean_slate.install(clean_slate.remember())


@pytest.fixture(autouse=True)
def same_names_every_time() -> None:
    """Let the factories invent the same people in every run of a test, and speak English, whatever the last request spoke."""
    reseed_random(0)
    translation.activate("en")


@pytest.fixture(autouse=True)
def media(tmp_path: Path, settings: Settings) -> Path:
    """Keep files that a test writes, or sweeps, in a folder of its own."""
    folder = tmp_path / "media"
    files = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": folder}}
    settings.STORAGES = settings.STORAGES | {"default": files}
    return folder


@pytest.fixture(autouse=True)
def counted_apart(tmp_path: Path, settings: Settings) -> None:
    """Count the calls of each test for itself."""
    settings.LIMITS_STORE = str(tmp_path / "limits")


@pytest.fixture
def at() -> datetime:
    """The moment at which every test happens."""
    return AT


def somebody(role: str, *, team: Team | None = None, **facts: object) -> User:
    """Make a user with one of the five roles."""
    user = UserFactory(team=team, is_staff=True, **facts)
    user.groups.add(Group.objects.get(name=role))
    return user


@pytest.fixture
def team(db: None) -> Team:
    return TeamFactory()


@pytest.fixture
def rep(team: Team) -> User:
    """A sales rep in `team`."""
    return somebody("sales rep", team=team)


@pytest.fixture
def lead(team: Team) -> User:
    """The lead of `team`."""
    return somebody("team lead", team=team)


@pytest.fixture
def outsider(db: None) -> User:
    """A sales rep in another team."""
    return somebody("sales rep", team=TeamFactory())


@pytest.fixture
def marketer(db: None) -> User:
    return somebody("marketing")


@pytest.fixture
def admin_user(db: None) -> User:
    return UserFactory(is_staff=True, is_superuser=True)


def api_client(user: User) -> APIClient:
    """Give a client that calls the API with a key of this user."""
    client = APIClient()
    # Its use was noted just now: a call is the same number of queries, the first as the second.
    _, key = ApiKey.objects.create(user=user, name="test", last_used_at=timezone.now())
    client.credentials(HTTP_AUTHORIZATION=f"Token {key}")
    return client


@pytest.fixture
def rep_api(rep: User) -> APIClient:
    return api_client(rep)


@pytest.fixture
def rep_client(rep: User, client: Client) -> Client:
    """A browser in which the rep is signed in."""
    client.force_login(rep)
    return client
