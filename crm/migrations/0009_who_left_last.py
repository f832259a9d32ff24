"""An index for the list of people who left, the last first."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("crm", "0008_machine_made_before")]

    operations = [
        migrations.AddIndex(
            model_name="contact",
            index=models.Index(fields=["-left_on", "-id"], condition=Q(left_on__isnull=False), name="contact_by_leaving"),
        ),
    ]
