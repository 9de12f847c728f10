# Limits and usage under 64 sessions at once, at every isolation level: nothing exceeds, nothing is lost.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('limit');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nmax_connections = 100\nmax_pred_locks_per_transaction = 256\n");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install();
SELECT qzpay.import_catalog('{"meters": {"calls": {"name": "Calls"}, "hard": {"name": "Hard"}},
    "plans": [{"id": "p", "name": "P", "prices": {"month": {"amount": 0, "currency": "USD"}}, "limits": {"bots": 10},
               "usage": {"calls": {"included": 1000, "overageRate": 1, "unit": 1, "limitType": "none", "displayName": "Calls"},
                         "hard": {"included": 40, "overageRate": 1, "unit": 1, "limitType": "hard", "displayName": "Hard"}}}]}');
SELECT qzpay.sync_customer('org', livemode => false);
SELECT qzpay.subscribe(id, 'p', trial_days => 0) FROM qzpay.customers;
CREATE TABLE bots (id bigserial PRIMARY KEY, org text);
SQL

my $scripts = 0;

# 64 sessions run the statement, $times each; what fails with one of the serialization errors is tried again, anything else ends its session.
sub at_once
{
	my ($level, $statement, $times) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/script' . ++$scripts;
	append_to_file($file, "BEGIN ISOLATION LEVEL $level;\n$statement\nCOMMIT;\n");
	$node->run_log([ 'pgbench', '-n', '-c', '64', '-j', '4', '-t', $times, '--max-tries=1000', '-f', $file, 'postgres' ]);
	return;
}

foreach my $kind ('row', 'statement')
{
	$node->safe_psql('postgres', $kind eq 'row'
		? q{CREATE TRIGGER bots AFTER INSERT OR UPDATE OR DELETE ON bots FOR EACH ROW EXECUTE FUNCTION qzpay.enforce_limit('bots', 'org')}
		: q{DROP TRIGGER bots ON bots; SELECT qzpay.add_limit('bots', 'bots', 'org')});
	foreach my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
	{
		foreach my $case ([ 1, 10 ], [ 3, 9 ])
		{
			my ($rows, $expected) = @$case;
			# The rows go, and with them what has been counted: the first insert counts anew.
			$node->safe_psql('postgres', q{ALTER TABLE bots DISABLE TRIGGER USER; DELETE FROM bots; ALTER TABLE bots ENABLE TRIGGER USER; SELECT qzpay.recount_limit('bots', 'bots')});
			at_once($level, "INSERT INTO bots (org) SELECT 'org' FROM generate_series(1, $rows);", 1);
			is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM bots), (SELECT used FROM qzpay.limit_counters)'),
				"$expected|$expected", "$kind triggers, $level, inserts of $rows: $expected rows of 10");
		}
	}
}
# A row goes as another comes, 64 times over.
at_once('READ COMMITTED', q{DELETE FROM bots WHERE id = (SELECT id FROM bots ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED);
INSERT INTO bots (org) SELECT 'org' WHERE (SELECT used FROM qzpay.limit_counters) < 9;}, 5);
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM bots) = (SELECT used FROM qzpay.limit_counters), (SELECT count(*) FROM bots) <= 10'), 't|t',
	'rows and counter agree after deletions and insertions at once');

# Every session reports 20 keys of its own and 20 that all report.
foreach my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	$node->safe_psql('postgres', 'TRUNCATE qzpay.usage_totals, qzpay.usage_events');
	at_once($level, q{SELECT qzpay.record_usage('org', 'calls', 1, 'own ' || pg_backend_pid() || clock_timestamp());
SELECT qzpay.record_usage('org', 'calls', 1, 'shared ' || (random() * 19)::int);}, 20);
	is($node->safe_psql('postgres', q{SELECT sum(quantity) = sum(events), sum(events) - 64 * 20 BETWEEN 15 AND 20 FROM qzpay.usage_totals}), 't|t', "$level: own keys count all, shared ones once");
	at_once($level, q{SELECT qzpay.record_usage('org', 'hard', 1, 'hard ' || pg_backend_pid() || clock_timestamp());}, 5);
	is($node->safe_psql('postgres', q{SELECT t.quantity, t.events FROM qzpay.usage_totals t JOIN qzpay.meters m ON m.id = t.meter_id WHERE m.code = 'hard'}), '40|40', "$level: a hard limit of 40 takes 40");
}
is($node->safe_psql('postgres', q{SELECT count(*) FROM qzpay.check_integrity() WHERE check_name IN ('usage_totals_are_their_events') AND status = 'pass'}), '1', 'totals are their events');
is($node->safe_psql('postgres', q{SELECT count(*) = count(DISTINCT data ->> 'percent' || (data ->> 'meter') || type) FROM qzpay.events WHERE type = 'usage.warning'}), 't', 'each threshold was said once');
unlike(slurp_file($node->logfile), qr/WARNING|PANIC|XX000|unique constraint|deadlock/, 'nothing went wrong underneath');

$node->stop;
done_testing();
