"""Read mail that came back from files, folders, maildirs and mbox files, and record what it says of our deliveries."""

import hashlib
import json
import mailbox
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import gettext as _

from crm import bounce_providers, incoming_reports, policy
from crm.models.deliverability import Outcome

MBOX_SUFFIXES = {".mbox", ".mbx"}
SHOWN = (
    "recipient", "label", "status", "smtp_code", "evidence", "message_id", "auto_reply", "flag_job_change", "successor_name", "successor_email",
)  # fmt: skip


class Message(NamedTuple):
    """One mail: where it stands, its first bytes, and the digest of all of them."""

    file: str
    raw: bytes
    digest: str


class Command(BaseCommand):
    help = "Read returned mail and record what it says of each recipient; safe to repeat. A path is a mail, an mbox, a maildir or a folder."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "paths", nargs="+", type=Path, metavar="PATH", help="a mail, an mbox file, a maildir, or a folder of any of them"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object a line, for each recipient of each mail")
        parser.add_argument("--dry-run", action="store_true", help="read only; record nothing")

    def handle(self, *, paths: list[Path], **options: Any) -> None:
        self.unreadable = 0
        counted: Counter[str] = Counter()
        for message in self.messages(paths):
            reports = bounce_providers.read(message.raw)
            if not options["dry_run"]:
                for report in reports:
                    incoming_reports.record_mail(report, digest=message.digest, at=timezone.now())
            for report in reports:
                counted[report.label] += 1
                self.stdout.write(in_json(message, report) if options["json"] else in_words(message, report))
        if not options["json"]:
            self.stdout.write(summary(counted, is_recorded=not options["dry_run"]))
        if self.unreadable:
            raise CommandError(_("Paths that could not be read: %(count)d; the rest was.") % {"count": self.unreadable}, returncode=1)

    def messages(self, paths: list[Path]) -> Iterator[Message]:
        """Give the mails of all paths; one that cannot be read is named, and the others go on."""
        for path in paths:
            for file in files(path):
                try:
                    yield from messages_of(file)
                except (OSError, mailbox.Error) as error:
                    self.unreadable += 1
                    self.stderr.write(f"{file}: {getattr(error, 'strerror', None) or error}")


def files(path: Path) -> Iterator[Path]:
    """Give the files of a path: of a maildir its new and its read mail, of a folder everything that is not hidden."""
    if not path.is_dir():
        yield path
        return
    parts = [path / "new", path / "cur"] if (path / "cur").is_dir() and (path / "new").is_dir() else [path]
    for part in parts:
        inside = sorted(part.rglob("*"))
        yield from (file for file in inside if not file.is_dir() and not file.name.startswith("."))


def messages_of(file: Path) -> Iterator[Message]:
    """Give the mails of one file, which is an mbox by its name, or where it has no suffix by its first word."""
    with file.open("rb") as opened:
        start = opened.read(policy.MAIL.read_bytes)
        opened.seek(0)
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if file.suffix.lower() in MBOX_SUFFIXES or (not file.suffix and start.startswith(b"From ")):
        yield from _in_mbox(file)
    else:
        yield Message(file.name, start, digest)


def _in_mbox(file: Path) -> Iterator[Message]:
    box = mailbox.mbox(file, create=False)
    try:
        for count, key in enumerate(box.keys(), start=1):
            raw = box.get_bytes(key)
            yield Message(f"{file.name}#{count}", raw[: policy.MAIL.read_bytes], hashlib.sha256(raw).hexdigest())
    finally:
        box.close()


def in_json(message: Message, report: bounce_providers.Report) -> str:
    """Give a report as one line of JSON."""
    facts = report._asdict()
    return json.dumps({"file": message.file, **{name: facts[name] for name in SHOWN}}, ensure_ascii=False)


def in_words(message: Message, report: bounce_providers.Report) -> str:
    """Give a report as one line for people."""
    notes = [str(Outcome(report.label).label)]
    if report.auto_reply:
        notes = [_("automatic reply")]
    if report.flag_job_change:
        notes.append(_("may have left"))
    if successor := " ".join(filter(None, [report.successor_name, report.successor_email])):
        notes.append(_("successor: %(name)s") % {"name": successor})
    return f"{message.file}: {report.recipient or _('no recipient named')}: {', '.join(notes)}"


def summary(counted: Counter[str], *, is_recorded: bool) -> str:
    """Say how many reports there were, and of which kinds."""
    if not counted:
        return _("No mail found.")
    kinds = ", ".join(f"{count} {Outcome(label).label}" for label, count in counted.most_common())
    ending = _("recorded") if is_recorded else _("nothing was recorded")
    return _("Reports: %(count)d (%(kinds)s); %(ending)s.") % {"count": counted.total(), "kinds": kinds, "ending": ending}
