"""Number the last change of signals and target lists, too."""

from django.db import migrations, models

from crm.sync import triggers


class Migration(migrations.Migration):
    dependencies = [
        ("abm", "0012_announced_leavings"),
        ("crm", "0016_change_serials"),
    ]

    operations = [
        triggers.numbered("abm", "jobchangesignal"),
        triggers.numbered("abm", "targetlist"),
        migrations.AddIndex(
            model_name="jobchangesignal",
            index=models.Index(fields=["change_serial", "id"], name="signal_by_serial"),
        ),
        migrations.AddIndex(
            model_name="targetlist",
            index=models.Index(fields=["change_serial", "id"], name="target_list_by_serial"),
        ),
        triggers.come_last(),
    ]
