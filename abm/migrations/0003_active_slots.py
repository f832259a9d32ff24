"""Triggers that keep TargetAccount.active_team equal to the list's team while the list is active, and empty otherwise.

The partial unique constraint on (account, active_team) then refuses an account on two active lists of one team,
whoever writes: a rule, the admin, update() or plain SQL.

Trap: on SQLite Django alters a table by copying it to a new one, dropping it and renaming the copy. The triggers on a
table go with it, and the rename fails while a trigger on the other table names the one that is gone. So a migration that
alters abm_targetlist or abm_targetaccount takes the triggers away first and puts them back last:

    slots = importlib.import_module("abm.migrations.0003_active_slots")
    operations = [slots.without_triggers(), migrations.AlterField(...), slots.with_triggers()]
"""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

POSTGRESQL = [
    # FOR SHARE: an insert waits for a status change in progress, and the other way round; otherwise neither
    # would see the other, and a slot of an active list could stay without its team.
    """
    CREATE FUNCTION abm_slot_takes_team() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        SELECT CASE WHEN status = 'active' THEN team_id END INTO NEW.active_team_id
        FROM abm_targetlist WHERE id = NEW.target_list_id FOR SHARE;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER abm_slot_takes_team BEFORE INSERT OR UPDATE OF target_list_id, active_team_id ON abm_targetaccount
    FOR EACH ROW EXECUTE FUNCTION abm_slot_takes_team()
    """,
    # One row at a time in the order of accounts: two lists that share several accounts and are activated at once
    # then wait for each other at the first of them, instead of locking each other out.
    """
    CREATE FUNCTION abm_list_gives_team() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        held record;
    BEGIN
        FOR held IN SELECT id FROM abm_targetaccount WHERE target_list_id = NEW.id ORDER BY account_id LOOP
            UPDATE abm_targetaccount SET active_team_id = NULL WHERE id = held.id;
        END LOOP;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER abm_list_gives_team AFTER UPDATE OF status, team_id ON abm_targetlist
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.team_id IS DISTINCT FROM NEW.team_id)
    EXECUTE FUNCTION abm_list_gives_team()
    """,
]

# A trigger of SQLite cannot change the row it is told of: it corrects the row afterwards. RAISE refuses what the unique
# index would refuse, because INSERT OR IGNORE and UPDATE OR IGNORE reach into triggers and would pass over the index.
_TEAM = "(SELECT team_id FROM abm_targetlist WHERE id = NEW.target_list_id AND status = 'active')"
_CORRECT_SLOT = f"""
    WHEN NEW.active_team_id IS NOT {_TEAM}
    BEGIN
        SELECT RAISE(ABORT, 'UNIQUE constraint failed: abm_targetaccount.account_id, abm_targetaccount.active_team_id')
        WHERE EXISTS (
            SELECT 1 FROM abm_targetaccount
            WHERE account_id = NEW.account_id AND active_team_id = {_TEAM} AND id <> NEW.id
        );
        UPDATE abm_targetaccount SET active_team_id = {_TEAM} WHERE id = NEW.id;
    END
"""
SQLITE = [
    f"CREATE TRIGGER abm_slot_takes_team_insert AFTER INSERT ON abm_targetaccount FOR EACH ROW {_CORRECT_SLOT}",
    f"""
    CREATE TRIGGER abm_slot_takes_team_update AFTER UPDATE OF target_list_id, active_team_id ON abm_targetaccount
    FOR EACH ROW {_CORRECT_SLOT}
    """,
    """
    CREATE TRIGGER abm_list_gives_team AFTER UPDATE OF status, team_id ON abm_targetlist FOR EACH ROW
    WHEN OLD.status IS NOT NEW.status OR OLD.team_id IS NOT NEW.team_id
    BEGIN
        SELECT RAISE(ABORT, 'UNIQUE constraint failed: abm_targetaccount.account_id, abm_targetaccount.active_team_id')
        WHERE NEW.status = 'active' AND EXISTS (
            SELECT 1 FROM abm_targetaccount AS mine JOIN abm_targetaccount AS theirs USING (account_id)
            WHERE mine.target_list_id = NEW.id AND theirs.target_list_id <> NEW.id AND theirs.active_team_id = NEW.team_id
        );
        UPDATE abm_targetaccount SET active_team_id = CASE WHEN NEW.status = 'active' THEN NEW.team_id END
        WHERE target_list_id = NEW.id;
    END
    """,
]
DROPS = {
    "postgresql": [
        "DROP TRIGGER abm_list_gives_team ON abm_targetlist",
        "DROP TRIGGER abm_slot_takes_team ON abm_targetaccount",
        "DROP FUNCTION abm_list_gives_team()",
        "DROP FUNCTION abm_slot_takes_team()",
    ],
    "sqlite": [
        "DROP TRIGGER abm_list_gives_team",
        "DROP TRIGGER abm_slot_takes_team_update",
        "DROP TRIGGER abm_slot_takes_team_insert",
    ],
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
    dependencies = [("abm", "0002_roles")]

    operations = [with_triggers()]
