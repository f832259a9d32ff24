"""The command that loads the demo: where it refuses, and which password it gives to whom."""

import stat

import pytest
from django.core.management import CommandError, call_command

from abm import demo
from abm.demo import logins
from abm.management.commands import load_demo
from crm.models import Account, Contact, User
from tests.factories.crm import AccountFactory, ContactFactory, UserFactory


@pytest.fixture
def folder(tmp_path, settings, monkeypatch):
    settings.VAR_DIR = tmp_path / "var"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    monkeypatch.delenv("DEMO_PASSWORD", raising=False)
    return settings.VAR_DIR


@pytest.fixture
def loaded(db, folder, monkeypatch):
    """A database that holds as much of the demo as signing in takes."""
    for username in logins.SELLERS.values():
        UserFactory(username=username, password="!none")
    logins.make()
    ContactFactory(source=demo.SOURCE)
    return folder


def signed_in(client, password: str) -> list[str]:
    return [username for username in logins.USERNAMES if client.login(username=username, password=password)]


def test_demo_does_not_go_into_a_database_with_other_accounts(db, folder):
    AccountFactory(name="Echt Bedrijf BV")

    with pytest.raises(CommandError, match=r"accounts that are not the demo's, e.g. Echt Bedrijf BV"):
        call_command("load_demo")
    assert Account.objects.count() == 1
    assert not User.objects.exists() and not folder.exists()


def test_same_source_with_other_accounts_is_refused_too(db, at):
    AccountFactory(name="Echt Bedrijf BV", source="maven-crm", external_id="Echt Bedrijf BV")

    with pytest.raises(demo.AbmError) as refusal:
        demo.load(at=at, say=print)
    assert refusal.value.code == "not_empty"
    assert not Contact.objects.exists()


def test_account_added_to_a_loaded_demo_does_not_keep_it_from_starting_again(loaded, capsys):
    AccountFactory(name="Zelf toegevoegd")

    call_command("load_demo")

    assert "The demo is there already." in capsys.readouterr().err


def test_password_is_made_once_kept_in_a_file_for_the_owner_only_and_stays(loaded, client, capsys):
    call_command("load_demo")
    first = (loaded / "demo_password").read_text()
    call_command("load_demo")

    assert (loaded / "demo_password").read_text() == first
    assert stat.S_IMODE((loaded / "demo_password").stat().st_mode) == 0o600
    assert len(first) >= 16
    assert capsys.readouterr().out.count(f"all with the password {first}") == 2
    assert signed_in(client, first) == list(logins.USERNAMES)


def test_password_from_the_environment_wins_and_is_written_nowhere(loaded, client, monkeypatch):
    call_command("load_demo")
    monkeypatch.setenv("DEMO_PASSWORD", "from the environment")

    call_command("load_demo")

    assert signed_in(client, "from the environment") == list(logins.USERNAMES)
    assert "environment" not in (loaded / "demo_password").read_text()


def test_file_without_a_password_set_yet_is_used_after_a_kill(loaded, client):
    password, is_fresh = load_demo.find_password(loaded / "demo_password")
    assert is_fresh and signed_in(client, password) == []

    call_command("load_demo")

    assert signed_in(client, password) == list(logins.USERNAMES)


def test_password_that_somebody_changed_is_left_alone(loaded, client):
    call_command("load_demo")
    admin = User.objects.get(username="admin")
    admin.set_password("changed by hand")
    admin.save()

    call_command("load_demo")

    assert client.login(username="admin", password="changed by hand")


def test_second_start_hashes_no_password(loaded, monkeypatch):
    call_command("load_demo")
    monkeypatch.setattr(logins, "make_password", None)
    monkeypatch.setattr(User, "check_password", None)

    call_command("load_demo")


def test_command_prints_logins_and_says_what_is_invented(loaded, capsys):
    call_command("load_demo")

    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[1:6]] == list(logins.USERNAMES)
    assert printed[6].endswith("People, mail, visits, live deals, channels and budgets are invented.")
