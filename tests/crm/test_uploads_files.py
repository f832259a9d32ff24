"""Files that nobody vouches for: each gets a clear answer, and nothing is written for the ones that are refused."""

import io
import zipfile
from datetime import datetime

import openpyxl
import pytest

from crm import policy, uploads
from crm.imports import ImportRefused
from crm.models import Contact, Upload, UploadProblem
from crm.uploads import spool
from tests.crm.test_uploads_contacts import SIMPLE, ran, reasons, received

HEADER = "First name,Last name,E-mail,Website\n"
ROW = "Jan,Bos,jan@bos.example.nl,bos.example.nl\n"


def workbook(*rows, **properties):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def zipped(**parts):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name.replace("__", "/").replace("_", "."), content)
    return stream.getvalue()


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
REFUSED = {
    "empty": (b"", "is empty"),
    "blank": (b"\n \n\n", "is empty|no table"),
    "names only": (HEADER.encode(), "no rows below"),
    "no header": ((ROW * 3).encode(), r"looks like data \('jan@bos.example.nl'\)"),
    "old excel": (OLE, "old Excel file"),
    "encrypted excel": (OLE + "EncryptedPackage".encode("utf-16-le"), "protected with a password"),
    "pdf": (b"%PDF-1.7 ...", "is a PDF file"),
    "gzip": (b"\x1f\x8b\x08" + bytes(50), "is a gzip file"),
    "other zip": (zipped(readme_txt="hello"), "is a zip file, and no Excel file"),
    "half a zip": (workbook(["a", "b"], [1, 2])[:900], "damaged"),
    "macros": (zipped(xl__workbook_xml="<x/>", xl__vbaProject_bin="x"), "holds macros"),
    "zip bomb": (zipped(xl__workbook_xml="<x/>", xl__worksheets__sheet1_xml="0" * 20_000_000), "too large when it is unpacked"),
    "no workbook inside": (zipped(xl__workbook_xml="<nonsense>"), "damaged"),
    "10,000 columns": (",".join(f"column {n}" for n in range(10_000)).encode() + b"\n1\n", "more than 300 columns"),
    "10,000 columns in excel": (workbook([f"column {n}" for n in range(10_000)], ["x"]), "more than 300 columns"),
    "one endless line": (b"name,mail\n" + b"x" * 1_100_000, "a line of more than a million"),
    "noise": (bytes(range(1, 256)) * 400, "cannot be read as text|no table|no CSV"),
    "utf-32": ("name,mail\nx,y\n".encode("utf-32"), "UTF-32"),
}


