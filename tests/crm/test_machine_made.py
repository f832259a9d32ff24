"""The rule that tells scanners from people, on plain events: one mail to one contact, in seconds after its delivery."""

import random

import pytest

from crm import policy
from crm.machine_made import Arrival, Event, judge
from tests.crm.test_machine_agents import CHROME, GMAIL, GMAIL_PREFETCH

MAIL = "m1@mail.example"
DELIVERED = [Arrival(0.0, frozenset({MAIL}))]
KINDS = {"open": "email_open", "click": "email_click", "view": "pricing_view"}


def events(*rows):
    """Make events of rows such as ('click', 12.5, 'a') or ('open', 3, '', {'user_agent': ...})."""
    made = []
    for number, (kind, at, *rest) in enumerate(rows, start=1):
        link, facts = (*rest, "", {})[0], next((one for one in rest if isinstance(one, dict)), {})
        facts = {"message_id": MAIL, "link": link if isinstance(link, str) else ""} | facts
        made.append(Event(number, KINDS[kind], float(at), **facts))
    return made


def reasons(*rows, arrivals=()):
    made = events(*rows)
    found = judge(made, arrivals)
    return [found[event.id] for event in made]


def test_all_links_within_a_second_are_a_scanners_however_long_after_delivery():
    rows = [("click", 90_000 + n / 10, f"link{n}") for n in range(4)]

    assert reasons(*rows) == ["link_scanner"] * 4


def test_two_links_within_a_second_are_a_scanners_and_two_tabs_in_a_row_are_a_persons():
    assert reasons(("click", 600, "a"), ("click", 600.4, "b")) == ["link_scanner", "link_scanner"]
    assert reasons(("click", 600, "a"), ("click", 602, "b")) == ["", ""]


def test_a_double_click_on_one_link_is_a_persons():
    assert reasons(("click", 600, "a"), ("click", 600.3, "a")) == ["", ""]
    assert reasons(("click", 600), ("click", 600.3)) == ["", ""]


def test_a_slow_sweep_of_many_links_is_a_scanners_to_its_last_link():
    rows = [("click", 100 + 3 * n, f"link{n}") for n in range(7)]

    assert reasons(*rows) == ["link_scanner"] * 7


def test_somebody_who_reads_and_clicks_three_links_counts():
    assert reasons(("open", 300), ("click", 320, "a"), ("click", 330, "b"), ("click", 345, "c")) == [""] * 4


def test_a_person_who_clicks_a_minute_after_the_scanner_counts():
    sweep = [("click", n / 5, f"link{n}") for n in range(5)]

    found = reasons(*sweep, ("open", 52), ("click", 61, "link3"), arrivals=DELIVERED)

    assert found == [*["link_scanner"] * 5, "", ""]


def test_a_person_with_the_scanners_own_browser_counts_a_minute_later():
    same = {"user_agent": CHROME}
    sweep = [("click", n / 5, f"link{n}", same) for n in range(5)]

    assert reasons(*sweep, ("click", 61, "link3", same), arrivals=DELIVERED)[-1] == ""


def test_a_click_within_seconds_of_delivery_before_any_open_is_a_scanners():
    assert reasons(("click", 4, "a"), arrivals=DELIVERED) == ["instant_click"]


def test_a_click_before_the_mail_was_even_accepted_is_a_scanners():
    assert reasons(("open", -9), ("click", -6, "a"), arrivals=DELIVERED) == ["instant_open", "instant_click"]


def test_a_click_without_open_counts_later_because_pictures_may_be_blocked():
    assert reasons(("click", 45, "a"), arrivals=DELIVERED) == [""]


def test_a_quick_reader_who_opened_first_counts():
    assert reasons(("open", 7), ("click", 13, "a"), arrivals=DELIVERED) == ["", ""]


def test_an_open_in_the_same_breath_as_an_instant_click_shows_no_reader():
    assert reasons(("open", 5), ("click", 5.5, "a"), arrivals=DELIVERED) == ["scanner_company", "instant_click"]


def test_the_open_of_a_proxy_shows_no_reader_either():
    rows = [("open", 5, "", {"user_agent": "Mozilla/5.0"}), ("click", 12, "a")]

    assert reasons(*rows, arrivals=DELIVERED) == ["mail_proxy", "instant_click"]


