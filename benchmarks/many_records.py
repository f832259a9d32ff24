"""Make an organisation of any size with a few INSERT ... SELECT: accounts with a team and an owner each, and what hangs on them."""

import random

from django.contrib.auth.models import Group
from django.db import connection

from crm.models import Team, User

TEAMS, REPS_PER_TEAM = 8, 5
STAFF = [("marketing", "bench-marketing"), ("administrator", "bench-admin")]

# Syllables make names in which three letters are neither everywhere nor nowhere.
_SYLLABLES = [
    "ba",
    "be",
    "bo",
    "da",
    "de",
    "do",
    "fa",
    "ga",
    "ge",
    "go",
    "ha",
    "he",
    "ho",
    "ja",
    "ka",
    "ke",
    "ko",
    "la",
    "le",
    "lo",
    "ma",
    "me",
    "mo",
    "na",
    "ne",
    "no",
    "pa",
    "pe",
    "po",
    "ra",
    "re",
    "ro",
    "sa",
    "se",
    "so",
    "ta",
    "te",
    "to",
    "va",
    "ve",
    "vo",
    "wa",
    "we",
    "zo",
]
_ENDINGS = ["berg", "dijk", "horst", "kamp", "laan", "man", "mans", "meer", "sen", "sma", "stra", "veld", "ven", "wijk", "zoon"]
_GIVEN = [
    "Anna",
    "Bas",
    "Carla",
    "Daan",
    "Els",
    "Finn",
    "Greet",
    "Hans",
    "Iris",
    "Jan",
    "Kees",
    "Lotte",
    "Mees",
    "Noor",
    "Olaf",
    "Piet",
    "Quinn",
    "Rosa",
    "Sem",
    "Tess",
    "Ugo",
    "Vera",
    "Wim",
    "Xandra",
    "Yara",
    "Zeno",
]
_TRADES = [
    "Bakkerij",
    "Bouw",
    "Chemie",
    "Drukkerij",
    "Energie",
    "Fiets",
    "Groep",
    "Haven",
    "Industrie",
    "Jachtbouw",
    "Koeling",
    "Logistiek",
    "Metaal",
    "Noord",
    "Optiek",
    "Papier",
]
_INDUSTRIES = [f"industry {number:02}" for number in range(40)]

