"""The database triggers that number changes and write down who saw what is gone: no path gets around them.

A row carries the number of the transaction that wrote it last, so that a change costs no second row, no second lock and no
queue. PostgreSQL numbers transactions itself; SQLite, where writers are one at a time, counts in a row of `SerialEra`.

Trap: on SQLite Django alters a table by copying it, and its triggers go with the old one. So they are put in place after
every run of migrations that did something, not in a migration; the test database gets them in the same way.
"""

from collections.abc import Iterator

from django.db import connection, migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from crm.models import SightChange
from crm.models.changes import serial_field
from crm.models.opportunities import OPEN_STAGES
from crm.sync import followed
from crm.sync.followed import Followed

_INTO = (
    "INSERT INTO crm_sightchange (kind, record_id, change_serial, changed_at, person_id, account_id, owner_id, team_id)"
    " SELECT {kind}, {record}, {serial}, {now}, {person}, "
)
_SQLITE = {"serial": "(SELECT counter FROM crm_serialera)", "now": "strftime('%Y-%m-%d %H:%M:%f', 'now')"}
_POSTGRESQL = {"serial": "crm_serial()", "now": "now()"}
_OPEN = "({row}.stage IN (" + ", ".join(f"'{stage.value}'" for stage in OPEN_STAGES) + "))"
# Who works a deal at an account that is not his own sees, or saw, what lies there.
_DEAL = "d.account_id, d.owner_id, NULL FROM {o} JOIN crm_account AS a ON a.id = d.account_id WHERE a.owner_id IS DISTINCT FROM d.owner_id"
_HANDED = f"'{SightChange.ACCOUNT_HANDED_OVER}'"
_COUNT = (
    "INSERT INTO crm_serialera (id, name, place, base, counter) VALUES (1, lower(hex(randomblob(16))), '', 0, 1)"
    " ON CONFLICT (id) DO UPDATE SET counter = counter + 1"
)


def install() -> None:
    """Put every trigger in place, as it should be; safe to repeat."""
    make = _postgresql if connection.vendor == "postgresql" else _sqlite
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in make():
            cursor.execute(statement)


def are_due() -> bool:
    """Say whether every table is there that takes one: migrations may be run one app at a time."""
    return _tables() <= set(connection.introspection.table_names())


def _tables() -> set[str]:
    wholes = (table._meta.db_table for part in followed.parts() for table in (part.model, part.whole))
    return {*(one.table for one in followed.every()), *wholes, SightChange._meta.db_table}


def numbered(app: str, model: str) -> migrations.SeparateDatabaseAndState:
    """Add the column to a table in place, in a migration: on SQLite Django would copy the table, and lose its triggers."""
    table, field = f"{app}_{model}", serial_field()
    column = f"ALTER TABLE {table} ADD COLUMN change_serial bigint NOT NULL DEFAULT 0"
    backwards = f"ALTER TABLE {table} DROP COLUMN change_serial"
    return migrations.SeparateDatabaseAndState([migrations.RunSQL(column, backwards)], [migrations.AddField(model, "change_serial", field)])


def come_last() -> migrations.RunPython:
    """Let the triggers come after the last migration; backwards, take them away before their column goes."""
    return migrations.RunPython(migrations.RunPython.noop, _take_away)


