"""The numbers of the system of record, each with its unit and source; an organisation may change them by setting."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from crm.policy.interfaces import Api, Sync, Webhooks
from crm.policy.own import number, override


@dataclass(frozen=True)
class Bant:
    """The stage gate. Source: playbook, 'an opportunity is an opportunity when 2 of 3 are confirmed'."""

    needed_of_three: int = 2
    stale_after_days: int = 180

    def __post_init__(self) -> None:
        """Refuse a gate that is laxer than the one the database keeps."""
        if not 2 <= self.needed_of_three <= 3:
            raise ValueError(f"BANT.needed_of_three must be 2 or 3, not {self.needed_of_three}: the database keeps 2.")


@dataclass(frozen=True)
class RequiredDmu:
    """What an account of one size needs: roles that must be filled, and how many people."""

    below_employees: int | None
    roles: tuple[str, ...]
    people: int


ROLES = frozenset({"initiator", "user", "influencer", "buyer", "decider"})


def _required_row(row: Any) -> RequiredDmu:
    """Read a row as JSON holds it; raise ValueError for anything else."""
    if not isinstance(row, list) or len(row) != 3 or not isinstance(row[1], list) or not {*map(str, row[1])} <= ROLES or not row[1]:
        raise ValueError(f'DMU.required must be rows such as [250, ["decider", "buyer"], 3], not {row!r}.')
    below, roles, people = row
    if below is not None:
        number("DMU.required: employees", below, 1, 10_000_000, whole=True)
    return RequiredDmu(below, tuple(roles), number("DMU.required: people", people, 1, 100, whole=True))


@dataclass(frozen=True)
class Dmu:
    """Coverage of the decision-making unit. Source: playbook, 'three to ten people decide'."""

    engaged_within_days: int = 90
    # An account of unknown size is treated like one of this many employees.
    unknown_size_as_employees: int = 10
    required: tuple[RequiredDmu, ...] = (
        RequiredDmu(10, ("decider",), 1),
        RequiredDmu(250, ("decider", "buyer", "user"), 3),
        RequiredDmu(None, ("initiator", "user", "influencer", "buyer", "decider"), 5),
    )

    def __post_init__(self) -> None:
        """Accept the table as an organisation writes it in JSON: rows of size, roles and people."""
        if not isinstance(self.required, list | tuple) or not self.required:
            raise ValueError(f"DMU.required must be a list of rows, not {self.required!r}.")
        rows = tuple(row if isinstance(row, RequiredDmu) else _required_row(row) for row in self.required)
        sizes = [row.below_employees or sys.maxsize for row in rows]
        if rows[-1].below_employees is not None or sizes != sorted(set(sizes)):
            raise ValueError("DMU.required must be rows of rising size, and the last one for every size: null.")
        object.__setattr__(self, "required", rows)


@dataclass(frozen=True)
class FollowUps:
    """Days a rep gets for a follow-up that the system opened. Source: judgement."""

    find_successor_days: int = 5
    gate_broken_days: int = 2
    pilot_verdict_days: int = 3
    details_days: int = 7


@dataclass(frozen=True)
class Mail:
    """What is known about addresses. Source: RFC 2142 for role names; the providers' own lists for free mail."""

    evidence_characters: int = 2_000
    # The most that a hook takes in: a notification of SES is at most 256 KB, a batch of SendGrid 768 KB.
    report_kilobytes: int = 1_024
    reports_per_chunk: int = 20
    tries_per_report: int = 5
    # After this long a worker that had claimed a report is taken for dead. Measured: a report takes milliseconds.
    report_stalled_seconds: int = 300
    # How long a Message-ID or a provider's id proves that a report is about a mail of ours; a token does so for ever.
    proof_days: int = 30
    # Of a returned mail, what is read: reports stand before the original that they return.
    read_bytes: int = 262_144
    # The return path of our mail is this, a plus sign, the delivery's token, and the domain.
    return_path: str = "bounces"
    # The page on returned mail: how far it looks back, how many domains it names, and from when one is said to block us.
    looked_back_days: int = 30
    domains_shown: int = 25
    blocked_alarm_mails: int = 3
    blocked_alarm_share: float = 0.05
    role_names: frozenset[str] = frozenset(
        {
            "abuse", "accounting", "accounts", "administratie", "admin", "billing", "boekhouding", "careers", "contact",
            "crediteuren", "customerservice", "debiteuren", "directie", "enquiries", "facturen", "finance", "hello", "help",
            "helpdesk", "hostmaster", "hr", "info", "informatie", "inkoop", "invoice", "invoices", "it", "jobs", "klantenservice",
            "kontakt", "mail", "marketing", "noc", "noreply", "no-reply", "office", "orders", "personeelszaken", "post",
            "postmaster", "press", "purchasing", "receptie", "reception", "sales", "secretariaat", "security", "service",
            "support", "team", "verkoop", "webmaster", "welkom",
        }
    )  # fmt: skip
    free_domains: frozenset[str] = frozenset(
        {
            "aol.com", "casema.nl", "freeler.nl", "gmail.com", "gmx.com", "gmx.de", "gmx.net", "googlemail.com", "hetnet.nl",
            "home.nl", "hotmail.be", "hotmail.com", "hotmail.nl", "icloud.com", "kpnmail.nl", "kpnplanet.nl", "live.com",
            "live.nl", "mac.com", "mail.com", "me.com", "msn.com", "onsmail.nl", "outlook.com", "planet.nl", "proton.me",
            "protonmail.com", "quicknet.nl", "skynet.be", "t-online.de", "telenet.be", "telfort.nl", "tele2.nl", "upcmail.nl",
            "web.de", "xs4all.nl", "yahoo.co.uk", "yahoo.com", "zeelandnet.nl", "ziggo.nl", "zonnet.nl",
        }
    )  # fmt: skip


