"""Automatic replies: who left, who took over, and all the notes that only look like it."""

import pytest

from crm.bounce_providers import Report, read
from crm.bounce_providers.auto_replies import DEPARTURES, fold
from crm.bounce_providers.successors import person_of
from tests.crm.returned import DATA, labels

FOLDER = DATA / "autoreplies"
ANN = "Ann Bakker <a.bakker@acme-pumps.example>"


def reply(
    text: str, *, subject: str = "Automatic reply: Question", sender: str = ANN, marks: str = "Auto-Submitted: auto-replied"
) -> Report:
    raw = f"From: {sender}\nTo: bounces+tok@us.example\nSubject: {subject}\n{marks}\nIn-Reply-To: <m1@us.example>\nContent-Type: text/plain; charset=utf-8\n\n{text}\n"
    (report,) = read(raw.encode())
    return report


@pytest.mark.parametrize("file", sorted(labels(FOLDER)))
def test_the_labelled_replies_are_read_rightly(file):
    (row,) = labels(FOLDER)[file]
    (report,) = read((FOLDER / "eml" / file).read_bytes())

    assert report.label == "not_a_bounce"
    assert report.auto_reply
    assert report.recipient == row["person"]
    assert report.flag_job_change == (row["flag_job_change"] == "1")
    assert (report.successor_name, report.successor_email) == (row["successor_name"], row["successor_email"])
    assert report.message_id == f"<{row['in_reply_to']}>"


EXAMPLES = [(rule.label, example) for rule in DEPARTURES.rules for example in rule.examples]


@pytest.mark.parametrize(("label", "example"), EXAMPLES, ids=[example[:60] for _label, example in EXAMPLES])
def test_each_row_of_departures_decides_its_examples(label, example):
    found = DEPARTURES.first(fold(example, person_of(ANN)))

    assert found
    assert found.label == label


LEFT = [
    "I no longer work at Acme Pumps.",
    "Ann Bakker left Acme Pumps at the end of January.",
    "Thank you for your mail. I have moved on from Acme Pumps.",
    "As of 1 May I am no longer employed by Acme Pumps; my inbox is not read.",
    "Ann is no longer with us.",
    "Ik werk niet meer bij Acme Pumps.",
    "Per 1 mei ben ik uit dienst.",
    "Ann Bakker heeft Acme Pumps verlaten.",
    "Ik ben met pensioen gegaan en lees deze mail niet meer.",
    "Ich habe Acme Pumps zum 31. Mai verlassen.",
    "Ich bin seit dem 1. Mai nicht mehr bei Acme Pumps beschäftigt.",
    "Frau Bakker ist nicht mehr in unserem Hause tätig.",
    "Je ne travaille plus chez Acme Pumps.",
    "J'ai quitté Acme Pumps le 30 avril.",
    "Mme Bakker ne fait plus partie de nos effectifs.",
    "This mailbox is no longer monitored. Please write to my successor.",
]
STAYED = [
    "I am on annual leave until 3 June. My colleague Jan Smit (j.smit@acme-pumps.example) takes over.",
    "I have left the office and will be back on Monday.",
    "I am no longer responsible for purchasing; please write to Jan Smit, j.smit@acme-pumps.example.",
    "As of May I have a new role within Acme Pumps.",
    "My colleague Piet has left the company, so answers take longer. I am back on Monday.",
    "Acme Pumps is now called Zenith. My new address is a.bakker@zenith.example.",
    "This mailbox is no longer monitored until I return on 4 June.",
    "Ik werk niet op woensdag en vrijdag.",
    "Ik ben met zwangerschapsverlof; Jan Smit vervangt mij: j.smit@acme-pumps.example.",
    "Ik ben niet meer werkzaam op de afdeling Inkoop, maar op Verkoop.",
    "Ons kantoor is gesloten tot en met 2 januari.",
    "Ich bin bis zum 3. Juni in Elternzeit. Meine Vertretung ist Jan Smit, j.smit@acme-pumps.example.",
    "Ich habe das Büro bereits verlassen.",
    "Ich bin nicht mehr für den Einkauf zuständig.",
    "Je suis en congé jusqu'au 3 juin. Contactez Jan Smit, j.smit@acme-pumps.example.",
    "Je ne suis plus en charge des achats.",
    "We have received your request under number 4711.",
    "Thank you for your message.",
]


