"""Triggers for what a CHECK of the gate cannot see: whose confirmations a deal points at, and when it became history.

A CHECK sees one row. That the confirmations a deal entered its stage with are its own and of the right kind takes a look at
another table; that imported history is so from birth takes a look at the row as it was. Both are refused here, whoever writes; and a
confirmation stays the deal's and of the kind that it was given for, otherwise it could be lent out for a moment.

Trap: on SQLite Django alters a table by copying it to a new one and dropping the old, and its triggers go with it. A migration
that alters crm_opportunity or crm_confirmation puts them back last:

    gate = importlib.import_module("crm.migrations.0003_gate_pointers")
    operations = [gate.without_triggers(), migrations.AlterField(...), gate.with_triggers()]
"""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

KINDS = ("budget", "authority", "need", "timing")
_COLUMNS = ", ".join(["id", "imported_stage", *(f"entry_{kind}_id" for kind in KINDS)])
_ENTERED = " UNION ALL ".join(f"SELECT '{kind}' AS kind, NEW.entry_{kind}_id AS confirmation" for kind in KINDS)
_FOREIGN = f"""
    EXISTS (
        SELECT 1 FROM ({_ENTERED}) AS entered WHERE confirmation IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM crm_confirmation AS own
            WHERE own.id = entered.confirmation AND own.kind = entered.kind AND own.opportunity_id = NEW.id
        )
    )
"""
# A new row, too: its confirmations may be written before it in one transaction, foreign keys wait for the end. AFTER, because an
# upsert that turns into an update fires BEFORE INSERT as well.
_LATER_HISTORY = "NEW.imported_stage <> '' AND NEW.imported_stage <> OLD.imported_stage"

POSTGRESQL = [
    f"""
    CREATE FUNCTION crm_gate_pointers() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            IF {_LATER_HISTORY} THEN
                RAISE check_violation USING CONSTRAINT = 'history_only_from_birth', MESSAGE = 'violates "history_only_from_birth"';
            END IF;
        END IF;
        IF {_FOREIGN} THEN
            RAISE check_violation USING CONSTRAINT = 'entry_rests_on_own', MESSAGE = 'violates "entry_rests_on_own"';
        END IF;
        RETURN NEW;
    END $$
    """,
    f"""
    CREATE TRIGGER crm_gate_pointers BEFORE UPDATE OF {_COLUMNS} ON crm_opportunity
    FOR EACH ROW EXECUTE FUNCTION crm_gate_pointers()
    """,
    """
    CREATE TRIGGER crm_gate_pointers_insert AFTER INSERT ON crm_opportunity
    FOR EACH ROW EXECUTE FUNCTION crm_gate_pointers()
    """,
    """
    CREATE FUNCTION crm_confirmation_stays() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE check_violation USING CONSTRAINT = 'confirmation_stays', MESSAGE = 'violates "confirmation_stays"';
    END $$
    """,
    """
    CREATE TRIGGER crm_confirmation_stays BEFORE UPDATE OF opportunity_id, kind ON crm_confirmation
    FOR EACH ROW WHEN (OLD.opportunity_id <> NEW.opportunity_id OR OLD.kind <> NEW.kind)
    EXECUTE FUNCTION crm_confirmation_stays()
    """,
]
SQLITE = [
    f"""
    CREATE TRIGGER crm_gate_pointers BEFORE UPDATE OF {_COLUMNS} ON crm_opportunity FOR EACH ROW
    BEGIN
        SELECT RAISE(ABORT, 'CHECK constraint failed: history_only_from_birth') WHERE {_LATER_HISTORY};
        SELECT RAISE(ABORT, 'CHECK constraint failed: entry_rests_on_own') WHERE {_FOREIGN};
    END
    """,
    f"""
    CREATE TRIGGER crm_gate_pointers_insert AFTER INSERT ON crm_opportunity FOR EACH ROW
    BEGIN
        SELECT RAISE(ABORT, 'CHECK constraint failed: entry_rests_on_own') WHERE {_FOREIGN};
    END
    """,
    """
    CREATE TRIGGER crm_confirmation_stays BEFORE UPDATE OF opportunity_id, kind ON crm_confirmation FOR EACH ROW
    WHEN OLD.opportunity_id <> NEW.opportunity_id OR OLD.kind <> NEW.kind
    BEGIN
        SELECT RAISE(ABORT, 'CHECK constraint failed: confirmation_stays');
    END
    """,
]
DROPS = {
    "postgresql": [
        "DROP TRIGGER crm_confirmation_stays ON crm_confirmation",
        "DROP FUNCTION crm_confirmation_stays()",
        "DROP TRIGGER crm_gate_pointers_insert ON crm_opportunity",
        "DROP TRIGGER crm_gate_pointers ON crm_opportunity",
        "DROP FUNCTION crm_gate_pointers()",
    ],
    "sqlite": [f"DROP TRIGGER {name}" for name in ("crm_confirmation_stays", "crm_gate_pointers_insert", "crm_gate_pointers")],
}


def create(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for statement in {"postgresql": POSTGRESQL, "sqlite": SQLITE}[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


def drop(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for statement in DROPS[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


def with_triggers() -> migrations.RunPython:
    return migrations.RunPython(create, drop)


def without_triggers() -> migrations.RunPython:
    return migrations.RunPython(drop, create)


class Migration(migrations.Migration):
    dependencies = [("crm", "0002_roles")]

    operations = [with_triggers()]
