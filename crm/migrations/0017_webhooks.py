
import crm.models.webhooks
import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('crm', '0016_change_serials'),
    ]

    operations = [
        migrations.CreateModel(
            name='HistoricalWebhook',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('name', models.CharField(max_length=100, verbose_name='name')),
                ('address', models.CharField(max_length=500, verbose_name='address')),
                ('event_types', models.JSONField(default=list, verbose_name='events')),
                ('is_active', models.BooleanField(default=True, editable=False, verbose_name='active')),
                ('disabled_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='switched off')),
                ('disabled_because', models.CharField(blank=True, choices=[('by_hand', 'switched off by hand'), ('gone', 'the receiver said that it is gone (410)'), ('failing', 'nothing arrived for days')], editable=False, max_length=10, verbose_name='why switched off')),
                ('old_secret_until', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='former secret signs until')),
                ('created_at', models.DateTimeField(verbose_name='created')),
                ('history_id', models.AutoField(primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.CharField(max_length=100, null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('owner', models.ForeignKey(blank=True, db_constraint=False, help_text='Only what this user may see is told; a service user of its own is best.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='owner')),
            ],
            options={
                'verbose_name': 'historical webhook',
                'verbose_name_plural': 'historical webhooks',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='Webhook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, verbose_name='name')),
                ('address', models.CharField(max_length=500, verbose_name='address')),
                ('event_types', models.JSONField(default=list, verbose_name='events')),
                ('is_active', models.BooleanField(default=True, editable=False, verbose_name='active')),
                ('disabled_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='switched off')),
                ('disabled_because', models.CharField(blank=True, choices=[('by_hand', 'switched off by hand'), ('gone', 'the receiver said that it is gone (410)'), ('failing', 'nothing arrived for days')], editable=False, max_length=10, verbose_name='why switched off')),
                ('secret', models.CharField(editable=False, max_length=300)),
                ('old_secret', models.CharField(blank=True, editable=False, max_length=300)),
                ('old_secret_until', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='former secret signs until')),
                ('failing_since', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='failing since')),
                ('created_at', models.DateTimeField(verbose_name='created')),
                ('owner', models.ForeignKey(help_text='Only what this user may see is told; a service user of its own is best.', on_delete=django.db.models.deletion.CASCADE, related_name='webhooks', to=settings.AUTH_USER_MODEL, verbose_name='owner')),
            ],
            options={
                'verbose_name': 'webhook',
                'verbose_name_plural': 'webhooks',
                'ordering': ['name', 'id'],
            },
        ),
        migrations.CreateModel(
            name='WebhookEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('uid', models.CharField(default=crm.models.webhooks._uid, editable=False, max_length=40, unique=True, verbose_name='id for receivers')),
                ('type', models.CharField(max_length=40, verbose_name='event')),
                ('subject', models.CharField(max_length=60, verbose_name='about')),
                ('data', models.JSONField(default=dict, verbose_name='facts')),
                ('contact_id', models.BigIntegerField(blank=True, null=True, verbose_name='contact')),
                ('happened_at', models.DateTimeField(verbose_name='happened')),
                ('shared_at', models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                'verbose_name': 'webhook event',
                'verbose_name_plural': 'webhook events',
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('shared_at', None)), fields=['id'], name='webhook_event_unshared'), models.Index(fields=['happened_at', 'id'], name='webhook_event_by_moment'), models.Index(condition=models.Q(('contact_id__isnull', False)), fields=['contact_id'], name='webhook_event_of_contact')],
            },
        ),
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subject', models.CharField(editable=False, max_length=60)),
                ('state', models.CharField(choices=[('waiting', 'waiting'), ('delivered', 'delivered'), ('dead', 'given up')], default='waiting', max_length=9, verbose_name='state')),
                ('attempts', models.PositiveSmallIntegerField(default=0, verbose_name='attempts')),
                ('next_at', models.DateTimeField(verbose_name='next attempt')),
                ('claimed_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('last_at', models.DateTimeField(blank=True, null=True, verbose_name='last attempt')),
                ('last_status', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='answer')),
                ('last_error', models.CharField(blank=True, max_length=300, verbose_name='what went wrong')),
                ('webhook', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='crm.webhook', verbose_name='webhook')),
                ('event', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='crm.webhookevent', verbose_name='event')),
            ],
            options={
                'verbose_name': 'webhook delivery',
                'verbose_name_plural': 'webhook deliveries',
                'ordering': ['-id'],
            },
        ),
        migrations.AddConstraint(
            model_name='webhook',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('disabled_at', None), ('disabled_because', ''), ('is_active', True)), models.Q(('disabled_at__isnull', False), ('is_active', False), models.Q(('disabled_because', ''), _negated=True)), _connector='OR'), name='webhook_off_has_reason'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('state', 'waiting')), fields=['webhook', 'next_at'], name='webhook_delivery_due'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('state', 'waiting')), fields=['webhook', 'event'], name='webhook_delivery_in_order'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('claimed_at__isnull', False), ('state', 'waiting')), fields=['webhook'], name='webhook_delivery_under_way'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(fields=['webhook', 'state', '-id'], name='webhook_delivery_log'),
        ),
        migrations.AddConstraint(
            model_name='webhookdelivery',
            constraint=models.UniqueConstraint(fields=('webhook', 'event'), name='webhook_delivery_once_per_event'),
        ),
    ]