# One row per account of the step's range, n; m is a row of an account. Every figure follows from n, so that each run makes the same.
# Who has one of these is drawn by a hash: a remainder would give all of them to some reps, and none to the others.
_STEPS = [
    """
    INSERT INTO crm_account (name, domain, status, industry, employees, revenue_currency, country, city, owner_id, team_id,
                             contract_conflict, source, external_id, created_at, updated_at)
    SELECT initcap((%(syllables)s::text[])[1 + n * 7 %% 44] || (%(syllables)s::text[])[1 + n * 13 / 44 %% 44] || (%(endings)s::text[])[1 + n * 31 %% 15])
             || ' ' || (%(trades)s::text[])[1 + n * 11 %% 16] || ' ' || n,
           'company' || n || '.example', (ARRAY['prospect','prospect','prospect','customer','former','competitor'])[1 + n * 17 %% 6],
           (%(industries)s::text[])[1 + n * 29 %% 40], 10 + n * 37 %% 5000, 'EUR', 'NL', 'Utrecht', (%(owners)s::bigint[])[1 + n %% %(reps)s],
           (%(teams)s::bigint[])[1 + n %% %(reps)s], false, '', '', now(), now() - n * interval '1 minute'
    FROM generate_series(%(first)s::bigint, %(last)s) AS n
    """,
    """
    INSERT INTO crm_person (given_name, family_name, language)
    SELECT (%(given)s::text[])[1 + m * 5 %% 26],
           initcap((%(syllables)s::text[])[1 + m * 7 %% 44] || (%(syllables)s::text[])[1 + m * 19 / 44 %% 44] || (%(endings)s::text[])[1 + m * 11 / 1936 %% 15]), 'nl'
    FROM generate_series(%(first)s::bigint * 5 - 4, %(last)s * 5) AS m ORDER BY m
    """,
    """
    INSERT INTO crm_contact (person_id, account_id, email, phone, job_title, function, legal_basis, source, external_id, left_on,
                             created_at, updated_at)
    SELECT %(people)s + m, %(accounts)s + (m + 4) / 5, 'p' || m || '@company' || (m + 4) / 5 || '.example', '+31201234567', 'Inkoper',
           'purchasing', 'interest', '', '', CASE WHEN abs(hashint8(m)) %% 20 = 0 THEN current_date END, now(), now() - m * interval '1 second'
    FROM generate_series(%(first)s::bigint * 5 - 4, %(last)s * 5) AS m ORDER BY m
    """,
    """
    INSERT INTO crm_dmumembership (account_id, contact_id, role, stance, is_assumed, since, until, end_reason)
    SELECT %(accounts)s + n, %(contacts)s + n * 5 - k, (ARRAY['decider','buyer','user'])[k + 1], 'neutral', abs(hashint8(n)) %% 2 = 0,
           current_date - (n %% 900)::int, NULL, ''
    FROM generate_series(%(first)s::bigint, %(last)s) AS n, generate_series(0, 1) AS k
    """,
    """
    INSERT INTO crm_opportunity (account_id, name, stage, stage_since, owner_id, team_id, amount, currency, expected_close_on, closed_on,
                                 lost_reason, imported_stage, source, external_id, revision, created_at, updated_at)
    SELECT a.id, initcap((%(syllables)s::text[])[1 + n * 3 %% 44] || (%(endings)s::text[])[1 + n * 7 %% 15]) || ' ' || n, s.stage, now(), a.owner_id, a.team_id,
           1000 + n %% 90000, 'EUR', current_date + (n %% 400)::int - 100,
           CASE WHEN s.stage IN ('won', 'lost') THEN current_date END, CASE WHEN s.stage = 'lost' THEN 'price' ELSE '' END,
           CASE WHEN s.stage = 'won' THEN 'won' ELSE '' END, '', '', 0, now(), now() - n * interval '1 minute'
    FROM generate_series(%(first)s::bigint, %(last)s) AS n JOIN crm_account AS a ON a.id = %(accounts)s + n
    CROSS JOIN LATERAL (SELECT (ARRAY['mql','sql','won','won','lost','lost'])[1 + (n / 2) %% 6] AS stage) AS s WHERE abs(hashint8(n)) %% 2 = 0
    """,
    """
    INSERT INTO crm_stagemove (opportunity_id, from_stage, to_stage, moved_at, reason, is_imported)
    SELECT id, '', stage, now() - id * interval '1 minute', '', false FROM crm_opportunity WHERE id > %(deals)s
    """,
    """
    INSERT INTO crm_confirmation (opportunity_id, kind, contact_id, confirmed_at, evidence, recorded_at, withdrawn_because)
    SELECT o.id, 'need', c.id, now(), 'said so', now(), '' FROM crm_opportunity AS o
    CROSS JOIN LATERAL (SELECT min(id) AS id FROM crm_contact WHERE account_id = o.account_id) AS c WHERE o.id > %(deals)s AND abs(hashint8(o.id)) %% 3 = 0
    """,
    """
    INSERT INTO crm_pilot (opportunity_id, success_criteria, starts_on, ends_on, verdict, verdict_note)
    SELECT id, 'works', current_date - 30, current_date + (id %% 90)::int, '', '' FROM crm_opportunity
    WHERE id > %(deals)s AND stage IN ('mql', 'sql') AND abs(hashint8(id)) %% 5 = 0
    """,
    """
    INSERT INTO crm_followup (account_id, contact_id, reason, subject_key, text, facts, owner_id, due_on, opened_at, closed_at, result)
    SELECT a.id, %(contacts)s + n * 5, 'by_hand', '', 'Call about ' || (%(trades)s::text[])[1 + n * 11 %% 16] || ' ' || n, '{}', a.owner_id,
           current_date + (n %% 200)::int - 150, now(), CASE WHEN abs(hashint8(n)) %% 4 = 0 THEN now() END, ''
    FROM generate_series(%(first)s::bigint, %(last)s) AS n JOIN crm_account AS a ON a.id = %(accounts)s + n WHERE abs(hashint8(n)) %% 2 = 0
    """,
    """
    INSERT INTO crm_activity (account_id, contact_id, kind, occurred_at, day, subject, source, external_id, machine_reason, recorded_at)
    SELECT %(accounts)s + n, %(contacts)s + n * 5 - k, (ARRAY['meeting','web_visit','email_click','call_answered'])[k + 1],
           now() - (n * 104729 %% 525600 + k) * interval '1 minute', current_date - (n * 104729 %% 525600 / 1440)::int,
           'About ' || (%(trades)s::text[])[1 + n * 11 %% 16], 'bench', '', CASE WHEN k = 2 AND abs(hashint8(n)) %% 3 = 0 THEN 'scanner' ELSE '' END, now()
    FROM generate_series(%(first)s::bigint, %(last)s) AS n, generate_series(0, 3) AS k
    """,
    """
    INSERT INTO crm_delivery (account_id, contact_id, address, subject, message_id, provider_id, return_token, sent_at, delivered_at, outcome)
    SELECT %(accounts)s + n, %(contacts)s + n * 5, 'p' || n * 5 || '@company' || n || '.example', 'News', '', '', '',
           now() - n * interval '1 minute', now(), '' FROM generate_series(%(first)s::bigint, %(last)s) AS n
    """,
    """
    INSERT INTO crm_deliveryreport (source, external_id, recipient, outcome, evidence, reported_at, delivery_id, says_left, successor_name,
        successor_email)
    SELECT 'bench', id::text, address, 'mailbox_full', '', sent_at, id, false, '', '' FROM crm_delivery WHERE id > %(mails)s AND abs(hashint8(id)) %% 5 = 0
    """,
    """
    INSERT INTO crm_suppression (address, reason, note, since)
    SELECT address, 'bounced', '', sent_at FROM crm_delivery WHERE id > %(mails)s AND abs(hashint8(id)) %% 7 = 0
    """,
    """
    INSERT INTO crm_departure (contact_id, left_on, recorded_at, reason)
    SELECT id, left_on, now() - id * interval '1 second', '' FROM crm_contact WHERE id > %(contacts)s + %(first)s * 5 - 5 AND left_on IS NOT NULL
    """,
    """
    INSERT INTO abm_accountstanding (account_id, as_of, fit, score, momentum, coverage_percent, coverage_states, is_single_threaded, refreshed_at)
    SELECT %(accounts)s + n, current_date, n * 7 %% 101, (n * 7919 %% 100003 %% 1000) / 10.0, (n * 31337 %% 100003 %% 200 - 100) / 10.0, n * 13 %% 5 * 25,
           '{"decider": "known", "buyer": "missing", "user": "engaged"}', abs(hashint8(n)) %% 9 = 0, now()
    FROM generate_series(%(first)s::bigint, %(last)s) AS n WHERE abs(hashint8(n)) %% 50 <> 0
    """,
    """
    INSERT INTO abm_accountfit (account_id, points, reasons, computed_at)
    SELECT account_id, fit, '[]', now() FROM abm_accountstanding WHERE account_id > %(accounts)s + %(first)s - 1
    """,
    """
    INSERT INTO abm_engagementscore (account_id, day, weighted_points, breadth, x, score, active_roles, parameters_id)
    SELECT account_id, as_of, score, 1, score, score, '[]', 'bench' FROM abm_accountstanding WHERE account_id > %(accounts)s + %(first)s - 1
    """,
    """
    INSERT INTO abm_jobchangesignal (kind, account_id, contact_id, status, opened_at, successor_name, successor_email, effects)
    SELECT 'person', account_id, id, (ARRAY['open','confirmed','dismissed'])[1 + id %% 3], now() - id * interval '1 second', '', '', '[]'
    FROM crm_contact WHERE id > %(contacts)s + %(first)s * 5 - 5 AND abs(hashint8(id)) %% 40 = 0
    """,
]


