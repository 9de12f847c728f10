# The tenant context over several sessions: prepared transactions, bindings made elsewhere, parallel queries, the library loaded late.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $a = 'aaaaaaaa-0000-4000-8000-000000000001';
my $b = 'bbbbbbbb-0000-4000-8000-000000000002';
my $customer = 'ca000000-0000-4000-8000-000000000001';

my $node = PostgreSQL::Test::Cluster->new('context');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nmax_prepared_transactions = 5\n");
$node->start;
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install();
CREATE ROLE ctx_app LOGIN;
CREATE ROLE ctx_bound LOGIN;
CREATE ROLE ctx_pool LOGIN NOINHERIT;
INSERT INTO qzpay.tenants VALUES ('$a', 'A', '2026-01-01'), ('$b', 'B', '2026-01-01');
INSERT INTO qzpay.customers (tenant_id, id, external_id, currency, seller_id, livemode, created_at, updated_at)
SELECT '$a', '$customer', 'org_a', 'USD', s.id, false, '2026-01-01', '2026-01-01' FROM qzpay.sellers s;
SELECT qzpay.grant_access('ctx_app', 'app');
SELECT qzpay.grant_access('ctx_bound', 'tenant');
GRANT ctx_app, ctx_bound TO ctx_pool;
SQL
my $who = q{SELECT coalesce((SELECT string_agg(name, ',' ORDER BY name) FROM qzpay.tenants), 'none')};

# A session that stays, as a role.
sub session
{
	my ($role) = @_;
	my $session = $node->background_psql('postgres');
	$session->query_safe("SET SESSION AUTHORIZATION $role");
	return $session;
}

# Prepared transactions: what is open for direct scans is closed, the context ends with the session's part.
is($node->safe_psql('postgres', <<"SQL"), "A\nnone\nnone\nB", 'PREPARE TRANSACTION ends the transaction\'s context, COMMIT PREPARED has none');
SET SESSION AUTHORIZATION ctx_app;
BEGIN;
SELECT FROM qzpay.set_tenant('$a');
SELECT FROM qzpay.now('$customer');
$who;
PREPARE TRANSACTION 'one';
$who;
COMMIT PREPARED 'one';
$who;
SELECT FROM qzpay.set_tenant('$b', false);
BEGIN;
SELECT FROM qzpay.set_tenant('$a');
PREPARE TRANSACTION 'two';
ROLLBACK PREPARED 'two';
$who;
SQL

# A binding made by another session counts for one that has looked already.
my $bound = session('ctx_bound');
is($bound->query_safe($who), 'none', 'not bound yet');
$bound->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$node->safe_psql('postgres', "SELECT qzpay.grant_access('ctx_bound', 'tenant', '$b')");
is($bound->query_safe('SELECT qzpay.current_tenant()'), $b, 'bound: seen by an old snapshot too, since it decides who one is');
$bound->query_safe('COMMIT');
is($bound->query_safe($who), 'B', 'bound: sees its tenant');
$node->safe_psql('postgres', "DELETE FROM qzpay.tenant_roles; REVOKE qzpay_tenant FROM ctx_bound; GRANT qzpay_tenant TO ctx_bound");
is($bound->query_safe($who), 'none', 'no longer bound');
$node->safe_psql('postgres', "SELECT qzpay.grant_access('ctx_bound', 'tenant', '$b')");
$bound->quit;

# What the leader knows, a parallel plan asks the leader for.
my $parallel = q{SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET force_parallel_mode = on;};
is($node->safe_psql('postgres', "$parallel SET SESSION AUTHORIZATION ctx_bound; $who; SELECT count(*) FROM qzpay.customers; SELECT count(*) FROM qzpay.usage_events;"),
	"B\n0\n0", 'a bound role under parallel mode');
is($node->safe_psql('postgres', "$parallel SET SESSION AUTHORIZATION ctx_app; BEGIN; SELECT FROM qzpay.set_tenant('$a'); SELECT count(*) FROM qzpay.customers; COMMIT"),
	'1', 'a context under parallel mode');

# A pooler's login has no rights of its own, and what one of its roles set is not another's.
is($node->safe_psql('postgres', <<"SQL"), "A\nB\nA", 'SET ROLE changes whose context counts');
SET SESSION AUTHORIZATION ctx_pool;
SET ROLE ctx_app;
SELECT FROM qzpay.set_tenant('$a', false);
$who;
SET ROLE ctx_bound;
$who;
SET ROLE ctx_app;
$who;
SQL
my ($status, $out, $err) = $node->psql('postgres', "SET SESSION AUTHORIZATION ctx_pool; $who");
like($err, qr/permission denied/, 'the login itself may do nothing');

# A session that meets qzpay for the first time in the middle of a transaction that then fails.
is($node->safe_psql('postgres', <<"SQL"), "t\nt", 'loading the library in a subtransaction that rolls back');
BEGIN;
SAVEPOINT s;
SELECT qzpay.now('$customer') IS NOT NULL;
ROLLBACK TO s;
SELECT qzpay.now('$customer') IS NOT NULL;
COMMIT;
SQL

# Tables of qzpay made and undone while they are being scanned.
is($node->safe_psql('postgres', <<'SQL'), "t\nt\nt", 'an installation that rolls back leaves nothing behind in the session');
CREATE DATABASE fresh;
\c fresh
SET client_min_messages = warning;
CREATE EXTENSION qzpay CASCADE;
BEGIN;
SAVEPOINT s;
SELECT qzpay.install() IS NOT NULL;
SELECT FROM qzpay.installation_id();
ROLLBACK TO s;
SELECT to_regclass('qzpay.installation') IS NULL;
COMMIT;
DO $$ BEGIN
    PERFORM qzpay.install();
    PERFORM qzpay.installation_id();
    RAISE EXCEPTION 'undone';
EXCEPTION WHEN raise_exception THEN
    NULL;
END $$;
SELECT FROM qzpay.install();
SELECT qzpay.installation_id() = id FROM qzpay.installation;
SQL

my $log = slurp_file($node->logfile);
unlike($log, qr/leak|not owned by|nonzero refcount|PANIC|TRAP|terminated by signal/, 'no warning about resources in the log');
$node->stop;
done_testing();