def test_another_mails_delivery_makes_no_click_instant():
    other = [Arrival(0.0, frozenset({"other@mail.example"}))]

    assert reasons(("click", 4, "a"), arrivals=other) == [""]
    assert reasons(("click", 4, "a"), arrivals=[Arrival(0.0)]) == ["instant_click"]


def test_an_open_the_moment_it_is_delivered_is_a_machines():
    assert reasons(("open", 1), arrivals=DELIVERED) == ["instant_open"]
    assert reasons(("open", 6), arrivals=DELIVERED) == [""]


def test_gmails_proxy_is_its_reader_but_for_the_first_seconds():
    through = {"user_agent": GMAIL}

    assert reasons(("open", 5, "", through), ("open", 300, "", through), arrivals=DELIVERED) == ["mail_proxy", ""]
    assert reasons(("open", 5, "", through)) == [""]  # nobody knows when it was delivered


def test_a_prefetch_is_a_machines_hours_later_too():
    assert reasons(("open", 9_000, "", {"user_agent": GMAIL_PREFETCH}), arrivals=DELIVERED) == ["mail_proxy"]


def test_the_picture_that_the_scanner_loaded_goes_with_its_sweep():
    same = {"user_agent": CHROME}
    sweep = [("click", 43 + n / 10, f"link{n}", same) for n in range(3)]

    assert reasons(("open", 10, "", same), *sweep)[0] == "scanner_company"
    assert reasons(("open", 10, "", {"user_agent": GMAIL}), *sweep)[0] == ""
    assert reasons(("open", 41), *sweep)[0] == "scanner_company"


def test_the_page_behind_a_scanners_link_is_no_visit_and_a_persons_is():
    sweep = [("click", n / 10, f"link{n}") for n in range(3)]

    assert reasons(*sweep, ("view", 2), ("view", 700))[3:] == ["scanner_company", ""]
    assert reasons(("click", 600, "a"), ("view", 601)) == ["", ""]


def test_a_scan_of_one_mail_takes_no_click_in_another_with_it():
    sweep = [("click", 600 + n / 10, f"link{n}") for n in range(4)]
    reading = ("click", 600.2, "x", {"message_id": "m2@mail.example"})

    assert reasons(*sweep, reading) == [*["link_scanner"] * 4, ""]


def test_what_a_source_or_a_person_said_stands_and_a_persons_click_proves_no_sweep():
    said = {"is_settled": True}
    one, two, three = ("click", 0, "a", said), ("click", 0.5, "b"), ("click", 0.7, "c", said | {"machine_reason": "filtered"})

    assert reasons(one, two) == ["", ""]
    assert reasons(one, two, three) == ["", "link_scanner", "filtered"]


def test_a_reason_that_an_agent_gave_stays_when_the_agent_is_let_go():
    assert reasons(("open", 900, "", {"machine_reason": "mail_proxy"})) == ["mail_proxy"]
    assert reasons(("click", 900, "a", {"machine_reason": "link_scanner"})) == [""]


def test_the_numbers_are_an_organisations_own(monkeypatch):
    monkeypatch.setattr(policy, "MACHINE_MADE", policy.MachineMade(instant_click_seconds=60))

    assert reasons(("click", 45, "a"), arrivals=DELIVERED) == ["instant_click"]


@pytest.mark.parametrize("seed", range(20))
def test_an_event_depends_on_nothing_beyond_the_reach(seed):
    rolls, reach = random.Random(seed), policy.MACHINE_MADE.reach_seconds
    rows = [
        (rolls.choice(["open", "click", "click", "view"]), rolls.uniform(0, 5 * reach), rolls.choice("abcdef"),
         {"user_agent": rolls.choice(["", CHROME, GMAIL, "curl/8"])})
        for _ in range(150)
    ]  # fmt: skip
    arrivals = [Arrival(rolls.uniform(0, 5 * reach), frozenset({MAIL})) for _ in range(6)]
    made = events(*rows)
    whole = judge(made, arrivals)

    for event in rolls.sample(made, 30):
        near = [other for other in made if abs(other.at - event.at) <= reach]
        there = [arrival for arrival in arrivals if abs(arrival.at - event.at) <= reach]
        assert judge(near, there)[event.id] == whole[event.id]


def test_ten_thousand_clicks_of_one_contact_are_judged_at_once():
    rows = [Event(n, "email_click", n / 100, MAIL, f"link{n % 7}") for n in range(10_000)]

    assert set(judge(rows, [Arrival(n / 10) for n in range(1_000)]).values()) == {"link_scanner"}
