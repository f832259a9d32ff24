"""Number every delivery's last change, so that a copy of what was sent can be kept in step."""

from django.db import migrations, models

from crm.sync import triggers


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0019_deal_facts"),
    ]

    operations = [
        triggers.numbered("crm", "delivery"),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["change_serial", "id"], name="delivery_by_serial"),
        ),
        triggers.come_last(),
    ]
