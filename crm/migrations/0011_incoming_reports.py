"""Reports as they came in, the mailbox they come from, and replies that say who left."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('crm', '0010_counted_activities'),
    ]

    operations = [
        migrations.CreateModel(
            name='Mailbox',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=250, unique=True, verbose_name='mailbox')),
                ('uid_validity', models.BigIntegerField(default=0, editable=False)),
                ('last_uid', models.BigIntegerField(default=0, editable=False)),
                ('claimed_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('tried_at', models.DateTimeField(blank=True, null=True, verbose_name='tried')),
                ('reached_at', models.DateTimeField(blank=True, null=True, verbose_name='reached')),
                ('error', models.CharField(blank=True, max_length=300, verbose_name='what went wrong')),
            ],
            options={
                'verbose_name': 'mailbox',
                'verbose_name_plural': 'mailboxes',
                'ordering': ['name'],
            },
        ),
        migrations.AddField(
            model_name='deliveryreport',
            name='says_left',
            field=models.BooleanField(default=False, verbose_name='says that the person left'),
        ),
        migrations.AddField(
            model_name='deliveryreport',
            name='successor_email',
            field=models.EmailField(blank=True, max_length=254, verbose_name="successor's address"),
        ),
        migrations.AddField(
            model_name='deliveryreport',
            name='successor_name',
            field=models.CharField(blank=True, max_length=200, verbose_name="successor's name"),
        ),
        migrations.CreateModel(
            name='IncomingReport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.CharField(max_length=50, verbose_name='source')),
                ('external_id', models.CharField(max_length=250, verbose_name='id at the source')),
                ('body', models.BinaryField(blank=True, verbose_name='as it came')),
                ('received_at', models.DateTimeField(verbose_name='received')),
                ('done_at', models.DateTimeField(blank=True, null=True, verbose_name='worked off')),
                ('claimed_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('tries', models.PositiveSmallIntegerField(default=0, editable=False, verbose_name='tries')),
                ('error', models.CharField(blank=True, max_length=500, verbose_name='what went wrong')),
            ],
            options={
                'verbose_name': 'incoming report',
                'verbose_name_plural': 'incoming reports',
                'ordering': ['-received_at', '-id'],
                'indexes': [models.Index(condition=models.Q(('done_at', None)), fields=['id'], name='incoming_report_waiting'), models.Index(fields=['-received_at', '-id'], name='incoming_report_by_moment')],
                'constraints': [models.UniqueConstraint(fields=('source', 'external_id'), name='incoming_report_once')],
            },
        ),
        migrations.AddField(
            model_name='deliveryreport',
            name='incoming',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='reports', to='crm.incomingreport', verbose_name='incoming report'),
        ),
    ]
