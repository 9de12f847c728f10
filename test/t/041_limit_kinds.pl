# Limits under many sessions at once: changes of owner, TRUNCATE, tables that hold rows already, an end at an instant; slots and rates;
# and card numbers that must not stay in the log.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('kinds');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nmax_connections = 100\nshared_preload_libraries = 'qzpay'\nlog_error_verbosity = verbose\nlog_statement = none\n");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install();
SELECT qzpay.import_catalog('{"limits": {"calls": {"kind": "rate"}, "exports": {"kind": "concurrency"}},
    "plans": [{"id": "p", "name": "P", "prices": {"month": {"amount": 0, "currency": "USD"}}, "limits": {"bots": 10, "calls": 100, "exports": 5}}]}');
SELECT qzpay.subscribe((qzpay.sync_customer(o, livemode => false)).id, 'p', trial_days => 0) FROM unnest('{a,b,c}'::text[]) o;
CREATE TABLE bots (id bigserial PRIMARY KEY, org text);
SQL

my $scripts = 0;

# 64 sessions run the statement; what fails with a serialization error is tried again, anything else ends its session.
sub at_once
{
	my ($level, $statement, $times) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/script' . ++$scripts;
	append_to_file($file, "BEGIN ISOLATION LEVEL $level;\n$statement\nCOMMIT;\n");
	$node->run_log([ 'pgbench', '-n', '-c', '64', '-j', '4', '-t', $times, '--max-tries=1000', '-f', $file, 'postgres' ]);
	return;
}

sub counted
{
	return $node->safe_psql('postgres', q{SELECT string_agg(concat_ws(' ', x.o, (SELECT count(*) FROM bots WHERE org = x.o),
		(SELECT used FROM qzpay.limit_counters l JOIN qzpay.customers c ON c.id = l.customer_id WHERE c.external_id = x.o AND l.feature_code = 'bots')), ', ' ORDER BY o) FROM unnest('{a,b}'::text[]) x (o)});
}

# A table that holds twelve rows of one owner already, two more than its limit: nobody adds one, and they go one by one.
$node->safe_psql('postgres', q{INSERT INTO bots (org) SELECT 'a' FROM generate_series(1, 12); SELECT qzpay.add_limit('bots', 'bots', 'org')});
foreach my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	at_once($level, q{INSERT INTO bots (org) VALUES ('a');}, 1);
	is($node->safe_psql('postgres', q{SELECT count(*) FROM bots}), '12', "$level: what was above the limit stays, nothing comes");
}
$node->safe_psql('postgres', q{DELETE FROM bots WHERE id IN (SELECT id FROM bots LIMIT 5)});

# Seven rows of a change hands to b, which has room for ten, while everybody adds one to b too.
foreach my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	$node->safe_psql('postgres', q{TRUNCATE bots; INSERT INTO bots (org) SELECT 'a' FROM generate_series(1, 10); INSERT INTO bots (org) SELECT 'b' FROM generate_series(1, 3)});
	is(counted(), 'a 10 10, b 3 3', "$level: counted anew after TRUNCATE");
	at_once($level, q{UPDATE bots SET org = 'b' WHERE id = (SELECT id FROM bots WHERE org = 'a' ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED);}, 1);
	is(counted(), 'a 3 3, b 10 10', "$level: seven of ten change hands, the rest finds no room");
	at_once($level, q{UPDATE bots SET org = CASE org WHEN 'a' THEN 'b' ELSE 'a' END;}, 1);
	is($node->safe_psql('postgres', q{SELECT count(*) FROM bots}), '13', "$level: all at once to and fro: none is lost");
	like(counted(), qr/^(a 3 3, b 10 10|a 10 10, b 3 3)$/, "$level: and the counters agree");
}

# The contract of c ends at an instant, and nobody runs a job: not one row more from there on.
$node->safe_psql('postgres', q{UPDATE qzpay.jobs SET enabled = false; INSERT INTO bots (org) VALUES ('c');
	SELECT qzpay.cancel(s.id, (qzpay._real_now() + interval '2 seconds')::text) FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id WHERE c.external_id = 'c'});
is($node->psql('postgres', q{INSERT INTO bots (org) VALUES ('c')}), 0, 'before its end a contract gives its limit');
$node->safe_psql('postgres', 'SELECT pg_sleep(2.1)');
my ($rc, $out, $err) = $node->psql('postgres', q{INSERT INTO bots (org) VALUES ('c')});
like($err, qr/has reached its limit "bots" of 0/, 'after it nothing, without any job');
is($node->safe_psql('postgres', q{SELECT s.status FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id WHERE c.external_id = 'c'}), 'active', 'which has indeed not run');

