"""Measure the marking of machine-made activity: what a scanner scores, and what of people is lost.

./dev bench machine [--sequences 10000] [--seed 1]    DATABASE_URL chooses the server; a database of its own is made and dropped.

Two worlds are made from what senders and makers publish about them, and know nothing of the rule's numbers. They are
recorded through the product's own rule, in calls of thousands and in the order in which providers send: late, and mixed.
"""

import argparse
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection  # noqa: E402

from crm import activities, policy  # noqa: E402
from crm.models import Account, Activity, Contact, Person  # noqa: E402
from crm.new_activities import NewActivity  # noqa: E402

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PEOPLE_PER_ACCOUNT = 50
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36 Edg/125.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 11; CUBOT X50) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
)
READERS = (
    *BROWSERS,
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/8.0; .NET4.0C; Microsoft Outlook 16.0.17628; ms-office; MSOffice 16)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:115.0) Gecko/20100101 Thunderbird/115.12.0",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "",
)
# What scanners say they are: mostly a browser, as their makers want them to look.
SCANNERS = (
    (60, BROWSERS),
    (10, ("", "-")),
    (8, ("Barracuda Sentinel (EE)", "Mozilla/5.0 (compatible; proofpoint-urldefense/2.1)", "Mimecast-URL-Scanner/3")),
    (8, ("python-requests/2.31.0", "Go-http-client/1.1", "curl/7.88.1", "Apache-HttpClient/4.5.13 (Java/11.0.19)")),
    (7, ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/119.0.0.0 Safari/537.36",)),
    (7, ("Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534+ (KHTML, like Gecko) BingPreview/1.0b", "Mozilla/5.0")),
)
PREFETCHERS = (
    "Mozilla/5.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0",
)
Sequence = list[NewActivity]


class Mail:
    """One mail to one contact, and what its recipient, or a machine before it, does with it."""

    def __init__(self, contact: Contact, name: str, rolls: random.Random) -> None:
        self.rolls, self.done = rolls, []  # type: random.Random, Sequence
        self.delivered = AT + timedelta(seconds=rolls.uniform(0, 6 * 3600))
        self.links = [f"https://www.example.nl/{name}/{number}" for number in range(rolls.choice((1, 2, 3, 3, 4, 5, 6, 8, 12)))]
        self.facts = NewActivity(contact.account_id, "email_sent", self.delivered, contact_id=contact.pk, message_id=f"{name}@mail.example")
        self.queued = rolls.uniform(0.5, 8)
        sent = replace(self.facts, occurred_at=self.delivered - timedelta(seconds=self.queued), external_id=f"{name}-sent")
        self.ours = [sent, replace(self.facts, kind="email_delivered", external_id=f"{name}-delivered")]
        if rolls.random() < 0.1:  # a provider that reports no deliveries
            self.ours.pop()

    def opens(self, seconds: float, agent: str) -> None:
        self._add("email_open", seconds, agent)

    def clicks(self, seconds: float, agent: str, link: str) -> None:
        self._add("email_click", seconds, agent, link)

    def _add(self, kind: str, seconds: float, agent: str, link: str = "") -> None:
        # Providers stamp whole seconds as often as not.
        moment = self.delivered + timedelta(seconds=seconds if self.rolls.random() < 0.5 else round(seconds))
        name = f"{self.facts.message_id}-{len(self.done)}"
        self.done.append(replace(self.facts, kind=kind, occurred_at=moment, user_agent=agent, link=link, external_id=name))


def scanner(mail: Mail) -> None:
    """A gateway: sweeps all links, most in about a second, some at a crawl; before or minutes after delivery; seldom the picture."""
    rolls = mail.rolls
    agent = rolls.choice(rolls.choices([agents for _weight, agents in SCANNERS], [weight for weight, _agents in SCANNERS])[0])
    start = rolls.choices(
        [lambda: rolls.uniform(-mail.queued, 5), lambda: rolls.lognormvariate(3.7, 0.6), lambda: rolls.uniform(60, 600)], [30, 50, 20]
    )[0]()
    step = rolls.choices([0.03, 0.3, 1.2, 3.0], [55, 25, 14, 6])[0]
    if rolls.random() < 0.3:
        mail.opens(max(0.2 - mail.queued, start - rolls.choice((0.2, 1.5, rolls.uniform(3, 30)))), agent)
    moment = start
    for link in mail.links if rolls.random() < 0.9 else rolls.sample(mail.links, (len(mail.links) + 1) // 2):
        mail.clicks(moment, agent, link)
        if rolls.random() < 0.1:
            mail.clicks(moment + rolls.uniform(0, 0.5), agent, link)
        moment += rolls.expovariate(1 / step)


def prefetcher(mail: Mail) -> None:
    """A mail service that loads pictures for everybody, soon or hours later; nobody clicks."""
    mail.opens(mail.rolls.choice((mail.rolls.uniform(0, 20), mail.rolls.lognormvariate(7, 1.5))), mail.rolls.choice(PREFETCHERS))


def reader(mail: Mail) -> None:
    """Somebody who opens after minutes or hours and clicks one link or two, some in the same breath, some twice by mistake."""
    rolls, agent = mail.rolls, mail.rolls.choice(BROWSERS)
    opened = rolls.lognormvariate(7.5, 1.8) + 15
    mail.opens(opened, rolls.choice(READERS))
    moment = opened + rolls.lognormvariate(2.7, 0.9) + 1.5
    for link in rolls.sample(mail.links, min(len(mail.links), rolls.choices((0, 1, 2, 3), (45, 38, 14, 3))[0])):
        mail.clicks(moment, agent, link)
        if rolls.random() < 0.05:
            mail.clicks(moment + rolls.uniform(0.15, 0.8), agent, link)
        # Tabs opened in a row by one in three, else a page is read in between.
        moment += rolls.uniform(1.2, 4) if rolls.random() < 0.33 else rolls.lognormvariate(3.7, 0.9) + 2
    if rolls.random() < 0.1:
        mail.opens(moment + rolls.uniform(3600, 90_000), rolls.choice(READERS))


def blind_reader(mail: Mail) -> None:
    """Somebody whose mail program blocks pictures: clicks, and was never seen to open."""
    moment, agent = mail.rolls.lognormvariate(7, 1.8) + 12, mail.rolls.choice(BROWSERS)
    for link in mail.rolls.sample(mail.links, min(len(mail.links), mail.rolls.choice((1, 1, 2)))):
        mail.clicks(moment, agent, link)
        moment += mail.rolls.lognormvariate(3.2, 1) + 1.2


def quick_reader(mail: Mail) -> None:
    """Somebody who sits at the mailbox: opens within a minute, and clicks seconds later."""
    agent, opened = mail.rolls.choice(BROWSERS), mail.rolls.uniform(5, 60)
    if mail.rolls.random() < 0.8:
        mail.opens(opened, mail.rolls.choice(READERS))
    mail.clicks(opened + mail.rolls.uniform(1.5, 9), agent, mail.rolls.choice(mail.links))


def scanned_reader(mail: Mail) -> None:
    """A reader behind a gateway: the scanner comes first, the person a minute or hours later. What the person does is told apart."""
    scanner(mail)
    before = len(mail.done)
    swept = max((row.occurred_at - mail.delivered).total_seconds() for row in mail.done)
    start = max(0.0, swept) + mail.rolls.uniform(45, 3600)
    mail.opens(start, mail.rolls.choice(READERS))
    mail.clicks(start + mail.rolls.uniform(3, 60), mail.rolls.choice(BROWSERS), mail.rolls.choice(mail.links))
    mail.ours += mail.done[:before]
    mail.done = mail.done[before:]


Habit = Callable[[Mail], None]
MACHINES: list[tuple[Habit, int]] = [(scanner, 85), (prefetcher, 15)]
HUMANS: list[tuple[Habit, int]] = [(reader, 70), (blind_reader, 12), (quick_reader, 8), (scanned_reader, 10)]


def sequences(contacts: list[Contact], habits: list[tuple[Habit, int]], name: str, rolls: random.Random) -> Iterator[tuple[str, Mail]]:
    """Give a mail for each contact, with the habit that made its events."""
    for number, contact in enumerate(contacts):
        habit = rolls.choices([habit for habit, _weight in habits], [weight for _habit, weight in habits])[0]
        mail = Mail(contact, f"{name}{number}", rolls)
        habit(mail)
        yield habit.__name__, mail


def make_contacts(count: int) -> list[Contact]:
    """Make the recipients of one world, each of a company."""
    accounts = Account.objects.bulk_create(Account(name=f"Bedrijf {n}", domain="") for n in range(-(-count // PEOPLE_PER_ACCOUNT)))
    persons = Person.objects.bulk_create(Person(given_name="Jo", family_name=f"Smit {n}") for n in range(count))
    return Contact.objects.bulk_create(
        Contact(person=person, account=accounts[n // PEOPLE_PER_ACCOUNT]) for n, person in enumerate(persons)
    )


def record(rows: Sequence, rolls: random.Random) -> float:
    """Record rows as providers send them: roughly in order, some late, each call as large as a call may be; give the seconds."""
    rows = sorted(rows, key=lambda row: row.occurred_at.timestamp() + (rolls.expovariate(1 / 600) if rolls.random() < 0.3 else 0))
    begun, size = time.perf_counter(), policy.RECORDING.activities_per_call
    for start in range(0, len(rows), size):
        activities.record_many(rows[start : start + size], source="bench", at=AT + timedelta(days=30))
    return time.perf_counter() - begun


def report(count: int, seed: int) -> None:
    """Record both worlds at once, and print per habit which share scored."""
    rolls = random.Random(seed)
    worlds = {
        "scanner-like": list(sequences(make_contacts(count), MACHINES, "m", rolls)),
        "human-like": list(sequences(make_contacts(count), HUMANS, "h", rolls)),
    }
    rows = [row for made in worlds.values() for _habit, mail in made for row in (*mail.ours, *mail.done)]
    took = record(rows, rolls)
    print(f"{count} sequences each, {len(rows)} activities recorded in {took:.0f} s ({len(rows) / took:.0f} a second)")
    reasons = dict(Activity.objects.filter(source="bench").values_list("external_id", "machine_reason"))
    for name, made in worlds.items():
        show(name, made, reasons)


def show(name: str, made: list[tuple[str, Mail]], reasons: dict[str, str]) -> None:
    """Print of one world, and of each habit in it, how many events scored and why others did not."""
    all_of, scored, why = Counter[str](), Counter[str](), Counter[str]()
    for habit, mail in made:
        for row in mail.done:
            all_of[habit] += 1
            scored[habit] += not reasons[row.external_id]
            why[reasons[row.external_id] or "scored"] += 1
    total, points = sum(all_of.values()), sum(scored.values())
    share = points if name == "scanner-like" else total - points
    print(f"{name}: {total} events, {'scored' if name == 'scanner-like' else 'lost'}: {share} ({100 * share / total:.2f} %)")
    for habit in all_of:
        print(f"  {habit:<16}{all_of[habit]:>7} events, {100 * scored[habit] / all_of[habit]:6.2f} % scored")
    print("  " + ", ".join(f"{reason} {number}" for reason, number in why.most_common()))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what scanners score, and what of people is lost.")
    parser.add_argument("--sequences", type=int, default=10_000, help="of each sort (default: 10000)")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    connection.creation.create_test_db(verbosity=0)
    try:
        report(wanted.sequences, wanted.seed)
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)


if __name__ == "__main__":
    main()
