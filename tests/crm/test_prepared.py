"""Questions whose SQL is written once answer every call with its own values, as Django's own would."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.permissions import OneQueryBackend
from crm import api_keys
from crm.models import ApiKey, User
from crm.prepared import Prepared
from tests.factories.crm import UserFactory

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def test_each_call_is_answered_with_its_own_values():
    people = [UserFactory(), UserFactory()]
    asked = Prepared(lambda pk, name: User.objects.filter(pk=pk, username=name).values_list("pk", "username"), int, str)
    for one in people:
        assert asked.rows(one.pk, one.username) == [(one.pk, one.username)]
    assert asked.rows(people[0].pk, people[1].username) == []


def test_two_values_of_one_kind_that_are_equal_stay_two():
    person = UserFactory()
    asked = Prepared(lambda low, high: User.objects.filter(pk__gte=low, pk__lte=high).values_list("pk"), int, int)
    assert asked.rows(person.pk, person.pk) == [(person.pk,)]
    assert asked.rows(person.pk + 1, person.pk) == []


def test_a_moment_bounds_what_is_found():
    key = api_keys.issue(user=UserFactory(), name="till noon", scopes=["all:read"], at=NOW, expires_at=NOW + timedelta(hours=1))
    assert api_keys.find(key.secret, at=NOW).pk == key.key.pk
    assert api_keys.find(key.secret, at=NOW + timedelta(hours=2)) is None


def test_a_key_that_is_found_holds_every_column_as_django_reads_it():
    issued = api_keys.issue(user=UserFactory(), name="all", scopes=["all:read", "deals:write"], at=NOW, expires_at=NOW + timedelta(hours=1))
    found, plain = api_keys.find(issued.secret, at=NOW), ApiKey.objects.select_related("user").get(pk=issued.key.pk)
    for record, other in [(found, plain), (found.user, plain.user)]:
        names = [field.attname for field in record._meta.concrete_fields]
        assert [getattr(record, name) for name in names] == [getattr(other, name) for name in names]


def test_a_key_and_its_user_are_found_in_one_query():
    issued = api_keys.issue(user=UserFactory(), name="one", scopes=["all:read"], at=NOW)
    with CaptureQueriesContext(connection) as captured:
        assert api_keys.find(issued.secret, at=NOW).user.username
    assert len(captured) == 1


def test_permissions_are_those_of_the_user_and_of_the_users_groups_and_nobody_elses():
    mine, of_group, of_others = Permission.objects.order_by("pk")[:3]
    group, other = Group.objects.create(name="a group"), UserFactory()
    group.permissions.add(of_group)
    other.user_permissions.add(of_others)
    person = UserFactory()
    person.groups.add(group)
    person.user_permissions.add(mine, of_group)
    named = {f"{one.content_type.app_label}.{one.codename}" for one in (mine, of_group)}
    assert OneQueryBackend().get_all_permissions(User.objects.get(pk=person.pk)) == named


def test_a_superuser_has_every_permission():
    person = UserFactory(is_superuser=True)
    assert len(OneQueryBackend().get_all_permissions(person)) == len({str(one.pk) for one in Permission.objects.all()})
