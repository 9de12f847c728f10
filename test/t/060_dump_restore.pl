# A database in the middle of a story is dumped and restored, plain and in parallel: every table is equal row by row, and the story goes on
# in the copy.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('dump');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE story');

my $catalog = slurp_file('examples/asistia/catalog.json');
$node->safe_psql('story', <<"SQL");
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install();
SELECT count(*) FROM qzpay.import_catalog(\$doc\$$catalog\$doc\$);
CREATE TABLE orgs (id text PRIMARY KEY, customer_tenant uuid, customer_id uuid,
    FOREIGN KEY (customer_tenant, customer_id) REFERENCES qzpay.customers);
CREATE TABLE accounts (id text PRIMARY KEY);
INSERT INTO accounts SELECT 'org_' || n FROM generate_series(1, 9) n;
ALTER TABLE qzpay.customers ADD CONSTRAINT users_account FOREIGN KEY (external_id) REFERENCES accounts;
CREATE TABLE bots (id serial PRIMARY KEY, organization_id text NOT NULL);
CREATE TRIGGER max_bots AFTER INSERT OR UPDATE OR DELETE ON bots FOR EACH ROW EXECUTE FUNCTION qzpay.enforce_limit('maxBots', 'organization_id');
CREATE INDEX users_own_index ON qzpay.invoices (total);
ALTER TABLE qzpay.customers ADD COLUMN users_own_column integer DEFAULT 7;
DO \$do\$
DECLARE
    clock uuid := qzpay.create_test_clock('2026-01-05 09:00+00', 'story');
    c record;
BEGIN
    FOR n IN 1 .. 5 LOOP
        c := qzpay.sync_customer('org_' || n, 'org' || n || '\@example.org', test_clock => clock);
        INSERT INTO orgs VALUES ('org_' || n, c.tenant_id, c.id);
        PERFORM qzpay.attach_payment_method(c.id, 'sandbox', CASE n WHEN 5 THEN 'tok_decline' ELSE 'tok_ok' END);
        PERFORM qzpay.subscribe(c.id, 'pro');
        INSERT INTO bots (organization_id) SELECT 'org_' || n FROM generate_series(1, 9);
    END LOOP;
    PERFORM qzpay.advance_test_clock(clock, '2026-01-25 09:00+00');
    PERFORM qzpay.record_usage('org_1', 'messages', 1, 'm' || g) FROM generate_series(1, 300) g;
    PERFORM qzpay.record_usage('org_1', 'messages', 10200, 'rest');
END \$do\$;
SQL

# One line per table: its name, its rows, and a hash over them.
my $fingerprint = q{
    SELECT string_agg(c.oid::regclass || ' ' || (xpath('//h/text()', query_to_xml(
        format('SELECT count(*) || '' '' || coalesce(md5(string_agg(md5(t::text), '''' ORDER BY md5(t::text))), ''empty'') AS h FROM %s t', c.oid::regclass),
        false, true, '')))[1]::text, E'\n' ORDER BY c.oid::regclass::text)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('qzpay', 'public') AND c.relkind = 'r'};
my $integrity = q{SELECT coalesce(string_agg(check_name || ': ' || evidence, ', '), 'clean') FROM qzpay.check_integrity() WHERE status <> 'pass'};
my $shape = q{
    SELECT (SELECT count(*) FROM pg_policy) || ' policies, ' || (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) || ' triggers, '
        || (SELECT count(*) FROM pg_constraint WHERE connamespace = 'qzpay'::regnamespace) || ' constraints, '
        || (SELECT count(*) FROM pg_class WHERE relforcerowsecurity) || ' forced, ' || (SELECT count(*) FROM pg_indexes WHERE schemaname = 'qzpay') || ' indexes'};

my $before = $node->safe_psql('story', $fingerprint);
my $built = $node->safe_psql('story', $shape);
like($before, qr/qzpay\.usage_events_\S+ 301 /, 'the story has usage in a partition');
like($before, qr/qzpay\.invoices 5 /, 'and invoices');
is($node->safe_psql('story', $integrity), 'clean', 'the story has integrity');

my $dir = $node->backup_dir;
mkdir $dir;
$node->command_ok(['pg_dump', '-f', "$dir/plain.sql", 'story'], 'plain dump');
$node->command_ok(['pg_dump', '-Fc', '-f', "$dir/custom", 'story'], 'custom dump');
$node->safe_psql('postgres', 'CREATE DATABASE plain; CREATE DATABASE parallel');
$node->command_ok(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'plain', '-f', "$dir/plain.sql"], 'plain restore');
$node->command_ok(['pg_restore', '-e', '-j', '4', '-d', 'parallel', "$dir/custom"], 'parallel restore');

foreach my $copy ('plain', 'parallel')
{
	is($node->safe_psql($copy, $fingerprint), $before, "$copy: every table is equal row by row");
	is($node->safe_psql($copy, $shape), $built, "$copy: policies, triggers, constraints, forced walls and indexes are there");
	is($node->safe_psql($copy, $integrity), 'clean', "$copy: integrity");
	my ($rc, $out, $err) = $node->psql($copy, q{INSERT INTO bots (organization_id) VALUES ('org_1'), ('org_1')});
	like($err, qr/maxBots/, "$copy: the limit still holds");
	# Foreign keys from and to the application's own tables, row security or not.
	($rc, $out, $err) = $node->psql($copy, q{DELETE FROM accounts WHERE id = 'org_1'});
	like($err, qr/users_account/, "$copy: an account that has a customer cannot go");
	is($node->psql($copy, q{DELETE FROM accounts WHERE id = 'org_9'}), 0, "$copy: one that has none can");
	($rc, $out, $err) = $node->psql($copy, q{SELECT qzpay.sync_customer('org_9')});
	like($err, qr/users_account/, "$copy: and then no customer is made for it");
	($rc, $out, $err) = $node->psql($copy, q{INSERT INTO orgs VALUES ('org_x', gen_random_uuid(), gen_random_uuid())});
	like($err, qr/orgs_customer_tenant_customer_id_fkey/, "$copy: no row of the application's for a customer that isn't there");
	is($node->safe_psql($copy, q{SELECT status FROM qzpay.record_usage('org_1', 'messages', 1, 'm7')}), 'duplicate', "$copy: a key used before the dump still counts once");
	$node->safe_psql($copy, q{SELECT qzpay.advance_test_clock(id, '2026-02-19 09:00+00') FROM qzpay.test_clocks});
	is($node->safe_psql($copy, q{SELECT string_agg(n || ' ' || status, ', ' ORDER BY status) FROM (SELECT status::text, count(*) AS n FROM qzpay.invoices GROUP BY 1) i}),
		'8 paid, 1 uncollectible', "$copy: the story goes on");
	is($node->safe_psql($copy, q{SELECT total || ' ' || i.status FROM qzpay.invoices i JOIN qzpay.customers c ON c.id = i.customer_id
		WHERE c.external_id = 'org_1' AND i.issued_at = '2026-02-19 09:00+00'}), '10650 paid', "$copy: with the bill that was to come");
	is($node->safe_psql($copy, $integrity), 'clean', "$copy: and integrity");
}

my ($rc, $out, $err) = $node->psql('plain', 'DROP EXTENSION qzpay CASCADE');
isnt($rc, 0, 'the extension is not dropped by accident');

$node->stop;
done_testing();
