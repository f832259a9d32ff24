"""Who may do what: the five roles as groups, and the rule for one record."""

from collections.abc import Callable
from typing import Any

import rules
from django.apps import apps as live_apps
from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import AnonymousUser
from django.db.models import BooleanField, ExpressionWrapper, Model, Q, QuerySet, Value

from crm.models import Account, Opportunity, Person, Team, User
from crm.models.users import Sight, owned_within_sight, sight

SALES_REP, TEAM_LEAD, MARKETING, ADMINISTRATOR, INTEGRATION = "sales rep", "team lead", "marketing", "administrator", "integration"

# Verbs per model that a role may do; the last part of a permission is the model's name in lower case.
_SELLING = {
    "crm": {
        "account": "view add change",
        "person": "view add change",
        "contact": "view add change",
        "departure": "view",
        "dmumembership": "view add change",
        "opportunity": "view add change",
        "confirmation": "view add",
        "stagemove": "view",
        "pilot": "view add change",
        "activity": "view add change delete",
        "activityverdict": "view",
        "followup": "view add change",
        "delivery": "view",
        "deliveryreport": "view",
        "suppression": "view",
        "product": "view",
        "team": "view",
        "merge": "view",
        "accountpair": "view",
        "contactpair": "view",
    },
    "abm": {
        "accountfit": "view",
        "accountstanding": "view",
        "engagementscore": "view",
        "journeyplacement": "view",
        "phasechange": "view",
        "jobchangesignal": "view add change",
        "signalevidence": "view add",
        "idealcustomerprofile": "view",
        "targetlist": "view",
        "targetaccount": "view",
        "comparisonaccount": "view",
        "heldoutaccount": "view",
        "experiment": "view",
        "experimentcount": "view",
        "nightlyrun": "view",
        "reportsnapshot": "view",
    },
}
_IMPORTS = {"crm": {"upload": "view add change", "uploadproblem": "view", "uploadedrecord": "view"}}
# What people take out as files, integrations read over the API.
_EXPORTS = {"crm": {"export": "view add delete"}}
_LISTS = {
    "abm": {
        "targetlist": "add change",
        "targetaccount": "add change delete",
        "targetrejection": "view add change delete",
        "experiment": "add change",
        "experimentcount": "add change",
    }
}
_MARKETING = {
    "crm": {"suppression": "add change", "incomingreport": "view change", "mailbox": "view"},
    "abm": {
        "budgetline": "view add change delete",
        "salestarget": "view add change delete",
        "idealcustomerprofile": "add change",
        "nightlychunk": "view",
        "scoreparameters": "view",
        "scorechange": "view add",
    },
}
_INTEGRATION = {"crm": {"delivery": "add change", "deliveryreport": "add"}}

ROLES: dict[str, tuple[list[dict[str, dict[str, str]]], dict[str, str]]] = {
    SALES_REP: ([_SELLING, _IMPORTS, _EXPORTS], {"crm": "see_team_records"}),
    TEAM_LEAD: ([_SELLING, _IMPORTS, _EXPORTS, _LISTS], {"crm": "see_team_records assign_account"}),
    MARKETING: ([_SELLING, _IMPORTS, _EXPORTS, _LISTS, _MARKETING], {"crm": "see_every_record"}),
    INTEGRATION: ([_SELLING, _IMPORTS, _LISTS, _INTEGRATION], {"crm": "see_team_records"}),
}
# What an administrator runs besides the records: people, keys, and the clock.
_ADMINISTERED_APPS = ("crm", "abm", "auth", "django_celery_beat")


def grant_roles(apps: Apps, app_label: str) -> None:
    """Give the five groups their permissions on one app's models; for migrations, safe to repeat."""
    for config in [live_apps.get_app_config(app_label), *map(live_apps.get_app_config, _ADMINISTERED_APPS)]:
        create_permissions(config, apps=apps, verbosity=0)
    group_of, permissions = apps.get_model("auth", "Group").objects, apps.get_model("auth", "Permission").objects
    for role in ROLES:
        group, _ = group_of.get_or_create(name=role)
        group.permissions.add(*permissions.filter(content_type__app_label=app_label, codename__in=codenames(role, app_label)))
    administrator, _ = group_of.get_or_create(name=ADMINISTRATOR)
    administrator.permissions.add(*permissions.filter(content_type__app_label__in=_ADMINISTERED_APPS))


