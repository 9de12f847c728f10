# Sixty-four sessions finalise and credit invoices at once, and three in ten transactions roll back: the numbers have no gap, and none is given twice.
# QZPAY_FINALISATIONS is how many transactions each session makes: a few here, a thousand for
#     QZPAY_FINALISATIONS=1000 PROVE_TESTS=test/t/100_gapless_numbers.pl make test STAGE=tap
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $sessions = 64;
my $each = $ENV{QZPAY_FINALISATIONS} // 6;

my $node = PostgreSQL::Test::Cluster->new('numbers');
$node->init;
$node->append_conf('postgresql.conf', "max_connections = 100\ntimezone = 'UTC'\nsynchronous_commit = off\nlog_statement = none\n");
$node->start;
$node->safe_psql('postgres', <<"END");
SET client_min_messages = warning;
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install();
SELECT qzpay.set_tax_rate('vat', 21);
SELECT qzpay.adjust_balance((qzpay.sync_customer('c' || n, livemode => n % 2 = 0)).id, 100000, 'to pay with') FROM generate_series(0, $sessions - 1) n;
END

my $script = PostgreSQL::Test::Utils::tempdir() . '/finalise.sql';
append_to_file($script, <<'END');
\set fate random(1, 100)
\set amount random(1, 50000)
BEGIN;
SELECT qzpay.create_invoice(id) AS invoice FROM qzpay.customers WHERE external_id = 'c' || :client_id \gset
SELECT qzpay.add_invoice_line(':invoice', description => 'Work', unit_amount => :amount);
SELECT qzpay.finalize_invoice(':invoice');
SELECT qzpay.credit_invoice(':invoice', amount => :amount) WHERE :fate % 3 = 0;
\if :fate <= 30
ROLLBACK;
\else
COMMIT;
\endif
END
my ($out, $err) = ('', '');
my $ok = IPC::Run::run([ 'pgbench', '-n', '-c', $sessions, '-j', 2, '-t', $each, '-f', $script, $node->connstr('postgres') ], '<', \undef, '>', \$out, '2>', \$err);
ok($ok, 'every session came to its end') or diag $err;
like($out, qr/number of transactions actually processed: ${\($sessions * $each)}\//, 'and did all it had to');

my $given = $node->safe_psql('postgres', 'SELECT count(*) FROM qzpay.invoices');
cmp_ok($given, '<', $sessions * $each, 'some were rolled back');
is($node->safe_psql('postgres', q{SELECT livemode, document, last_number = n AND last_number = m AND n = d FROM qzpay.invoice_series s CROSS JOIN LATERAL (
		SELECT count(*) AS n, count(DISTINCT number) AS d, max(number) AS m FROM (
			SELECT series_number AS number FROM qzpay.invoices i WHERE i.livemode = s.livemode AND s.document = 'invoice'
			UNION ALL SELECT series_number FROM qzpay.credit_notes c WHERE c.livemode = s.livemode AND s.document = 'credit_note') x) k ORDER BY 1, 2}),
	"f|credit_note|t\nf|invoice|t\nt|credit_note|t\nt|invoice|t", 'each series counts what is there, without a gap');
is($node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT issued_at < lag(issued_at) OVER (ORDER BY series_number) AS falls FROM qzpay.invoices WHERE livemode) x WHERE falls}), 0, 'and its dates never fall');
is($node->safe_psql('postgres', q{SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> 'pass'}), '', 'the books are in order');
$node->stop;
done_testing();