@dataclass(frozen=True)
class Details:
    """How often people are asked whether their details are right, and how the page behind the link is guarded.

    Source: judgement; details grow old in the time in which what a person confirmed of a deal does (`Bant.stale_after_days`).
    """

    unconfirmed_days: int = 180
    # No second question to a contact within this time, whoever asks, and none by itself this soon after any other mail.
    ask_every_days: int = 60
    after_mail_days: int = 7
    link_days: int = 30
    # How many of the campaign's mails go out in a night: senders that burst are taken for spammers.
    asked_per_night: int = 200
    asked_at_once: int = 500
    # What one link, and one network address over all links, may send in an hour.
    answers_per_link: int = 30
    answers_per_address: int = 60
    # A person says to leave on a day at most so far off; beyond it the year is a slip.
    leaving_within_days: int = 730


@dataclass(frozen=True)
class MachineMade:
    """When clicks and opens are a machine's, in seconds. Sources: what senders publish on scanners, and how fast people are.

    Scanners sweep a mail's links within about a second, from seconds to minutes after delivery (Adobe Marketo's
    'proximity pattern': 0 to 3 seconds; a sender's log of 836 sweeps, craft-campaign issue 546: nearly all under a
    second, the median 43 seconds after sending). Who reads takes longer between links; two tabs in a row are common,
    so two links must be nearer to each other than three, and three nearer than five.
    """

    two_links_seconds: int = 1
    three_links_seconds: int = 5
    five_links_seconds: int = 15
    # Nobody gets, opens, reads and clicks this fast with pictures switched off. Senders' filters use 10 to 60.
    instant_click_seconds: int = 20
    # An open this long before a click shows that somebody read; a scanner fetches picture and link in one breath.
    reading_seconds: int = 2
    instant_open_seconds: int = 2
    # A proxy shows pictures to readers; one that comes this soon was loaded by a scanner in front of the mailbox.
    proxy_open_seconds: int = 10
    # Gateways open and click before they accept a mail, and 'delivered' is stamped once they do.
    before_delivery_seconds: int = 30
    # What else happens this near to a machine's clicks belongs to them: its open; its visit of the page behind the link.
    company_seconds: int = 5
    landing_seconds: int = 10
    # The same, where the very same program did it: its picture (a median of 33 seconds before the sweep, same log), its slow rest.
    picture_seconds: int = 40
    same_program_seconds: int = 15

    @property
    def reach_seconds(self) -> int:
        """How far from an event another one can lie on which its verdict depends, over all steps of the rule."""
        sweep = max(self.two_links_seconds, self.three_links_seconds, self.five_links_seconds)
        arrival = max(self.instant_click_seconds, self.instant_open_seconds, self.proxy_open_seconds, self.before_delivery_seconds)
        company = max(self.company_seconds, self.picture_seconds)
        return sweep + company + 2 * arrival + self.reading_seconds + self.same_program_seconds + self.landing_seconds