# Slots: 64 sessions, five of them.
foreach my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	$node->safe_psql('postgres', q{SELECT qzpay.release_slot(customer_id, id) FROM qzpay.limit_slots});
	at_once($level, q{SELECT qzpay.acquire_slot((SELECT id FROM qzpay.customers WHERE external_id = 'a'), 'exports');}, 1);
	is($node->safe_psql('postgres', 'SELECT count(*) FROM qzpay.limit_slots'), '5', "$level: five slots for 64 sessions");
}
$node->safe_psql('postgres', q{UPDATE qzpay.limit_slots SET lease_until = qzpay._real_now()});
at_once('READ COMMITTED', q{SELECT qzpay.acquire_slot((SELECT id FROM qzpay.customers WHERE external_id = 'a'), 'exports');}, 1);
is($node->safe_psql('postgres', 'SELECT count(*), bool_and(lease_until > qzpay._real_now()) FROM qzpay.limit_slots'), '5|t', 'leases that are over make room for as many');
# A holder that is killed in the middle of its transaction holds nothing.
$node->safe_psql('postgres', q{SELECT qzpay.release_slot(customer_id, id) FROM qzpay.limit_slots LIMIT 1});
my $holder = $node->background_psql('postgres');
$holder->query_safe(q{BEGIN; SELECT qzpay.acquire_slot(id, 'exports') FROM qzpay.customers WHERE external_id = 'a'});
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'});
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE state = 'idle in transaction'});
is($node->safe_psql('postgres', q{SELECT qzpay.acquire_slot(id, 'exports') IS NOT NULL FROM qzpay.customers WHERE external_id = 'a'}), 't', 'a crash gives the slot back');
is($node->safe_psql('postgres', q{SELECT status FROM qzpay.check_integrity() WHERE check_name = 'slots_are_counted'}), 'pass', 'slots are counted');

# Rates: shared by all sessions, whatever becomes of their transactions.
my $calls = PostgreSQL::Test::Utils::tempdir() . '/calls';
$node->safe_psql('postgres', 'CREATE UNLOGGED TABLE taken (n int)');
append_to_file($calls, "INSERT INTO taken SELECT 1 WHERE (qzpay.check_rate('b', 'calls')).allowed;\n");
$node->run_log([ 'pgbench', '-n', '-c', '32', '-j', '4', '-t', '10', '-f', $calls, 'postgres' ]);
is($node->safe_psql('postgres', 'SELECT count(*) FROM taken'), '100', '320 calls from 32 sessions: 100 are let through');
is($node->safe_psql('postgres', q{SELECT concat_ws(' ', allowed, used, retry_after <= '63 seconds') FROM qzpay.check_rate('b', 'calls')}), 'f 100 t', 'another session knows');
$node->safe_psql('postgres', q{BEGIN; SELECT qzpay.check_rate('a', 'calls', 60); ROLLBACK});
is($node->safe_psql('postgres', q{SELECT used FROM qzpay.check_rate('a', 'calls', 0)}), '60', 'a ROLLBACK gives nothing back');
$node->safe_psql('postgres', 'CREATE DATABASE other TEMPLATE postgres');
is($node->safe_psql('other', q{SELECT used FROM qzpay.check_rate('a', 'calls', 0)}), '0', 'a copy of the database counts for itself');

# Card numbers: refused without a trace.
foreach my $statement (q{SELECT qzpay.attach_payment_method(id, 'sandbox', '4111111111111111') FROM qzpay.customers WHERE external_id = 'a'},
	q{SELECT qzpay.sync_customer('a', name => 'Visa 4111 1111 1111 1111')}, q{SELECT qzpay.sync_customer('a', metadata => '{"4111-1111-1111-1111": true}')})
{
	my ($rc, $out, $err) = $node->psql('postgres', $statement);
	like($err, qr/looks like a card number/, 'a card number is refused');
	unlike($err, qr/4111/, 'and not repeated');
}
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query(q{SELECT qzpay.sync_customer('a', name => '5500005555555559')});
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%55000' || '05555%' AND pid <> pg_backend_pid()}), '0', 'nor seen by who watches the session');
$session->quit;
my $log = slurp_file($node->logfile);
unlike($log, qr/4111.?1111|5500005555/, 'nor in the log');
unlike($log, qr/WARNING|PANIC|XX000|deadlock/, 'nothing went wrong underneath');

$node->stop;
done_testing();