@pytest.mark.parametrize(("raw", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_holds_no_table_is_refused_with_a_sentence(rep, at, tmp_path, settings, raw, sentence):
    with pytest.raises(ImportRefused, match=sentence):
        uploads.receive(io.BytesIO(raw), name="people.csv", what="contacts", by=rep, at=at)

    assert not Upload.objects.exists()


class Endless(io.RawIOBase):
    """A stream that goes on for ever, and counts what was taken of it."""

    taken = 0

    def read(self, size=-1):
        assert size > 0
        self.taken += size
        return b"x" * size


def test_a_file_of_200_mb_is_refused_while_it_is_read(rep, at, monkeypatch):
    monkeypatch.setattr(policy, "UPLOADS", policy.Uploads(file_megabytes=2))
    stream = Endless()

    with pytest.raises(ImportRefused, match="larger than 2 MB"):
        uploads.receive(stream, name="large.csv", what="contacts", by=rep, at=at)

    assert stream.taken == 3 * 1024 * 1024


def test_too_many_rows_are_refused_and_leave_no_file(rep, at, monkeypatch):
    monkeypatch.setattr(policy, "UPLOADS", policy.Uploads(rows=2))

    with pytest.raises(ImportRefused, match="more than 2 rows"):
        received(HEADER + ROW * 3, rep, at)


def rows_of(upload):
    return [row for chunk in spool.chunks(upload) for row in chunk.rows]


NAMED = "Voornaam;Achternaam;E-mail;Website\nZoë;Müller;zoe@muller.example.nl;muller.example.nl\n"
ENCODED = {
    "utf-8": (NAMED.encode(), "UTF-8"),
    "utf-8 with a mark": (NAMED.encode("utf-8-sig"), "UTF-8"),
    "utf-16": (NAMED.encode("utf-16"), "UTF-16"),
    "utf-16 without a mark": (NAMED.encode("utf-16-le"), "UTF-16 (assumed)"),
    "windows-1252": (NAMED.encode("cp1252"), "Windows-1252 (assumed: it is not UTF-8)"),
    "mac line ends": (NAMED.replace("\n", "\r").encode(), "UTF-8"),
    "windows line ends": (NAMED.replace("\n", "\r\n").encode(), "UTF-8"),
}


@pytest.mark.parametrize(("raw", "label"), ENCODED.values(), ids=ENCODED)
def test_the_encoding_is_told_and_the_names_are_right(rep, at, raw, label):
    upload = received(raw, rep, at)

    assert (upload.encoding, upload.columns) == (label, ["Voornaam", "Achternaam", "E-mail", "Website"])
    assert rows_of(upload)[0].cells[:2] == ["Zoë", "Müller"]


def test_in_a_mixture_of_encodings_the_wrong_rows_fail(rep, at):
    raw = NAMED.encode() + "René;Bos;rene@bos.example.nl;bos.example.nl\n".encode("cp1252")
    upload = received(raw, rep, at)

    assert upload.encoding == "UTF-8 (but for 1 lines)"
    assert ran(upload, at)["failed"] == 1
    assert reasons(upload) == {3: ("", "holds bytes that are not in the encoding of the rest of the file")}


def test_rows_that_cannot_be_split_fail_alone(rep, at):
    odd = (
        HEADER
        + ROW
        + 'Els,"Dijk,els@dijk.example.nl,x\n'
        + "Nel,Vos,nel@vos.example.nl\n"
        + "a,b,c,d,e\n"
        + "N\x00l,Ab,n@vos.example.nl,vos.example.nl\n"
    )
    odd += 'Ria,"de ""Rode"" Vos",ria@vos.example.nl,vos.example.nl\n\n'
    upload = received(odd, rep, at)

    assert ran(upload, at) == {"created": 2, "changed": 0, "unchanged": 0, "failed": 4}
    assert {line: reason for line, (_column, reason) in reasons(upload).items()} == {
        3: "not CSV: a quote stands in the wrong place, or is not closed",
        4: "3 values, and 4 columns",
        5: "5 values, and 4 columns",
        6: "holds a character that cannot be shown",
    }
    assert Contact.objects.get(email="ria@vos.example.nl").person.family_name == 'de "Rode" Vos'


def test_duplicate_and_empty_headers_are_told_apart(rep, at):
    upload = received("First name,Last name,E-mail,,E-mail,Website\nJan,Bos,jan@bos.example.nl,x,,bos.example.nl\n", rep, at)

    assert upload.columns == ["First name", "Last name", "E-mail", "(column 4)", "E-mail (2)", "Website"]
    assert upload.mapping == {"0": "given_name", "1": "family_name", "2": "email", "3": "", "4": "", "5": "account_domain"}


def test_a_title_above_the_header_is_passed_over_and_lines_count_as_shown(rep, at):
    raw = workbook(
        ["Klanten 2024"],
        [],
        ["Voornaam", "Achternaam", "E-mail", "Bedrijf"],
        ["Jan", "Bos", "jan@bos.example.nl", "Bos BV"],
        ["El", "Wit", "x", "Y"],
    )
    upload = received(raw, rep, at, name="klanten.csv")

    assert (upload.encoding, upload.columns) == ("Excel, sheet 'Sheet'", ["Voornaam", "Achternaam", "E-mail", "Bedrijf"])
    assert ran(upload, at)["created"] == 1
    assert list(reasons(upload)) == [5]


def test_excel_values_become_what_a_text_file_would_hold(rep, at):
    raw = workbook(["kind", "date", "n", "yes"], ["meeting", datetime(2024, 3, 12, 9, 14), 1234567.0, True], [None, None, 0.5, None])
    upload = uploads.receive(io.BytesIO(raw), name="a.xlsx", what="activities", by=rep, at=at)

    assert [row.cells for row in rows_of(upload)] == [["meeting", "2024-03-12 09:14:00", "1234567", "true"], ["", "", "0.5", ""]]


def test_csv_called_xlsx_is_read_as_what_it_is(rep, at):
    assert ran(received(SIMPLE, rep, at, name="people.xlsx"), at)["created"] == 2


def test_formulas_are_text_and_harmless_in_the_failed_rows(rep, at):
    upload = received(HEADER + "=cmd|'/c calc'!A0,@SUM(1),-2+3,x\n" + '"=HYPERLINK(1)",Bos,h@bos.example.nl,bos.example.nl\n', rep, at)
    assert ran(upload, at) == {"created": 1, "changed": 0, "unchanged": 0, "failed": 1}

    assert Contact.objects.get().person.given_name == "=HYPERLINK(1)"
    header, row = uploads.failed_rows(upload)
    assert header == ["First name", "Last name", "E-mail", "Website", "line", "what is wrong"]
    assert row[:5] == ["'=cmd|'/c calc'!A0", "'@SUM(1)", "'-2+3", "x", "2"]
    assert UploadProblem.objects.get().values[0].startswith("=cmd")


def test_what_is_kept_is_private_and_goes_with_the_import(rep, at):
    upload = received(SIMPLE, rep, at)
    storage, name = upload.file.storage, upload.file.name
    assert name.startswith("uploads/")
    assert "people" not in name

    assert storage.exists(name)
    uploads.discard(upload, by=rep, at=at)
    assert not Upload.objects.exists()