def _take_away(_apps: object, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for statement in list(drop()):
        schema_editor.execute(statement, params=None)


def number_from(base: int) -> str:
    """Give the statement that makes PostgreSQL number changes from here on."""
    return (
        "CREATE OR REPLACE FUNCTION crm_serial() RETURNS bigint LANGUAGE sql STABLE AS"
        f" $$ SELECT {int(base)} + pg_current_xact_id()::text::bigint $$"
    )


def drop() -> Iterator[str]:
    """Give the statements that take every trigger away: a migration backwards must not leave them without their column."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'crm\\_sync\\_%' ESCAPE '\\'")
            yield from (f"DROP TRIGGER {name}" for (name,) in cursor.fetchall())
        else:
            cursor.execute("SELECT proname FROM pg_proc WHERE proname LIKE 'crm\\_sync\\_%'")
            yield from (f"DROP FUNCTION {name} CASCADE" for (name,) in cursor.fetchall())


# --- both ------------------------------------------------------------------------------------------
def _gone(one: Followed, o: str, **dialect: str) -> str:
    """Write down that a row is gone, or elsewhere, once for each owner and team by whom it was seen."""
    into = _INTO.format(kind=f"'{one.kind}'", record="o.id", person=one.person, **dialect)
    return "; ".join(into + seen.format(o=o) for seen in one.seen_by) + ";"


def _handed(row: str, **dialect: str) -> str:
    into = _INTO.format(kind=_HANDED, record=f"{row}.id", person="NULL", **dialect)
    return f"{into} {row}.id, {row}.owner_id, {row}.team_id;"


def _deal(o: str, row: str, **dialect: str) -> str:
    into = _INTO.format(kind=_HANDED, record="d.account_id", person="NULL", **dialect)
    return f"{into} {_DEAL.format(o=o)} AND {_OPEN.format(row=row)};"


def _touch(table: str, record: str, *, to: str = "0") -> str:
    """Write the serial of a record; whatever is written, another trigger puts the right one there."""
    return f"UPDATE {table} SET change_serial = {to} WHERE id = {record};"  # noqa: S608  names of our own tables


_OTHER_OWNER = "OLD.owner_id IS DISTINCT FROM NEW.owner_id OR OLD.team_id IS DISTINCT FROM NEW.team_id"
_OTHER_DEAL = (
    "OLD.owner_id IS DISTINCT FROM NEW.owner_id OR OLD.account_id IS DISTINCT FROM NEW.account_id"
    f" OR {_OPEN.format(row='OLD')} <> {_OPEN.format(row='NEW')}"
)


def _moved(one: Followed) -> str:
    return " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in one.moved_by)


# --- PostgreSQL ------------------------------------------------------------------------------------
def _postgresql() -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(base), 0) FROM crm_serialera")
        yield number_from(cursor.fetchone()[0])
    yield _function("crm_sync_serial", "NEW.change_serial := crm_serial(); RETURN NEW;")
    for one in followed.every():
        yield _trigger(one.table, "serial", "BEFORE INSERT OR UPDATE", "FOR EACH ROW", function="crm_sync_serial")
        if one.seen_by:
            # One statement for all rows of a deletion; an update that moves a row is rarer.
            yield _function(f"crm_sync_{one.table}_gone", _gone(one, "gone_rows AS o", **_POSTGRESQL) + " RETURN NULL;")
            yield _trigger(one.table, "gone", "AFTER DELETE", "REFERENCING OLD TABLE AS gone_rows FOR EACH STATEMENT")
        if one.moved_by:
            yield _function(f"crm_sync_{one.table}_moved", _gone(one, "(SELECT OLD.*) AS o", **_POSTGRESQL) + " RETURN NULL;")
            yield _trigger(one.table, "moved", f"AFTER UPDATE OF {', '.join(one.moved_by)}", f"FOR EACH ROW WHEN ({_moved(one)})")
    yield _function("crm_sync_crm_account_handed", _handed("OLD", **_POSTGRESQL) + _handed("NEW", **_POSTGRESQL) + " RETURN NULL;")
    yield _trigger("crm_account", "handed", "AFTER UPDATE OF owner_id, team_id", f"FOR EACH ROW WHEN ({_OTHER_OWNER})")
    yield from _postgresql_deals()
    yield from _postgresql_parts()


def _postgresql_deals() -> Iterator[str]:
    old, new = (_deal(f"(SELECT {row}.*) AS d", row, **_POSTGRESQL) for row in ("OLD", "NEW"))
    body = f"IF TG_OP <> 'INSERT' THEN {old} END IF; IF TG_OP <> 'DELETE' THEN {new} END IF; RETURN NULL;"
    yield _function("crm_sync_crm_opportunity_deal", body)
    yield _trigger("crm_opportunity", "deal", "AFTER INSERT OR DELETE", "FOR EACH ROW")
    changed = f"FOR EACH ROW WHEN ({_OTHER_DEAL})"
    yield _trigger("crm_opportunity", "deal_changed", "AFTER UPDATE", changed, function="crm_sync_crm_opportunity_deal")


def _postgresql_parts() -> Iterator[str]:
    for part in followed.parts():
        table, whole = part.model._meta.db_table, part.whole._meta.db_table
        body = _touch(whole, f"(CASE TG_OP WHEN 'DELETE' THEN OLD.{part.column} ELSE NEW.{part.column} END)")
        yield _function(f"crm_sync_{table}_part", f"{body} RETURN NULL;")
        yield _trigger(table, "part", "AFTER INSERT OR UPDATE OR DELETE", "FOR EACH ROW")


def _function(name: str, body: str) -> str:
    return f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"


def _trigger(table: str, name: str, when: str, rows: str, *, function: str = "") -> str:
    function = function or f"crm_sync_{table}_{name}"
    return f"CREATE OR REPLACE TRIGGER crm_sync_{name} {when} ON {table} {rows} EXECUTE FUNCTION {function}()"


# --- SQLite ----------------------------------------------------------------------------------------
def _sqlite() -> Iterator[str]:
    # Rows of before have no number; the era must be there before the first of them is asked for.
    for one in followed.every():
        columns = ", ".join(f"OLD.{column} AS {column}" for column in ("id", *one.columns))
        gone = _COUNT + "; " + _gone(one, f"(SELECT {columns}) AS o", **_SQLITE) if one.seen_by else ""
        yield from _of(one.table, "insert", "AFTER INSERT", _touch(one.table, "NEW.id"))
        serial = f"{_COUNT}; {_touch(one.table, 'NEW.id', to=_SQLITE['serial'])}"
        # It does not set itself off: SQLite's triggers do not by default.
        yield from _of(one.table, "update", "AFTER UPDATE", serial)
        if one.seen_by:
            yield from _of(one.table, "gone", "AFTER DELETE", gone)
        if one.moved_by:
            yield from _of(one.table, "moved", f"AFTER UPDATE OF {', '.join(one.moved_by)}", gone, when=_moved(one))
    handed = f"{_COUNT}; {_handed('OLD', **_SQLITE)} {_handed('NEW', **_SQLITE)}"
    yield from _of("crm_account", "handed", "AFTER UPDATE OF owner_id, team_id", handed, when=_OTHER_OWNER)
    yield from _sqlite_deals()
    for part in followed.parts():
        for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            body = _touch(part.whole._meta.db_table, f"{row}.{part.column}")
            yield from _of(part.model._meta.db_table, f"part_{event.lower()}", f"AFTER {event}", body)


def _sqlite_deals() -> Iterator[str]:
    columns = ("account_id", "owner_id")
    old, new = (
        _deal("(SELECT " + ", ".join(f"{row}.{column} AS {column}" for column in columns) + ") AS d", row, **_SQLITE)
        for row in ("OLD", "NEW")
    )
    yield from _of("crm_opportunity", "deal_insert", "AFTER INSERT", f"{_COUNT}; {new}")
    yield from _of("crm_opportunity", "deal_delete", "AFTER DELETE", f"{_COUNT}; {old}")
    yield from _of("crm_opportunity", "deal_update", "AFTER UPDATE", f"{_COUNT}; {old} {new}", when=_OTHER_DEAL)


def _of(table: str, name: str, event: str, body: str, *, when: str = "") -> Iterator[str]:
    """Make a trigger anew: there is no "or replace" here."""
    condition = f" WHEN {when}" if when else ""
    yield f"DROP TRIGGER IF EXISTS crm_sync_{table}_{name}"
    yield f"CREATE TRIGGER crm_sync_{table}_{name} {event} ON {table} FOR EACH ROW{condition} BEGIN {body} END"
