"""The pages of imports: from a file to its undoing, what is said to a file that is none, and that nobody gets at another's."""

import csv
import io
import zipfile
from collections.abc import Callable

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils.timezone import now

from crm import policy, tasks, uploads
from crm.models import Account, Contact, Upload, User
from tests.conftest import somebody
from tests.doors.admin_pages import link, said
from tests.factories.crm import TeamFactory, UserFactory

pytestmark = pytest.mark.django_db
PEOPLE = """Voornaam,Achternaam,E-mail,Bedrijf,Website,Rol
Jan,Vos,jan@bos.nl,Bakkerij Bos,bos.nl,inkoper
Piet,Pees,geen adres,Bakkerij Bos,bos.nl,
Els,Bos,els@bos.nl,Bakkerij Bos,bos.nl,beslisser
"""
ADD = "/admin/crm/upload/add/"


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """What was handed to the queue."""
    handed: list[tuple[str, object]] = []
    monkeypatch.setattr(tasks, "enqueue", lambda task, *arguments: handed.append((task.name, *arguments)))
    return handed


def send(client: Client, content: str | bytes = PEOPLE, *, name: str = "mensen.csv", what: str = "contacts") -> HttpResponse:
    raw = content if isinstance(content, bytes) else content.encode()
    return client.post(ADD, {"what": what, "file": SimpleUploadedFile(name, raw)})


@pytest.fixture
def received(rep_client: Client) -> Upload:
    answer = send(rep_client)
    upload = Upload.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, link(upload, "change"))
    return upload


def choices(upload: Upload, **more: str) -> dict[str, str]:
    """Give what the form of the columns sends when nothing is changed but the legal basis."""
    columns = {f"column-{index}": upload.mapping[str(index)] for index in range(len(upload.columns))}
    return columns | {"existing": "leave", "legal_basis": "interest", "source": "import"} | more


@pytest.fixture
def checked(received: Upload, rep_client: Client) -> Upload:
    answer = rep_client.post(link(received, "columns"), choices(received))
    received.refresh_from_db()
    assert (answer.headers["Location"], received.state) == (link(received, "change"), "checked")
    return received


@pytest.fixture
def finished(checked: Upload, rep_client: Client, queue: list[tuple[str, object]]) -> Upload:
    rep_client.post(link(checked, "start"))
    assert queue == [("crm.tasks.work_upload", checked.pk)]
    work(checked)
    assert checked.state == "finished"
    return checked


def work(upload: Upload) -> None:
    while uploads.work(upload.pk, clock=now):
        pass
    upload.refresh_from_db()


def page(client: Client, upload: Upload, query: str = "") -> str:
    return client.get(link(upload, "change") + query).content.decode()


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


# --- the way through -----------------------------------------------------------------------------------


def test_columns_are_guessed_and_shown_with_their_first_values(received: Upload, rep_client: Client) -> None:
    form = rep_client.get(link(received, "change")).context["form"]

    rows = [(row["name"], row["values"], row["field"].value()) for row in form.columns()]
    assert rows[1] == ("Achternaam", ["Vos", "Pees", "Bos"], "family_name")
    assert [field for _name, _values, field in rows] == ["given_name", "family_name", "email", "account_name", "account_domain", "role"]
    assert form.missing() == []


def test_known_layout_is_named(rep_client: Client) -> None:
    send(rep_client, "Record ID,First Name,Last Name,Email,Company\n1,Jan,Vos,jan@bos.nl,Bos\n")

    assert "This looks like HubSpot contacts" in page(rep_client, Upload.objects.get())


def test_needed_field_that_no_column_gives_is_named(rep_client: Client) -> None:
    send(rep_client, "Kolom,E-mail\nx,jan@bos.nl\n")
    upload = Upload.objects.get()

    assert "Nothing gives these yet, and they are needed: Family name." in page(rep_client, upload)
    answer = rep_client.post(link(upload, "columns"), choices(upload))
    assert said(answer) == ["No column gives: family name."]
    assert Upload.objects.get().state == "received"


def test_trial_says_what_would_happen_and_changes_nothing(checked: Upload, rep_client: Client) -> None:
    shown = page(rep_client, checked)

    assert (checked.report["created"], checked.report["failed"]) == (2, 1)
    assert "This is what would happen" in shown
    assert "geen adres" in shown
    assert (Account.objects.count(), Contact.objects.count()) == (0, 0)


def test_columns_can_be_changed_after_the_trial(checked: Upload, rep_client: Client) -> None:
    assert "Which column is what?" in page(rep_client, checked, "?step=columns")

    rep_client.post(link(checked, "columns"), choices(checked, **{"column-5": ""}))

    checked.refresh_from_db()
    assert (checked.state, checked.mapping["5"]) == ("checked", "")


