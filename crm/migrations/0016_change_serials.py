"""Number every record's last change, keep who saw what is gone, and let those follow who keep a copy."""

from django.db import migrations, models

from crm.sync import triggers


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0015_api_contract_roles"),
    ]

    operations = [
        migrations.CreateModel(
            name="SerialEra",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=32)),
                ("place", models.CharField(max_length=100)),
                ("base", models.BigIntegerField(db_default=0, default=0)),
                ("counter", models.BigIntegerField(db_default=0, default=0)),
            ],
            options={
                "verbose_name": "era of serials",
                "verbose_name_plural": "eras of serials",
            },
        ),
        migrations.CreateModel(
            name="SightChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(help_text="As Django names the model, e.g. crm.contact.", max_length=40)),
                ("record_id", models.BigIntegerField()),
                ("change_serial", models.BigIntegerField()),
                ("changed_at", models.DateTimeField()),
                ("account_id", models.BigIntegerField(null=True)),
                ("owner_id", models.BigIntegerField(null=True)),
                ("team_id", models.BigIntegerField(null=True)),
                ("person_id", models.BigIntegerField(null=True)),
            ],
            options={
                "verbose_name": "change of sight",
                "verbose_name_plural": "changes of sight",
            },
        ),
        triggers.numbered("crm", "account"),
        triggers.numbered("crm", "activity"),
        triggers.numbered("crm", "contact"),
        triggers.numbered("crm", "dmumembership"),
        triggers.numbered("crm", "followup"),
        triggers.numbered("crm", "opportunity"),
        triggers.numbered("crm", "person"),
        triggers.numbered("crm", "pilot"),
        migrations.AddIndex(
            model_name="account",
            index=models.Index(fields=["change_serial", "id"], name="account_by_serial"),
        ),
        migrations.AddIndex(
            model_name="activity",
            index=models.Index(fields=["change_serial", "id"], name="activity_by_serial"),
        ),
        migrations.AddIndex(
            model_name="contact",
            index=models.Index(fields=["change_serial", "id"], name="contact_by_serial"),
        ),
        migrations.AddIndex(
            model_name="dmumembership",
            index=models.Index(fields=["change_serial", "id"], name="dmu_by_serial"),
        ),
        migrations.AddIndex(
            model_name="followup",
            index=models.Index(fields=["change_serial", "id"], name="follow_up_by_serial"),
        ),
        migrations.AddIndex(
            model_name="opportunity",
            index=models.Index(fields=["change_serial", "id"], name="opportunity_by_serial"),
        ),
        migrations.AddIndex(
            model_name="person",
            index=models.Index(fields=["change_serial", "id"], name="person_by_serial"),
        ),
        migrations.AddIndex(
            model_name="pilot",
            index=models.Index(fields=["change_serial", "id"], name="pilot_by_serial"),
        ),
        migrations.AddIndex(
            model_name="sightchange",
            index=models.Index(fields=["kind", "change_serial", "record_id"], name="sight_change_by_serial"),
        ),
        migrations.AddIndex(
            model_name="sightchange",
            index=models.Index(condition=models.Q(("kind", "handed over")), fields=["account_id"], name="sight_change_of_account"),
        ),
        migrations.AddIndex(
            model_name="sightchange",
            index=models.Index(fields=["changed_at"], name="sight_change_by_moment"),
        ),
        triggers.come_last(),
    ]
