"""What an activity must carry to be judged, and what people said of activities."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('crm', '0006_letters'),
    ]

    operations = [
        migrations.CreateModel(
            name='ActivityVerdict',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('machine_reason', models.CharField(blank=True, help_text='Empty: made by a person.', max_length=30, verbose_name='machine-made because')),
                ('said_at', models.DateTimeField(verbose_name='said')),
            ],
            options={
                'verbose_name': 'verdict on an activity',
                'verbose_name_plural': 'verdicts on activities',
                'ordering': ['-said_at', '-id'],
            },
        ),
        migrations.AddField(
            model_name='activity',
            name='judged_by',
            field=models.CharField(blank=True, choices=[('', 'the rules'), ('source', 'the source'), ('person', 'a colleague')], db_default='', default='', max_length=6, verbose_name='judged by'),
        ),
        migrations.AddField(
            model_name='activity',
            name='link',
            field=models.CharField(blank=True, db_default='', default='', max_length=500, verbose_name='link'),
        ),
        migrations.AddField(
            model_name='activity',
            name='message_id',
            field=models.CharField(blank=True, db_default='', default='', max_length=250, verbose_name='Message-ID'),
        ),
        migrations.AddField(
            model_name='activity',
            name='user_agent',
            field=models.CharField(blank=True, db_default='', default='', max_length=300, verbose_name='program'),
        ),
        migrations.AddIndex(
            model_name='activity',
            index=models.Index(condition=models.Q(('machine_reason', ''), _negated=True), fields=['-occurred_at', '-id'], name='activity_by_machine'),
        ),
        migrations.AddIndex(
            model_name='activity',
            index=models.Index(condition=models.Q(('user_agent', ''), _negated=True), fields=['recorded_at'], name='activity_with_agent'),
        ),
        migrations.AddField(
            model_name='activityverdict',
            name='activity',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='verdicts', to='crm.activity', verbose_name='activity'),
        ),
        migrations.AddField(
            model_name='activityverdict',
            name='said_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='said by'),
        ),
    ]
