"""Who may import what: a rep's import stays with the rep's own, and moves nobody's account."""

import io

import pytest

from crm import errors, uploads
from crm.models import Account, Contact, Upload
from tests.crm.test_uploads_contacts import SIMPLE, ran, reasons, received
from tests.factories.crm import AccountFactory, ContactFactory, UserFactory


def test_who_may_add_no_contacts_receives_nothing(db, at):
    with pytest.raises(errors.NotAllowed):
        uploads.receive(io.BytesIO(SIMPLE.encode()), name="x", what="contacts", by=UserFactory(), at=at)

    assert not Upload.objects.exists()


def test_an_account_of_another_team_is_neither_changed_nor_added_to(rep, outsider, at):
    account = AccountFactory(domain="bakker-bv.nl", name="Theirs", owner=outsider, team=outsider.team)
    upload = received(SIMPLE, rep, at)

    assert ran(upload, at)["failed"] == 2
    assert reasons(upload)[2] == ("Website", "'bakker-bv.nl' is an account of another team.")
    assert not Contact.objects.exists()

    companies = "name,website,city\nOurs,bakker-bv.nl,Utrecht\n"
    assert ran(received(companies, rep, at, what="accounts", existing="overwrite"), at)["failed"] == 1
    account.refresh_from_db()
    assert (account.name, account.city, account.owner) == ("Theirs", "", outsider)


def test_a_contact_of_another_team_is_not_found_by_its_id(rep, outsider, at):
    theirs = ContactFactory(account__owner=outsider, account__team=outsider.team, source="import", external_id="9", job_title="baas")
    upload = received(
        "id;first name;last name;email;website;job title\n9;Jan;Bos;x@nieuw.example.nl;;dief\n", rep, at, existing="overwrite"
    )

    assert ran(upload, at)["failed"] == 1
    theirs.refresh_from_db()
    assert theirs.job_title == "baas"


def test_an_owner_is_honoured_among_colleagues_and_an_owned_account_never_moves(rep, outsider, team, at):
    colleague = UserFactory(team=team, first_name="Els", last_name="Dijk")
    AccountFactory(domain="al.nl", name="Al", owner=colleague, team=team)
    rows = f"name,website,owner\nA,a.nl,Els Dijk\nB,b.nl,{outsider.username}\nC,c.nl,Niemand\nAl,al.nl,{rep.username}\n"

    assert ran(received(rows, rep, at, what="accounts", existing="overwrite"), at) == {
        "created": 3,
        "changed": 0,
        "unchanged": 1,
        "failed": 0,
    }
    assert dict(Account.objects.values_list("name", "owner")) == {"A": colleague.pk, "B": rep.pk, "C": rep.pk, "Al": colleague.pk}
    assert set(Account.objects.values_list("team", flat=True)) == {team.pk}


def test_an_import_is_seen_by_its_owner_the_lead_and_who_sees_everything(rep, lead, outsider, marketer, at):
    received(SIMPLE, rep, at)
    other = UserFactory(team=rep.team)

    assert [Upload.objects.visible_to(user).count() for user in (rep, lead, marketer, outsider, other)] == [1, 1, 1, 0, 0]


def test_accounts_are_filled_in_or_overwritten_and_a_taken_domain_is_refused(rep, at):
    AccountFactory(domain="een.nl", name="Een", owner=rep, team=rep.team, city="Zwolle", employees=None)
    AccountFactory(domain="twee.nl", name="Twee", owner=rep, team=rep.team, source="import", external_id="2")
    rows = 'id,name,website,city,employees,revenue,country\n1,Een BV,https://www.een.nl/nl,Utrecht,"1,200",2.500.000,Nederland\n'

    assert ran(received(rows, rep, at, what="accounts"), at)["failed"] == 1
    rows = rows.replace("2.500.000", '"2.500.000,00"')
    assert ran(received(rows, rep, at, what="accounts"), at)["changed"] == 1
    account = Account.objects.get(domain="een.nl")
    assert (account.name, account.city, account.employees, account.revenue, account.country.code, account.external_id) == (
        "Een", "Zwolle", 1200, 2_500_000, "NL", "1",
    )  # fmt: skip
    assert ran(received(rows, rep, at, what="accounts", existing="overwrite"), at)["changed"] == 1
    account.refresh_from_db()
    assert (account.name, account.city) == ("Een BV", "Utrecht")

    taken = received("id,name,website\n2,Twee,een.nl\n", rep, at, what="accounts", existing="overwrite")
    assert ran(taken, at)["failed"] == 1
    assert reasons(taken)[2] == ("website", "een.nl belongs to another account already.")