def test_trial_of_many_rows_is_the_workers(
    received: Upload, rep_client: Client, queue: list[tuple[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "UPLOADS", policy.Uploads(at_once_rows=2))

    answer = rep_client.post(link(received, "columns"), choices(received))
    assert answer.headers["Location"] == link(received, "change") + "?trying"
    assert queue == [("crm.tasks.try_upload", received.pk)]
    assert "Every row is being tried" in page(rep_client, received, "?trying")
    assert "HX-Refresh" not in rep_client.get(link(received, "progress"), {"state": "received"}).headers

    tasks.try_upload(received.pk)
    tasks.try_upload(received.pk)
    assert rep_client.get(link(received, "progress"), {"state": "received"}).headers["HX-Refresh"] == "true"
    assert "This is what would happen" in page(rep_client, received, "?trying")


def test_contacts_without_a_legal_basis_do_not_start(received: Upload, rep_client: Client, queue: list[tuple[str, object]]) -> None:
    rep_client.post(link(received, "columns"), choices(received, legal_basis="unknown"))

    answer = rep_client.post(link(received, "start"), follow=True)

    assert said(answer) == ["Say on which legal basis these people may be kept."]
    assert (Upload.objects.get().state, queue, Contact.objects.count()) == ("checked", [], 0)


def test_import_runs_and_says_what_became_of_the_rows(finished: Upload, rep_client: Client, rep: User) -> None:
    shown = page(rep_client, finished)

    assert (finished.created_count, finished.failed_count) == (2, 1)
    assert "The import is finished" in shown
    assert set(Contact.objects.visible_to(rep).values_list("email", flat=True)) == {"jan@bos.nl", "els@bos.nl"}


def test_failed_rows_come_as_a_file_with_the_reason(finished: Upload, rep_client: Client) -> None:
    answer = rep_client.get(link(finished, "failed"))
    header, row = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))

    assert header == ["Voornaam", "Achternaam", "E-mail", "Bedrijf", "Website", "Rol", "line", "what is wrong"]
    assert row[:7] == ["Piet", "Pees", "geen adres", "Bakkerij Bos", "bos.nl", "", "3"]
    assert row[7].startswith("E-mail: ")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="mensen-failed.csv"'


def test_undo_shows_what_it_takes_back_and_then_does(finished: Upload, rep_client: Client, queue: list[tuple[str, object]]) -> None:
    queue.clear()
    rows = {row["kind"]: (row["made"], row["changed"]) for row in rep_client.get(link(finished, "undo")).context["rows"]}
    assert (rows["Contact"], rows["Account"]) == ((2, 0), (1, 0))
    assert Upload.objects.get().state == "finished"

    rep_client.post(link(finished, "undo"))
    assert queue == [("crm.tasks.work_upload", finished.pk)]
    work(finished)

    assert (finished.state, Contact.objects.count(), Account.objects.count()) == ("undone", 0, 0)
    assert "Everything is as it was before." in page(rep_client, finished)


def test_run_is_paused_and_goes_on(checked: Upload, rep_client: Client, queue: list[tuple[str, object]]) -> None:
    rep_client.post(link(checked, "start"))
    rep_client.post(link(checked, "pause"))
    assert "The import is paused" in page(rep_client, checked)
    work(checked)
    assert (checked.state, checked.rows_done) == ("paused", 0)

    rep_client.post(link(checked, "resume"))
    assert queue == [("crm.tasks.work_upload", checked.pk)] * 2
    work(checked)
    assert (checked.state, checked.rows_done) == ("finished", 3)


def test_progress_is_polled_with_counts_and_ends_in_a_new_page(
    checked: Upload, rep_client: Client, queue: list[tuple[str, object]]
) -> None:
    rep_client.post(link(checked, "start"))
    shown = rep_client.get(link(checked, "progress"), {"state": "running"})
    assert 'hx-swap-oob="innerHTML"' in shown.content.decode()
    assert "0 of 3 rows" in shown.content.decode()

    work(checked)
    assert rep_client.get(link(checked, "progress"), {"state": "running"}).headers["HX-Refresh"] == "true"


@pytest.mark.parametrize("deed", ["start", "pause", "resume", "undo", "columns"])
def test_deeds_are_not_done_by_looking(deed: str, checked: Upload, rep_client: Client, queue: list[tuple[str, object]]) -> None:
    rep_client.get(link(checked, deed))

    checked.refresh_from_db()
    assert (checked.state, queue) == ("checked", [])


def test_discard_asks_and_takes_the_import_with_its_file(
    checked: Upload, rep_client: Client, media, django_capture_on_commit_callbacks
) -> None:
    rep_client.get(link(checked, "discard"))
    assert Upload.objects.count() == 1

    with django_capture_on_commit_callbacks(execute=True):
        rep_client.post(link(checked, "discard"))

    assert (Upload.objects.count(), list((media / "uploads").iterdir())) == (0, [])


def test_lost_message_of_an_import_is_repeated(checked: Upload, rep_client: Client, queue: list[tuple[str, object]]) -> None:
    rep_client.post(link(checked, "start"))
    Upload.objects.update(heartbeat_at="2020-01-01T00:00Z")
    queue.clear()

    tasks.go_on()

    assert queue == [("crm.tasks.work_upload", checked.pk)]


