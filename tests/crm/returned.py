"""The labelled mails that came back, and how well the reader does on a folder of them."""

import csv
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from crm.bounce_providers import Report, read

DATA = Path(__file__).parent.parent / "data"
JOB_CHANGES = {"person_gone", "mailbox_moved"}


class Figures(NamedTuple):
    """Shares of the scored rows; exceptions cannot occur without failing."""

    rows: int
    precision: float
    recall: float
    accuracy: float
    recipients: float
    domain_recall: float


def labels(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Give the rows of labels.csv by file."""
    rows = defaultdict(list)
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as opened:
        for row in csv.DictReader(opened):
            rows[row["file"]].append(row)
    return rows


def found_for(row: dict[str, str], reports: list[Report]) -> Report | None:
    """Give the report about a row's recipient, under either of its addresses."""
    wanted = {row["recipient"].lower(), row["recipient_alt"].lower()} - {""}
    return next((report for report in reports if report.recipient.lower() in wanted), None)


def figures(folder: Path) -> Figures:
    """Read every mail of a folder and compare it with its labels."""
    outcomes, addressed = [], []
    for file, rows in labels(folder).items():
        reports = read((folder / "eml" / file).read_bytes())
        for row in rows:
            report = found_for(row, reports)
            if row["recipient"] and row["label"] != "not_a_bounce":
                addressed.append(report is not None)
            if row["scored"] == "1":
                only = reports[0] if len(reports) == 1 else None
                outcomes.append((row["label"], report or only))
    flagged = [label for label, report in outcomes if report and report.flag_job_change]
    changed = [report for label, report in outcomes if label in JOB_CHANGES]
    domains = [report for label, report in outcomes if label == "domain_gone"]
    return Figures(
        rows=len(outcomes),
        precision=sum(label in JOB_CHANGES for label in flagged) / max(1, len(flagged)),
        recall=sum(bool(report and report.flag_job_change) for report in changed) / max(1, len(changed)),
        accuracy=sum(bool(report and report.label == label) for label, report in outcomes) / max(1, len(outcomes)),
        recipients=sum(addressed) / max(1, len(addressed)),
        domain_recall=sum(bool(report and report.label == "domain_gone") for report in domains) / max(1, len(domains)),
    )