@dataclass(frozen=True)
class Recording:
    """Bounds on what one call may record. Source: measured, 1,000 rows are one statement of about 1 MB."""

    activities_per_call: int = 10_000
    rows_per_statement: int = 1_000


@dataclass(frozen=True)
class Exports:
    """Bounds on a list that is taken out. Source: measured, 5,000 rows take about a second, 1,000 at a time bound the memory."""

    at_once_rows: int = 5_000
    rows_per_chunk: int = 1_000
    xlsx_rows: int = 200_000


@dataclass(frozen=True)
class Retention:
    """How long facts about people are kept, in days. Source: judgement; check it with your privacy officer."""

    ended_contact_days: int = 730
    delivery_report_days: int = 365
    # Five years, as long as a claim under a contract can be made in the Netherlands; 0 keeps activities for ever.
    activity_days: int = 1_825
    # Raw reports hold whole mails; once worked off they serve as evidence only.
    raw_report_days: int = 30
    # A finished export is a copy of what its owner could see then.
    export_file_days: int = 7
    # The program that made an activity: needed while late events can still change what is thought of its neighbours.
    user_agent_days: int = 30


@dataclass(frozen=True)
class Uploads:
    """Bounds on what may be imported from a file. Source: measured; what a person exports is far below them."""

    file_megabytes: int = 50
    rows: int = 200_000
    columns: int = 300
    cell_characters: int = 10_000
    # An Excel file is a zip: what it may unpack to, and how many times its packed size one part may be.
    unpacked_megabytes: int = 200
    unpacked_times: int = 200
    rows_per_chunk: int = 5_000
    # A trial of more rows is the worker's, so that nobody waits for it.
    at_once_rows: int = 5_000
    # How often a worker may be stopped in one chunk before the import gives up.
    tries_per_chunk: int = 5
    stalled_seconds: int = 60
    first_problems: int = 20
    # Leads are tried and imported while their sender waits; more are the command's. Source: measured, 20,000 lines in 4 s.
    leads_at_once: int = 20_000
    # A funnel that was tried and not imported by then is forgotten; nobody's erasure looks into its files.
    tried_days: int = 1
    kept_days: int = 30


API = Api()
BANT = Bant()
DETAILS = Details()
DMU = Dmu()
EXPORTS = Exports()
FOLLOW_UPS = FollowUps()
MACHINE_MADE = MachineMade()
MAIL = Mail()
RECORDING = Recording()
RETENTION = Retention()
SYNC = Sync()
UPLOADS = Uploads()
WEBHOOKS = Webhooks()
ZONE = ZoneInfo("Europe/Amsterdam")


def oldest_day_kept(at: datetime) -> date | None:
    """Give the first local day of which activities are kept; None when they are kept for ever."""
    return day_of(at) - timedelta(days=RETENTION.activity_days) if RETENTION.activity_days else None


def day_of(at: datetime) -> date:
    """Give the local calendar day of a moment, in the organisation's time zone."""
    return at.astimezone(ZONE).date()


def use_zone(name: str) -> None:
    """Set the organisation's time zone; called once at start."""
    global ZONE
    ZONE = ZoneInfo(name)


def configure(overrides: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Apply an organisation's numbers to this module; return the names that it does not have."""
    return list(override(sys.modules[__name__], overrides))


def required_dmu(employees: int | None) -> RequiredDmu:
    """Give the roles and number of people that a company of this size needs."""
    size = DMU.unknown_size_as_employees if employees is None else employees
    return next(row for row in DMU.required if row.below_employees is None or size < row.below_employees)
