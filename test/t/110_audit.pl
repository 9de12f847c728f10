# The audit log under crashes, many writers and sealers at once, dump and restore, and a superuser who rewrites it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('audit');
$node->init;
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\nlog_min_messages = fatal\n");
$node->append_conf('pg_hba.conf', "host all all 127.0.0.1/32 trust\n");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE book');
my $catalog = slurp_file('examples/asistia/catalog.json');
$node->safe_psql('book', <<"SQL");
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install();
SELECT count(*) FROM qzpay.import_catalog(\$doc\$$catalog\$doc\$);
SELECT qzpay.sync_customer('org_' || n, 'org' || n || '\@example.org', livemode => false) FROM generate_series(1, 8) n;
SQL

my $whole = q{SELECT coalesce(string_agg(violation || ' ' || coalesce(at_position::text, ''), ', '), 'whole') FROM qzpay.verify_audit_log()};
my $books = q{SELECT coalesce(string_agg(check_name || ': ' || evidence, ', '), 'clean') FROM qzpay.check_integrity() WHERE status <> 'pass'};

# Who comes over the network is written down with the address.
my $port = $node->port;
is($node->safe_psql('book', q{SET qzpay.actor = 'user_17'; SELECT qzpay.set_setting('overage_grace_days', '9')}, connstr => "host=127.0.0.1 port=$port dbname=book application_name=shop"), '7', 'an act over the network');
is($node->safe_psql('book', q{SELECT client_address || ' ' || application || ' ' || actor FROM qzpay.audit_log ORDER BY id DESC LIMIT 1}), '127.0.0.1 shop user_17', 'with its address');

# Eight writers and three sealers at once; one transaction in four is rolled back.
my $dir = $node->backup_dir;
mkdir $dir;
append_to_file("$dir/act.sql", <<'SQL');
\set n random(1, 8)
\set bots random(1, 1000000)
\set fate random(1, 4)
BEGIN;
SELECT qzpay.set_entitlement(id, 'maxBots', to_jsonb(:bots), reason => 'bench') FROM qzpay.customers WHERE external_id = 'org_' || :n;
\if :fate = 1
ROLLBACK;
\else
COMMIT;
\endif
SQL
append_to_file("$dir/seal.sql", "SELECT qzpay._seal_audit(5);\n");
my $pgbench = sub { my ($file, $clients, $seconds) = @_; ['pgbench', '-n', '-f', "$dir/$file", '-c', $clients, '-T', $seconds, '-h', $node->host, '-p', $port, 'book'] };
my $before = $node->safe_psql('book', 'SELECT count(*) FROM qzpay.audit_entries');
my @runs = map { IPC::Run::start($pgbench->(@$_), '>', \my $out, '2>', \my $err) } (['act.sql', 8, 4], ['seal.sql', 3, 4]);
$_->finish for @runs;
is(join(' ', map { $_->full_result(0) } @runs), '0 0', 'writers and sealers ran, and none was in a deadlock');
cmp_ok($node->safe_psql('book', 'SELECT count(*) FROM qzpay.audit_entries'), '>', $before, 'writers wrote');
cmp_ok($node->safe_psql('book', 'SELECT count(position) FROM qzpay.audit_entries'), '>', 0, 'sealers sealed');
is($node->safe_psql('book', $whole), 'whole', 'the chain is whole');

# Killed in the middle of it all.
@runs = map { IPC::Run::start($pgbench->(@$_), '>', \my $out, '2>', \my $err) } (['act.sql', 8, 30], ['seal.sql', 3, 30]);
sleep 2;
$node->stop('immediate');
$_->finish for @runs;
$node->start;
is($node->safe_psql('book', $whole), 'whole', 'after a crash it is');
my ($entries, $head) = split /\|/, $node->safe_psql('book', 'SELECT entries, head FROM qzpay.seal_audit_log()');
is($node->safe_psql('book', 'SELECT count(*) FROM qzpay.audit_entries WHERE position IS NULL'), '0', 'what was not sealed then is now');
is($node->safe_psql('book', $whole), 'whole', 'and the chain goes on');
is($node->safe_psql('book', $books), 'clean', 'the books are in order');

# Dumped and restored, plain and in parallel, under another time zone.
$node->command_ok(['pg_dump', '-f', "$dir/plain.sql", 'book'], 'plain dump');
$node->command_ok(['pg_dump', '-Fc', '-f', "$dir/custom", 'book'], 'custom dump');
$node->safe_psql('postgres', q{CREATE DATABASE plain; CREATE DATABASE parallel; ALTER DATABASE plain SET timezone = 'Asia/Tokyo'; ALTER DATABASE parallel SET bytea_output = 'escape'});
$node->command_ok(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'plain', '-f', "$dir/plain.sql"], 'plain restore');
$node->command_ok(['pg_restore', '-e', '-j', '4', '-d', 'parallel', "$dir/custom"], 'parallel restore');
foreach my $copy ('plain', 'parallel')
{
	is($node->safe_psql($copy, $whole), 'whole', "$copy: the copy is whole");
	is($node->safe_psql($copy, "SELECT count(*) FROM qzpay.verify_audit_log($entries, '$head')"), '0', "$copy: a head kept outside holds there");
	$node->safe_psql($copy, q{SELECT qzpay.set_setting('overage_grace_days', '5'); SELECT qzpay.seal_audit_log()});
	is($node->safe_psql($copy, $whole), 'whole', "$copy: and it goes on");
}

# A superuser, who can switch triggers off.
foreach my $deed (
	[q{UPDATE qzpay.audit_entries SET act = 'innocent' WHERE position = 100}, 'entry_changed 100'],
	[q{DELETE FROM qzpay.audit_entries WHERE position = 100}, 'entry_missing 101'],
	[q{DELETE FROM qzpay.audit_entries WHERE position > (SELECT position - 3 FROM qzpay.audit_head)}, "end_missing $entries"],
	[q{UPDATE qzpay.audit_entries SET position = 201 - position WHERE position IN (100, 101)}, 'entry_changed 100, entry_changed 101, entry_changed 102'],
  )
{
	my ($sql, $found) = @$deed;
	is($node->safe_psql('book', "BEGIN; SET LOCAL session_replication_role = replica; $sql; $whole; ROLLBACK"), $found, "found out: $sql");
	like($node->safe_psql('book', "BEGIN; SET LOCAL session_replication_role = replica; $sql; $books; ROLLBACK"), qr/audit_log_is_whole/, 'by check_integrity() too');
}
# With the head rewritten too, the database itself agrees; what was kept outside does not.
my $cut = q{DELETE FROM qzpay.audit_personal WHERE entry_id IN (SELECT id FROM qzpay.audit_entries WHERE position > 100); DELETE FROM qzpay.audit_entries WHERE position > 100;
	UPDATE qzpay.audit_head h SET position = 100, hash = e.hash FROM qzpay.audit_entries e WHERE e.position = 100};
is($node->safe_psql('book', "BEGIN; SET LOCAL session_replication_role = replica; $cut; $whole; SELECT violation FROM qzpay.verify_audit_log($entries, '$head'); ROLLBACK"), "whole\nnot_as_kept", 'an end cut off together with the head');
is($node->safe_psql('book', $whole), 'whole', 'nothing of that has stayed');

$node->stop;
done_testing();