def codenames(role: str, app_label: str) -> set[str]:
    """List the permissions of a role in one app, e.g. 'change_account'."""
    tables, extra = ROLES[role]
    verbs = ((verb, model) for table in tables for model, words in table.get(app_label, {}).items() for verb in words.split())
    return {f"{verb}_{model}" for verb, model in verbs} | set(extra.get(app_label, "").split())


def register(app_label: str) -> None:
    """Make has_perm(name, record) answer for every record of an app that knows who may see it."""
    for model in live_apps.get_app_config(app_label).get_models():
        if hasattr(model._default_manager.all(), "visible_to"):
            for verb in ("view", "change", "delete"):
                name = f"{app_label}.{verb}_{model._meta.model_name}"
                rules.add_perm(name, rules.predicate(_may(name, verb), name=name))


def _may(permission: str, verb: str) -> Callable[[User | AnonymousUser, Model | None], bool]:
    def may(user: User | AnonymousUser, record: Model | None = None) -> bool:
        if record is None or not user.has_perm(permission):
            return False
        records = type(record)._default_manager.filter(pk=record.pk).visible_to(user)  # type: ignore[attr-defined]
        if verb != "view" and not user.has_perm("crm.see_every_record"):
            records = records.filter(_belonging_to(user, type(record)))
        return bool(records.exists())

    return may


def _belonging_to(user: User | AnonymousUser, model: type[Model]) -> Q:
    """Select what a user may change and delete: what is the user's own or the team's, or hangs on such an account.

    Somebody who only works a deal at an account sees it all and may add to it, but changes nothing of its owner's.
    """
    if model is Person:
        return owned_within_sight(user, at="contacts__account__")
    names = {field.name for field in model._meta.concrete_fields}
    belonging = owned_within_sight(user) if "team" in names else Q(pk__in=[])
    for name in names & {"owner", "recorded_by"}:
        belonging |= Q(**{name: user.pk})
    if "account" in names:
        return belonging | owned_within_sight(user, at="account__")
    if "opportunity" in names:
        return belonging | owned_within_sight(user, at="opportunity__") | owned_within_sight(user, at="opportunity__account__")
    return belonging


def changeable(user: User | AnonymousUser, model: type[Model]) -> Q:
    """Select, of the records that a user sees, those that the user may change: for a whole page of them at once."""
    if not user.has_perm(f"{model._meta.app_label}.change_{model._meta.model_name}"):
        return Q(pk__in=[])
    return Q() if user.has_perm("crm.see_every_record") else _belonging_to(user, model)


def with_may_change(records: QuerySet[Any], user: User | AnonymousUser) -> QuerySet[Any]:
    """Mark each record with `may_change`."""
    condition = changeable(user, records.model)
    marked: QuerySet[Any] = records.annotate(may_change=ExpressionWrapper(condition, BooleanField()) if condition else Value(True))
    return marked


def sees_account_of(user: User | AnonymousUser, deal: Opportunity) -> bool:
    """Say whether what lies at a deal's account may be shown with the deal: its people, what they did and what they said."""
    return deal.account_id is None or Account.objects.visible_to(user).filter(pk=deal.account_id).exists()


def colleagues(user: User) -> QuerySet[User]:
    """Give whom a user may hand work to: everybody at work for who sees every record, else the own team."""
    at_work = User.objects.filter(is_active=True)
    return at_work if sight(user) is Sight.ALL else at_work.filter(Q(pk=user.pk) | Q(team=user.team_id, team__isnull=False))


def teams(user: User) -> QuerySet[Team]:
    """Give the teams that a user may hand work to: every one for who sees every record, else the own."""
    return Team.objects.all() if sight(user) is Sight.ALL else Team.objects.filter(members=user)


def may(user: User | AnonymousUser, verb: str, record: Model) -> bool:
    """Say whether a user may view, change or delete one record."""
    return user.has_perm(f"{record._meta.app_label}.{verb}_{record._meta.model_name}", record)
