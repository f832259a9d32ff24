"""A file through the real web server and a real worker: uploaded over HTTP, watched, finished, undone."""

import http.cookiejar
import re
import urllib.parse
import urllib.request
import uuid

import pytest

pytestmark = pytest.mark.slow
PASSWORD = "een-lang-wachtwoord"
PEOPLE = 120


class Visitor:
    """A browser without script: it keeps cookies, and sends back the token of the form it last saw."""

    def __init__(self, installation) -> None:
        self.root = f"http://127.0.0.1:{installation.port}"
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self.page, self.address = "", ""

    def open(self, path: str, data: bytes | None = None, kind: str = "application/x-www-form-urlencoded") -> str:
        request = urllib.request.Request(urllib.parse.urljoin(self.root, path), data=data, headers={"Content-Type": kind} if data else {})
        request.add_header("Referer", self.root)
        with self.opener.open(request, timeout=60) as answer:
            self.page, self.address = answer.read().decode(), urllib.parse.urlsplit(answer.url).path
        return self.page

    def token(self) -> str:
        return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.page)[1]

    def send(self, path: str, **fields: str) -> str:
        return self.open(path, urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": self.token()}).encode())

    def send_file(self, path: str, name: str, content: str, **fields: str) -> str:
        boundary = uuid.uuid4().hex
        parts = [
            f'Content-Disposition: form-data; name="{key}"\r\n\r\n{value}'
            for key, value in (fields | {"csrfmiddlewaretoken": self.token()}).items()
        ]
        parts.append(f'Content-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/csv\r\n\r\n{content}')
        body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + f"--{boundary}--\r\n"
        return self.open(path, body.encode(), f"multipart/form-data; boundary={boundary}")


def test_hundreds_of_contacts_go_in_are_watched_and_go_out_again(installation):
    installation.environment["QUORUM_POLICY"] = '{"crm": {"UPLOADS": {"rows_per_chunk": 20}}}'
    installation.manage("shell", "-c", MAKE_USER)
    installation.start_all()
    visitor = Visitor(installation)
    visitor.open("/admin/login/")
    visitor.send("/admin/login/?next=/admin/crm/upload/add/", username="noor", password=PASSWORD)
    assert "Import a file" in visitor.page

    visitor.send_file("/admin/crm/upload/add/", "mensen.csv", people(), what="contacts")
    assert "Which column is what?" in visitor.page
    upload = visitor.address
    columns = dict(re.findall(r'<select[^>]* name="(column-\d+)".*?<option value="(\w*)" selected', visitor.page, re.DOTALL))
    visitor.send(upload.replace("change", "columns"), **columns, existing="leave", legal_basis="interest", source="import")
    assert "This is what would happen" in visitor.page
    visitor.send(upload.replace("change", "start"))

    seen: list[int] = []
    installation.wait_for(lambda: seen.append(percent(visitor, upload)) or "The import is finished" in visitor.page, seconds=120)
    assert seen == sorted(seen)
    assert installation.manage("shell", "-c", COUNT).split()[-2:] == ["120", "12"]

    visitor.open(upload.replace("change", "undo"))
    visitor.send(upload.replace("change", "undo"))
    installation.wait_for(lambda: "The import was undone" in visitor.open(upload), seconds=120)
    assert installation.manage("shell", "-c", COUNT).split()[-2:] == ["0", "0"]
    # What failed is tried again a minute later, so that the end looks the same.
    assert "task_failed" not in (installation.folder / "log").read_text()


def percent(visitor: Visitor, upload: str) -> int:
    """Give how far the page says the import is; a page without a bar is at its end."""
    found = re.search(r'<progress max="100" value="(\d+)"', visitor.open(upload))
    return int(found[1]) if found else 100


def people() -> str:
    rows = (f"Jan,de Vries {n},jan{n}@klant{n // 10}.nl,Klant {n // 10} BV,klant{n // 10}.nl\n" for n in range(PEOPLE))
    return "Voornaam,Achternaam,E-mail,Bedrijf,Website\n" + "".join(rows)


MAKE_USER = f"""
from django.contrib.auth.models import Group
from crm.models import Team, User
user = User.objects.create(username="noor", is_staff=True, team=Team.objects.create(name="Noord"))
user.set_password("{PASSWORD}")
user.save()
user.groups.add(Group.objects.get(name="sales rep"))
"""
COUNT = """
from crm.models import Account, Contact
print(Contact.objects.count(), Account.objects.count())
"""