@pytest.mark.parametrize("text", LEFT)
def test_a_departure_is_flagged(text):
    assert reply(text).flag_job_change


@pytest.mark.parametrize("text", STAYED)
def test_an_absence_or_a_change_within_the_company_is_not_flagged_and_has_no_successor(text):
    report = reply(text)

    assert (report.flag_job_change, report.successor_name, report.successor_email) == (False, "", "")


SUCCESSORS = [
    ("I no longer work here. Please contact Jan van der Smit at j.smit@acme-pumps.example.", "Jan van der Smit", "j.smit@acme-pumps.example"),
    ("I have left the company. My successor is Jan Smit.", "Jan Smit", ""),
    ("Ik ben uit dienst. Mijn opvolger is mevrouw Lotte de Boer (l.deboer@acme-pumps.example).", "Lotte de Boer", "l.deboer@acme-pumps.example"),
    ("Ich habe das Unternehmen verlassen. Bitte wenden Sie sich an Herrn Dr. Karl Weiß: k.weiss@acme-pumps.example", "Karl Weiß", "k.weiss@acme-pumps.example"),
    ("J'ai quitté l'entreprise. Merci de contacter Mme Zoé Petit (z.petit@acme-pumps.example).", "Zoé Petit", "z.petit@acme-pumps.example"),
    ("I have left the company. For orders: orders@acme-pumps.example.", "", "orders@acme-pumps.example"),
    ("I have left the company. You can reach me at ann@elsewhere.example.", "", ""),
    ("I have left the company. Stay in touch: ann.bakker@gmail.com", "", ""),
    ("I have retired.\n\nKind regards,\nAnn Bakker\nAcme Pumps", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name", "address"), SUCCESSORS)
def test_who_took_over_is_named(text, name, address):
    report = reply(text)

    assert report.flag_job_change
    assert (report.successor_name, report.successor_email) == (name, address)


def test_notes_in_four_languages_are_read_rightly():
    rows = [line.split("|", 3) for line in (FOLDER / "notes.txt").read_text(encoding="utf-8").splitlines()[1:]]

    read_as = [(kind, name, address, reply(note.replace(r"\n", "\n"))) for kind, name, address, note in rows]

    assert [
        found.evidence
        for kind, name, address, found in read_as
        if (found.flag_job_change, found.successor_name, found.successor_email) != (kind == "left", name, address)
    ] == []


def test_our_own_mail_that_is_repeated_below_says_nothing():
    assert not reply("I am away this week.\n\n> I have left the company.\n> My successor is Jan Smit.").flag_job_change
    assert not reply("Out this week.\n\n-----Original Message-----\nI have left the company.").flag_job_change


def test_the_subject_of_our_mail_says_nothing_but_the_persons_own_words_do():
    assert not reply("Away.", subject="Automatic reply: I have left the company").flag_job_change
    assert reply("Goodbye.", subject="Ann Bakker is no longer with the company").flag_job_change


@pytest.mark.parametrize(
    "marks", ["X-Autoreply: yes", "Precedence: auto_reply", "X-Auto-Response-Suppress: All\nAuto-Submitted: auto-generated"]
)
def test_older_marks_of_an_automatic_reply_are_known(marks):
    report = reply("I no longer work here.", subject="Your mail", marks=marks)

    assert (report.auto_reply, report.flag_job_change) == (True, True)


def test_a_persons_own_letter_is_no_automatic_reply():
    report = reply("I no longer work here.", subject="Re: Question", marks="Auto-Submitted: no")

    assert (report.auto_reply, report.flag_job_change, report.label) == (False, False, "not_a_bounce")


def test_a_page_is_read_like_a_plain_note():
    marks = "Auto-Submitted: auto-replied\nMIME-Version: 1.0"
    raw = (
        f"From: {ANN}\nSubject: Auto\n{marks}\nContent-Type: text/html; charset=utf-8\n\n"
        '<p>I have left&nbsp;the company.</p><p>Ask <a href="mailto:j.smit@acme-pumps.example">Jan Smit</a>.</p>'
    )
    (report,) = read(raw.encode())

    assert (report.successor_name, report.successor_email) == ("Jan Smit", "j.smit@acme-pumps.example")
