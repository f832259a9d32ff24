"""The content security policy holds on every page: no script in the page itself, nothing from outside, and the headers are there."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from config.static import LastingStaticFiles
from tests.doors.admin_pages import MAKERS
from tests.doors.every_address import every_address
from tests.factories.crm import AccountFactory

pytestmark = pytest.mark.django_db
SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script>", re.DOTALL | re.IGNORECASE)
HANDLER = re.compile(r"<[a-z][^<>]*?\s(on[a-z]+)\s*=", re.IGNORECASE)
OUTSIDE = re.compile(r"<(?:script|link|img|iframe|source|video|audio)\b[^>]*?(?:src|href)=[\"']((?:https?:)?//[^\"']+)", re.IGNORECASE)
WITH_DATA = re.compile(r"application/(?:ld\+)?json|text/template|text/html", re.IGNORECASE)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def faults(page: str) -> list[str]:
    """Name what the policy would refuse in a page."""
    inline = [code.strip()[:80] for head, code in SCRIPT.findall(page) if code.strip() and not WITH_DATA.search(head)]
    bare = re.sub(r"<(script|svg|template)\b.*?</\1>", "", page, flags=re.DOTALL)
    return inline + HANDLER.findall(bare) + OUTSIDE.findall(page)


def policy_of(answer) -> dict[str, list[str]]:
    """Give the directives of an answer's policy."""
    parts = (part.split() for part in answer.headers["Content-Security-Policy"].split(";") if part.strip())
    return {name: values for name, *values in parts}


def assert_kept(answer) -> None:
    """Check headers and content of one page."""
    policy = policy_of(answer)
    assert policy["script-src"] == ["'self'", "'unsafe-eval'"]
    assert policy["frame-ancestors"] == policy["object-src"] == ["'none'"]
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    if answer.headers.get("Content-Type", "").startswith("text/html") and not answer.streaming:
        assert faults(answer.content.decode()) == []


def test_every_page_keeps_the_policy(admin_user, client):
    account = AccountFactory(owner=admin_user)
    records = {model: make(account) for model, make in MAKERS.items()}
    client.force_login(admin_user)
    broken, pages = {}, 0
    for address in every_address():
        if address.name == "logout" or not address.route.startswith("admin/"):
            continue
        answer = client.get(address.filled(records))
        try:
            assert_kept(answer)
        except AssertionError as fault:
            broken[str(address)] = str(fault)
        pages += answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")

    assert broken == {}
    assert pages > 100


@pytest.mark.parametrize(
    "path", ["/admin/login/", "/admin/password-reset/", "/admin/password-reset/sent/", "/admin/password-reset/a/b/", "/no/such/page"]
)
def test_pages_for_strangers_keep_the_policy(path: str, client: Client, db: None):
    assert_kept(client.get(path))


def test_documentation_of_the_api_keeps_the_policy(rep_client):
    assert_kept(rep_client.get(reverse("docs")))
    assert_kept(rep_client.get(f"{reverse('docs')}?script="))


def test_error_of_ours_keeps_the_policy(rep_client, monkeypatch):
    monkeypatch.setattr("crm.pages.me.show", lambda *_args, **_context: 1 / 0)
    rep_client.raise_request_exception = False
    answer = rep_client.get(reverse("me"))

    assert answer.status_code == 500
    assert_kept(answer)


def test_faults_are_found():
    assert faults('<script>go()</script><a onclick="go()">x</a><link href="https://cdn.example/x.css">') == [
        "go()",
        "onclick",
        "https://cdn.example/x.css",
    ]
    assert (
        faults('<script src="/static/x.js"></script><script type="application/json">{}</script><a x-on:click="go()" href="/">x</a>') == []
    )


def test_collected_files_are_named_by_their_contents(tmp_path, settings):
    files = LastingStaticFiles(location=tmp_path, base_url="/static/")
    files.hashed_files = {"crm/keys.js": "crm/keys.0123456789ab.js"}

    assert files.url("crm/keys.js") == "/static/crm/keys.0123456789ab.js"
    assert files.url("crm/not-collected.js") == "/static/crm/not-collected.js"
