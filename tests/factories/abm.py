"""The smallest valid records of abm; no business rule inside."""

from datetime import date

import factory
from factory.django import DjangoModelFactory

from abm import models
from tests.factories.crm import AT, AccountFactory


class ProfileFactory(DjangoModelFactory):
    class Meta:
        model = models.IdealCustomerProfile

    name = factory.Sequence(lambda n: f"Profiel {n}")
    is_active = True


class ScoreParametersFactory(DjangoModelFactory):
    class Meta:
        model = models.ScoreParameters
        django_get_or_create = ("version",)

    version = "test"
    numbers = factory.LazyFunction(dict)
    first_used_at = AT


class EngagementScoreFactory(DjangoModelFactory):
    class Meta:
        model = models.EngagementScore

    account = factory.SubFactory(AccountFactory)
    day = date(2026, 3, 1)
    weighted_points = 50.0
    breadth = 1.0
    x = 50.0
    score = 50
    parameters = factory.SubFactory(ScoreParametersFactory)


class StandingFactory(DjangoModelFactory):
    class Meta:
        model = models.AccountStanding

    account = factory.SubFactory(AccountFactory)
    as_of = date(2026, 3, 1)
    fit = 0
    score = 0
    momentum = 0
    coverage_percent = 0
    refreshed_at = AT


class PhaseChangeFactory(DjangoModelFactory):
    class Meta:
        model = models.PhaseChange

    account = factory.SubFactory(AccountFactory)
    day = date(2026, 3, 1)
    from_phase = models.Phase.DREAM
    phase = models.Phase.RESEARCH
    overlap = models.Phase.CONSIDER
    stayed_days = 12
    evidence = factory.LazyFunction(lambda: [{"phase": "research", "sign": "material", "count": 2, "days": 60, "of": 1}])
