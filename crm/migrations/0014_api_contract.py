"""Scopes and life of keys, answers that are given again, and the key in every history."""

import crm.models.histories
import crm.models.users
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('crm', '0013_details_requests'),
    ]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='last_used_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='last used'),
        ),
        migrations.AddField(
            model_name='apikey',
            name='renewed_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='renewed'),
        ),
        migrations.AddField(
            model_name='apikey',
            name='revoked_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='revoked'),
        ),
        migrations.AddField(
            model_name='apikey',
            name='scopes',
            field=models.JSONField(default=crm.models.users.every_scope, verbose_name='scopes'),
        ),
        migrations.AddField(
            model_name='historicalaccount',
            name='history_key',
            field=models.CharField(blank=True, db_default='', default=crm.models.histories.key_at_work, max_length=120, verbose_name='API key'),
        ),
        migrations.AddField(
            model_name='historicalcontact',
            name='history_key',
            field=models.CharField(blank=True, db_default='', default=crm.models.histories.key_at_work, max_length=120, verbose_name='API key'),
        ),
        migrations.AddField(
            model_name='historicaldmumembership',
            name='history_key',
            field=models.CharField(blank=True, db_default='', default=crm.models.histories.key_at_work, max_length=120, verbose_name='API key'),
        ),
        migrations.AddField(
            model_name='historicalfollowup',
            name='history_key',
            field=models.CharField(blank=True, db_default='', default=crm.models.histories.key_at_work, max_length=120, verbose_name='API key'),
        ),
        migrations.AddField(
            model_name='historicalopportunity',
            name='history_key',
            field=models.CharField(blank=True, db_default='', default=crm.models.histories.key_at_work, max_length=120, verbose_name='API key'),
        ),
        migrations.AddField(
            model_name='historicalperson',
            name='history_key',
            field=models.CharField(blank=True, db_default='', default=crm.models.histories.key_at_work, max_length=120, verbose_name='API key'),
        ),
        migrations.AddField(
            model_name='historicalpilot',
            name='history_key',
            field=models.CharField(blank=True, db_default='', default=crm.models.histories.key_at_work, max_length=120, verbose_name='API key'),
        ),
        migrations.CreateModel(
            name='KeptAnswer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=255, verbose_name='key')),
                ('digest', models.CharField(help_text='Of method, address and body.', max_length=64)),
                ('made_at', models.DateTimeField(db_index=True, verbose_name='made')),
                ('status', models.PositiveSmallIntegerField(default=0, verbose_name='status')),
                ('headers', models.JSONField(default=dict)),
                ('body', models.BinaryField(default=bytes, help_text='Packed with zlib.')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user')),
            ],
            options={
                'verbose_name': 'kept answer',
                'verbose_name_plural': 'kept answers',
                'constraints': [models.UniqueConstraint(models.F('user'), models.F('key'), name='kept_answer_once'), models.CheckConstraint(condition=models.Q(('status', 0), ('status__range', (200, 499)), _connector='OR'), name='kept_answer_status')],
            },
        ),
    ]