def test_work_that_is_not_done_in_its_time_is_handed_on(checked: Upload, queue: list[tuple[str, object]], monkeypatch) -> None:
    monkeypatch.setattr(uploads, "work", lambda upload_id, clock: True)
    tasks.work_upload(checked.pk)
    monkeypatch.setattr(uploads, "work", lambda upload_id, clock: False)
    tasks.work_upload(checked.pk)

    assert queue == [("crm.tasks.work_upload", checked.pk)]


# --- files that are none -------------------------------------------------------------------------------


def bomb() -> bytes:
    """A small zip that unpacks to 300 MB, dressed up as a workbook."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", b"x")
        with archive.open("xl/worksheets/sheet1.xml", "w") as sheet:
            for _megabyte in range(300):
                sheet.write(b" " * 2**20)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("leeg.csv", lambda: b""),
        ("plaatje.png", lambda: b"\x89PNG\r\n\x1a\n" + bytes(200)),
        ("bom.xlsx", bomb),
        ("kapot.xlsx", lambda: b"PK\x03\x04" + b"nonsense" * 50),
        ("rij.csv", lambda: b"Achternaam,E-mail\n"),
    ],
)
def test_file_that_cannot_be_read_is_answered_with_a_sentence(name: str, content: Callable[[], bytes], rep_client: Client) -> None:
    answer = send(rep_client, content(), name=name)

    (sentence,) = answer.context["form"].errors["file"]
    assert answer.status_code == 200
    assert len(sentence) > 20 and sentence.endswith((".", "!")), sentence
    assert Upload.objects.count() == 0


def test_file_that_is_too_large_is_thrown_away_while_it_comes_in(rep_client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(policy, "UPLOADS", policy.Uploads(file_megabytes=1))

    answer = send(rep_client, b"a,b\n" * 300_000)

    assert answer.context["form"].errors["file"] == ["The file is larger than 1 MB. Import it in parts."]
    assert Upload.objects.count() == 0


def test_two_files_that_are_too_large_together_do_not_pass_either(rep_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "UPLOADS", policy.Uploads(file_megabytes=1))
    half = b"a,b\n" * 150_000

    answer = rep_client.post(
        ADD, {"what": "contacts", "other": SimpleUploadedFile("a.csv", half), "file": SimpleUploadedFile("b.csv", half)}
    )

    assert answer.context["form"].errors["file"] == ["The file is larger than 1 MB. Import it in parts."]


def test_no_file_is_asked_for_again(rep_client: Client) -> None:
    assert rep_client.post(ADD, {"what": "contacts"}).context["form"].errors["file"] == ["Choose a file."]


@pytest.mark.parametrize("what", ["accounts", "contacts", "activities"])
def test_example_file_is_understood_column_by_column(what: str, rep_client: Client) -> None:
    example = b"".join(rep_client.get(reverse("admin:crm_upload_example", args=[what])).streaming_content)

    send(rep_client, example, what=what)

    upload = Upload.objects.get()
    form = rep_client.get(link(upload, "change")).context["form"]
    assert form.missing() == []
    assert {name for name in upload.mapping.values() if name} == {field.name for field in uploads.fields(what)}


# --- who may -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["sales rep", "team lead", "marketing", "administrator", "integration"])
def test_every_role_may_import(role: str) -> None:
    client = browser_of(somebody(role, team=TeamFactory()))

    assert client.get(ADD).status_code == 200
    assert send(client).status_code == 302


def test_nobody_without_a_role_may_import() -> None:
    client = browser_of(UserFactory(is_staff=True))

    assert {client.get(ADD).status_code, send(client).status_code} == {403}
    assert client.get(reverse("admin:crm_upload_example", args=["contacts"])).status_code == 403
    assert Upload.objects.count() == 0


@pytest.mark.parametrize("name", ["change", "columns", "start", "pause", "resume", "undo", "discard", "failed", "progress"])
def test_outsider_reaches_nothing_of_an_import(name: str, checked: Upload, outsider: User, queue: list[tuple[str, object]]) -> None:
    client = browser_of(outsider)

    assert {client.get(link(checked, name)).status_code, client.post(link(checked, name)).status_code} == {404}
    checked.refresh_from_db()
    assert (checked.state, queue) == ("checked", [])


def test_colleague_does_not_see_an_import_and_the_administrator_does(checked: Upload, rep: User, admin_user: User) -> None:
    colleague = browser_of(somebody("sales rep", team=rep.team))

    assert colleague.get(link(checked, "change")).status_code == 404
    assert browser_of(admin_user).get(link(checked, "change")).status_code == 200


@pytest.mark.parametrize("state", ["received", "checked", "running", "paused", "finished", "failed", "undoing", "undone"])
def test_page_of_every_state_answers_in_a_bounded_number_of_queries(
    state: str, checked: Upload, rep_client: Client, django_assert_max_num_queries
) -> None:
    Upload.objects.update(state=state, started_at=now(), heartbeat_at=now())

    with django_assert_max_num_queries(12):
        assert rep_client.get(link(checked, "change")).status_code == 200
