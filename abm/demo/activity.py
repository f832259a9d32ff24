"""Invented mail, web visits, calls and meetings of the last half year, as each account's story tells."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from random import Random

from abm.demo import stories
from abm.demo.people import SOURCE, Member, dice
from crm import activities, policy
from crm.models import Account, Contact, DmuRole
from crm.new_activities import NewActivity

# What people of a role do when they show up, and how likely each of it is.
HABITS: dict[str, dict[str, int]] = {
    DmuRole.DECIDER: {"email_open": 5, "email_click": 2, "email_reply": 2, "meeting": 1, "call_answered": 1, "pricing_view": 1},
    DmuRole.BUYER: {"email_open": 4, "page_view": 4, "pricing_view": 4, "download": 2, "email_reply": 1, "call_answered": 1},
    DmuRole.INFLUENCER: {"page_view": 5, "download": 3, "email_click": 3, "webinar_attended": 1, "event_visit": 1, "meeting": 1},
    DmuRole.USER: {"page_view": 7, "email_open": 4, "email_click": 3, "download": 2, "webinar_attended": 1},
    DmuRole.INITIATOR: {"page_view": 5, "email_open": 3, "email_reply": 1, "event_visit": 1, "form_demo_request": 1},
}
STRANGERS = {"page_view": 8, "pricing_view": 1, "download": 1}
SUBJECTS = {
    "page_view": ("/workstations/gtx-plus", "/cases/design-floor", "/cases/store-roll-out", "/service/next-day", "/about/sustainability"),
    "pricing_view": ("/pricing/gtx-pro", "/pricing/gtx-plus", "/pricing/mg-advanced", "/pricing/lease-or-buy"),
    "download": (
        "Buyer's guide: workstations",
        "Security white paper",
        "What a design floor costs in five years",
        "Case: 400 stores in 6 weeks",
    ),
    "form_demo_request": ("Demo of the GTX Plus Pro",),
    "email_open": ("News of this month", "The case you asked for", "Invitation: open day", "Your offer"),
    "email_click": ("News of this month: case", "Invitation: open day", "Your offer: pricing"),
    "email_reply": ("Re: Your offer", "Re: The case you asked for", "Re: A question about delivery"),
    "webinar_attended": ("Webinar: rendering without waiting", "Webinar: hardware that lasts"),
    "event_visit": ("Hardware fair, our stand", "Open day"),
    "meeting": ("First conversation", "Demo on site", "Talk about terms", "Steering group"),
    "call_answered": ("Call about the offer", "Call after the download"),
    "call_unanswered": ("Call, voice mail",),
}
MAILING = "News of this month"
MAILING_WEEKS_AGO = (22, 13, 4)
LINKS = tuple(f"https://www.example.nl/{page}" for page in ("nieuws", "prijzen", "webinar"))


def record(members: Sequence[Member], accounts: Sequence[Account], *, at: datetime) -> int:
    """Record half a year of activity that ends the day before `at`; return how many."""
    told = stories.tell(accounts)
    rows = [*_visits(members, at), *_mailings(members, at), *_strangers(accounts, told, at)]
    record_rows(rows, label="story", at=at)
    return len(rows)


def record_rows(rows: Sequence[NewActivity], *, label: str, at: datetime) -> None:
    """Record rows through the rule, as many in a call as it takes; the demo's own rows must all be right."""
    most = policy.RECORDING.activities_per_call
    named = [replace(row, external_id=f"{label}-{number}") for number, row in enumerate(rows)]
    for first in range(0, len(named), most):
        outcomes = activities.record_many(named[first : first + most], source=SOURCE, at=at)
        if wrong := [outcome.error for outcome in outcomes if outcome.error]:
            raise ValueError(wrong[0])


def _visits(members: Iterable[Member], at: datetime) -> Iterator[NewActivity]:
    """What the active people did, week by week, until they left."""
    for member in members:
        if member.seat.is_active:
            rolls = dice(f"visits of {member.contact}")
            habits = HABITS[member.seat.role]
            for moment in _moments(_at_pace(member), at, rolls):
                if member.contact.is_active(policy.day_of(moment)):
                    yield from _session(member.account, member.contact, habits, moment, rolls)


