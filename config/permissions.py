"""What a user may do, read in one query instead of one for the user and one for the groups."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, Permission
from django.db.models import Q

from crm.prepared import Prepared


class OneQueryBackend(ModelBackend):
    """Django's own backend; the answer is kept with the user for the request, as there."""

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Give every permission of a user, as `app.codename`."""
        if not user_obj.is_active or user_obj.is_anonymous or obj is not None:
            return set()
        if not hasattr(user_obj, "_perm_cache"):
            user_obj._perm_cache = self._read(user_obj)
        return set(user_obj._perm_cache)

    def _read(self, user: Any) -> set[str]:
        given = _EVERY.rows() if user.is_superuser else _GIVEN.rows(user.pk, user.pk)
        return {f"{app}.{codename}" for app, codename in given}


def _every() -> Any:
    return Permission.objects.order_by().values_list("content_type__app_label", "codename")


def _given(user: int, member: int) -> Any:
    """Select what a user was given, and what the user's groups were; as two sets, which PostgreSQL plans in a tenth of the time of a union."""
    own = Permission.user_set.through.objects.filter(user=user).values("permission")
    groups = Group.user_set.through.objects.filter(user=member).values("group")
    of_groups = Permission.group_set.through.objects.filter(group__in=groups).values("permission")
    return _every().filter(Q(pk__in=own) | Q(pk__in=of_groups))


_EVERY, _GIVEN = Prepared(_every), Prepared(_given, int, int)
