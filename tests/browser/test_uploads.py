"""A file through the real pages, and a list out again, at a desk and on a phone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.utils.timezone import now
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from crm import exports, policy, tasks, uploads
from crm.models import Contact, Export, Upload, User
from crm.uploads.running import import_chunk
from tests.browser.conftest import AT_A_DESK, Seen, barriers, quiet
from tests.factories.crm import AccountFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
HEADER = "Record ID,First Name,Last Name,Email,Company Name,Company Domain,Opmerking\n"


@pytest.fixture(autouse=True)
def queue(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Nobody works here but the test itself."""
    handed: list[str] = []
    monkeypatch.setattr(tasks, "enqueue", lambda task, *_arguments: handed.append(task.name))
    return handed


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Sixty people of six companies, of whom one has no address that could be right."""
    rows = (
        f"{n},Jan,de Vries {n},{'geen' if n == 7 else f'jan{n}@klant{n % 6}.nl'},Klant {n % 6} BV,klant{n % 6}.nl,\n" for n in range(60)
    )
    path = tmp_path / "mensen.csv"
    path.write_text(HEADER + "".join(rows))
    return path


@contextmanager
def unasked(page: Page) -> Iterator[None]:
    """Keep the page from asking meanwhile: a database in memory takes one writer and no reader."""
    page.route("**/progress/**", lambda route: route.fulfill(status=204))
    page.wait_for_load_state("networkidle")
    yield
    page.unroute("**/progress/**")


def fine(page: Page, seen: Seen, live_server: LiveServer) -> None:
    quiet(page, seen, live_server)
    assert barriers(page) == []


@AT_A_DESK
def test_rep_imports_a_file_watches_it_and_takes_it_back(
    page: Page, seen: Seen, live_server: LiveServer, people: Path, rep: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "UPLOADS", policy.Uploads(rows_per_chunk=25))
    page.goto(f"{live_server.url}/admin/crm/upload/add/")
    fine(page, seen, live_server)
    page.set_input_files("input[type=file]", people)
    expect(page.get_by_role("status").filter(has_text="mensen.csv")).to_be_visible()
    page.get_by_role("button", name="Read the file").click()

    expect(page.get_by_role("heading", name="This looks like HubSpot contacts")).to_be_visible()
    expect(page.get_by_label("Field for column Last Name")).to_have_value("family_name")
    page.get_by_label("Legal basis").select_option("interest")
    fine(page, seen, live_server)
    page.get_by_role("button", name="Try it").click()

    expect(page.get_by_role("heading", name="This is what would happen")).to_be_visible()
    expect(page.get_by_role("cell", name="geen")).to_be_visible()
    fine(page, seen, live_server)
    page.get_by_role("button", name="Import now").click()

    expect(page.get_by_role("heading", name="The import is running")).to_be_visible()
    fine(page, seen, live_server)
    upload = Upload.objects.get()
    with unasked(page):
        import_chunk(upload, at=now())
    expect(page.get_by_role("progressbar", name="Progress")).not_to_have_attribute("value", "0", timeout=10_000)
    with unasked(page):
        while uploads.work(upload.pk, clock=now):
            pass
    expect(page.get_by_role("heading", name="The import is finished")).to_be_visible(timeout=10_000)
    assert Contact.objects.visible_to(rep).count() == 59
    fine(page, seen, live_server)

    page.get_by_role("link", name="Undo this import").click()
    expect(page.get_by_role("row", name="Contact")).to_contain_text("59")
    fine(page, seen, live_server)
    page.get_by_role("button", name="Undo it").click()
    expect(page.get_by_role("heading", name="The import is being undone")).to_be_visible()
    with unasked(page):
        while uploads.work(upload.pk, clock=now):
            pass
    expect(page.get_by_role("heading", name="The import was undone")).to_be_visible(timeout=10_000)
    assert Contact.objects.count() == 0
    fine(page, seen, live_server)
    page.goto(f"{live_server.url}/admin/crm/upload/")
    quiet(page, seen, live_server)


@AT_A_DESK
def test_file_that_is_no_table_and_one_that_is_too_large_are_told_apart(
    page: Page, seen: Seen, live_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "UPLOADS", policy.Uploads(file_megabytes=1))
    picture, large = tmp_path / "foto.csv", tmp_path / "groot.csv"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    large.write_bytes(b"a,b\n" * 300_000)
    page.goto(f"{live_server.url}/admin/crm/upload/add/")

    page.set_input_files("input[type=file]", large)
    expect(page.get_by_role("status").filter(has_text="This file is larger than 1 MB.")).to_be_visible()
    page.set_input_files("input[type=file]", picture)
    page.get_by_role("button", name="Read the file").click()

    expect(page.get_by_role("alert")).to_be_visible()
    fine(page, seen, live_server)


@AT_A_DESK
def test_rep_takes_a_list_out_at_once_and_by_a_worker(
    page: Page, seen: Seen, live_server: LiveServer, rep: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        AccountFactory(name=f"Bedrijf {number}", owner=rep, team=rep.team)
    page.goto(f"{live_server.url}/admin/crm/export/new/?list=crm.account&owner=me")
    fine(page, seen, live_server)
    page.get_by_role("button", name="None").click()
    page.get_by_label("Name", exact=True).check()
    page.get_by_label("CSV (any program)").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert Path(download.value.path()).read_text(encoding="utf-8-sig").split() == [
        "Name",
        *(w for n in range(5) for w in ("Bedrijf", str(n))),
    ]

    monkeypatch.setattr(policy, "EXPORTS", policy.Exports(at_once_rows=2, rows_per_chunk=2))
    page.reload()
    page.get_by_role("button", name="Write the file").click()
    expect(page.get_by_text("Waiting for a free worker.")).to_be_visible()
    fine(page, seen, live_server)
    with unasked(page):
        exports.work(Export.objects.get(state="queued").pk, clock=now)
    expect(page.get_by_role("link", name="Download", exact=True)).to_be_visible(timeout=10_000)
    fine(page, seen, live_server)
    with page.expect_download() as again:
        page.get_by_role("link", name="Download", exact=True).click()
    assert again.value.suggested_filename.startswith("accounts-")
    page.goto(f"{live_server.url}/admin/crm/export/")
    quiet(page, seen, live_server)