def _strangers(accounts: Iterable[Account], told: dict[int, str], at: datetime) -> Iterator[NewActivity]:
    for account in accounts:
        rolls = dice(f"strangers at {account}")
        for moment in _moments(_always(stories.STORIES[told[account.pk]].anonymous), at, rolls):
            yield from _session(account, None, STRANGERS, moment, rolls)


def _at_pace(member: Member) -> stories.Visits:
    """Make some companies quieter and others busier than their story."""
    story = stories.STORIES[member.story]
    pace = dice(f"pace of {member.account}").uniform(*story.paces)
    return lambda weeks_ago: pace * story.visits(weeks_ago)


def _always(share: float) -> stories.Visits:
    return lambda _weeks_ago: share


def _session(account: Account, contact: Contact | None, habits: dict[str, int], moment: datetime, rolls: Random) -> Iterator[NewActivity]:
    """One to three things in a row, a few minutes apart."""
    for step in range(rolls.choice((1, 1, 1, 2, 2, 3))):
        kind = rolls.choices(list(habits), weights=list(habits.values()))[0] if step == 0 else "page_view"
        yield _activity(account, contact, kind, moment + timedelta(minutes=4 * step), rolls)
        if kind == "call_answered" and rolls.random() < 0.5:
            yield _activity(account, contact, "call_unanswered", moment - timedelta(hours=2), rolls)


def _activity(account: Account, contact: Contact | None, kind: str, moment: datetime, rolls: Random) -> NewActivity:
    subject = rolls.choice(SUBJECTS[kind])
    return NewActivity(account_id=account.pk, contact_id=contact.pk if contact else None, kind=kind, occurred_at=moment, subject=subject)


def _moments(visits: stories.Visits, at: datetime, rolls: Random) -> Iterator[datetime]:
    """Moments on working days, before today, as many per week as the story says on average."""
    for weeks_ago in range(stories.WEEKS):
        share = visits(weeks_ago)
        for _each in range(int(share) + (rolls.random() < share % 1)):
            day = policy.day_of(at) - timedelta(days=7 * weeks_ago + rolls.randint(1, 7))
            yield _in_working_hours(day, rolls)


def _in_working_hours(day: date, rolls: Random) -> datetime:
    """Move a day of the weekend to the Friday before, and choose a time between nine and five."""
    day -= timedelta(days=max(0, day.weekday() - 4))
    return datetime.combine(day, time(rolls.randint(9, 16), rolls.randint(0, 59)), tzinfo=policy.ZONE)


def _mailings(members: Iterable[Member], at: datetime) -> Iterator[NewActivity]:
    """Three mailings to everybody with an address; at some companies a scanner follows every link at once."""
    for weeks_ago in MAILING_WEEKS_AGO:
        day = policy.day_of(at) - timedelta(days=7 * weeks_ago)
        for member in members:
            if member.contact.email and member.contact.is_active(day) and member.seat.mark != "-":
                yield from _mail(member, _in_working_hours(day, dice(f"mailing {weeks_ago} to {member.account}")))


def _mail(member: Member, moment: datetime) -> Iterator[NewActivity]:
    sent = NewActivity(account_id=member.account.pk, contact_id=member.contact.pk, kind="email_sent", occurred_at=moment, subject=MAILING)
    yield sent
    yield replace(sent, kind="email_delivered", occurred_at=moment + timedelta(seconds=20))
    if dice(f"scanner at {member.account}").random() < 0.15:
        # Nobody says that it is one: the rules find out.
        sweep = replace(sent, kind="email_click", message_id=f"{moment:%Y%m%d}@mail.example")
        for number, link in enumerate(LINKS):
            yield replace(sweep, occurred_at=moment + timedelta(seconds=22, milliseconds=300 * number), link=link)
