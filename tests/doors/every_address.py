"""Every address of the product outside the API, read from the router: a page that nobody thought of is found, too."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

# What a parameter of an address stands for, where its own name does not say it: `<slot_id>` is a TargetAccount.
MEANT = {
    "parameters": "scoreparameters",
    "slot": "targetaccount",
    "membership": "dmumembership",
    "evidence": "signalevidence",
    "browser": "browsersession",
}
NO_RECORDS = ("api/", "healthz", "readyz")


@dataclass(frozen=True)
class Address:
    """One address: its route with the names of what must be filled in, and the model whose page it is."""

    route: str
    name: str
    parameters: tuple[str, ...]
    model: type[Model] | None

    def __str__(self) -> str:
        return self.name or self.route

    def filled(self, records: dict[type[Model], Model]) -> str:
        """Give the address of one of these records."""
        filled = self.route
        for name in self.parameters:
            filled = filled.replace(f"<{name}>", str(self._value(name, records)), 1)
        return f"/{filled}"

    def _value(self, name: str, records: dict[type[Model], Model]) -> object:
        if name == "content_type_id":
            return ContentType.objects.get_for_model(next(iter(records))).pk
        if name in ("object_id", "id") and self.model in records:
            return records[self.model].pk
        stem = name.removesuffix("_id").replace("_", "")
        return next((record.pk for model, record in records.items() if model._meta.model_name == MEANT.get(stem, stem)), 1)


def every_address() -> list[Address]:
    """List every address that may show or change a record."""
    return [found for found in _walk(get_resolver(), "") if not found.route.startswith(NO_RECORDS)]


def _walk(resolver: URLResolver, before: str) -> Iterator[Address]:
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            yield from _walk(each, before + str(each.pattern))
        else:
            yield _address(each, before)


def _address(each: URLPattern, before: str) -> Address:
    name = each.name or ""
    if isinstance(each.pattern, RegexPattern):
        # the history's own addresses: ^([^/]+)/history/([^/]+)/$
        route, parameters = "<object_id>/history/<version_id>/", ("object_id", "version_id")
        if str(each.pattern) != "^([^/]+)/history/([^/]+)/$":
            route, parameters = "no/such/page", ()
    else:
        route, parameters = str(each.pattern), tuple(each.pattern.converters)
        for parameter in parameters:
            for kind in ("path", "int", "str", "slug"):
                route = route.replace(f"<{kind}:{parameter}>", f"<{parameter}>")
    return Address(before + route, name, parameters, _models().get("_".join(name.split("_")[:2])))


@cache
def _models() -> dict[str, type[Model]]:
    return {f"{model._meta.app_label}_{model._meta.model_name}": model for model in apps.get_models()}