def people() -> dict[str, User]:
    """Make the teams, their reps and leads, and who sees everything; give one rep, one lead and one administrator."""
    random.seed(2026)
    for number in range(TEAMS):
        team = Team.objects.create(name=f"Team {number}")
        for place in range(REPS_PER_TEAM):
            _somebody(f"rep{number}-{place}", "sales rep", team)
        _somebody(f"lead{number}", "team lead", team)
    for role, name in STAFF:
        _somebody(name, role, None)
    User.objects.filter(username="bench-admin").update(is_superuser=True)
    names = {"rep": "rep3-2", "lead": "lead3", "administrator": "bench-admin"}
    return {word: User.objects.get(username=name) for word, name in names.items()}


def _somebody(name: str, role: str, team: Team | None) -> None:
    user = User.objects.create(username=name, first_name=name, team=team, is_staff=True)
    user.groups.add(Group.objects.get(name=role))


def grow(first: int, last: int) -> None:
    """Add the accounts from number `first` to `last` with everything that hangs on them, and let the planner know."""
    reps = list(User.objects.filter(username__startswith="rep").order_by("pk").values_list("pk", "team_id"))
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO abm_scoreparameters VALUES ('bench', '{}', now()) ON CONFLICT DO NOTHING")
        known = {
            "syllables": _SYLLABLES, "endings": _ENDINGS, "given": _GIVEN, "trades": _TRADES, "industries": _INDUSTRIES,
            "owners": [pk for pk, _team in reps], "teams": [team for _pk, team in reps], "reps": len(reps), "first": first, "last": last,
        }  # fmt: skip
        tables = {"accounts": "crm_account", "people": "crm_person", "contacts": "crm_contact"}
        # Numbers are given in the order of n; ids follow them at a fixed distance.
        known |= {name: _last(cursor, table) - (first - 1) * (1 if name == "accounts" else 5) for name, table in tables.items()}
        known |= {"deals": _last(cursor, "crm_opportunity"), "mails": _last(cursor, "crm_delivery")}
        for step in _STEPS:
            cursor.execute(step, known)
            # The next step joins what this one made: without figures of it, the planner walks a table per row.
            cursor.execute("ANALYZE")
        cursor.execute("VACUUM ANALYZE")


def _last(cursor: object, table: str) -> int:
    cursor.execute(f"SELECT coalesce(max(id), 0) FROM {table}")  # type: ignore[attr-defined]
    return int(cursor.fetchone()[0])  # type: ignore[attr-defined]
