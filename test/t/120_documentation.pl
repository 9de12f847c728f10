# Every SQL example of README.md and docs/, run in the order of the page, the README first: what is documented works.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Cwd qw(abs_path);
use IPC::Run;

# The examples of a page: blocks fenced as sql, and indented ones with a line that begins as a statement does.
sub examples
{
	my ($page) = @_;
	my ($fence, $before, @block, @found) = ('', '');
	open my $fh, '<', $page or die "$page: $!";
	my @lines = (<$fh>, "\n");
	close $fh;
	for my $n (0 .. $#lines)
	{
		my $line = $lines[$n];
		if ($line =~ /^```(\w*)/)
		{
			push @found, [ $n + 1, join '', @block ] if $fence eq 'sql';
			$fence = $fence eq '' ? $1 || 'text' : '';
			@block = ();
		}
		elsif ($fence ne '') { push @block, $line; }
		elsif ((@block || $before =~ /^\s*$/) && $line =~ /^    (.*\n)/) { push @block, $1; }
		elsif (@block && $line =~ /^\s*$/)
		{
			push @found, [ $n, join '', @block ] if grep { /^(SELECT|CALL|INSERT|UPDATE|DELETE|CREATE|ALTER|SET|WITH)\b/ } @block;
			@block = ();
		}
		elsif (@block) { @block = (); }
		$before = $line;
	}
	return @found;
}

my $catalog = abs_path('examples/asistia/catalog.json');
my $node = PostgreSQL::Test::Cluster->new('documentation');
$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', "fsync = off\n");
$node->start;

# What the pages take for granted: the application's own tables and its role.
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE shop LOGIN;
CREATE TABLE organizations (id text PRIMARY KEY);
CREATE TABLE users (id bigint PRIMARY KEY);
CREATE TABLE bots (organization_id text);
SQL

sub run_examples
{
	my ($page, %variables) = @_;
	my $pdf = -e $node->config_data('--pkglibdir') . '/qzpay_pdf.so';
	for my $example (examples($page))
	{
		my ($line, $sql) = @$example;
		$sql =~ s{/path/to/catalog\.json}{$catalog}g;
		$sql =~ s/^.*_pdf\(.*\n//mg unless $pdf;
		my ($out, $err) = ('', '');
		my @command = ('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'),
			map({ ('-v', "$_=$variables{$_}") } sort keys %variables), '-f', '-');
		my $done = IPC::Run::run(\@command, '<', \$sql, '>', \$out, '2>', \$err);
		ok($done, "$page, the example that ends at line $line") or diag("$sql$err");
	}
}

run_examples('README.md');
is($node->safe_psql('postgres', q{SELECT status FROM qzpay.subscription_overview WHERE external_id = 'org_1'}), 'trialing', 'after the README somebody has subscribed');
is($node->safe_psql('postgres', 'SELECT count(*) FROM qzpay.check_integrity() WHERE status = \'fail\''), 0, 'and the books are proved');

# Customers for the other pages, one of them with an invoice and a credit note; codes of the catalog of which the time is over are valid again.
my %known = split /[|\n]/, $node->safe_psql('postgres', <<'SQL');
SET client_min_messages = warning;
UPDATE qzpay.discounts SET valid_from = NULL, valid_until = NULL WHERE trigger = 'promo_code';
SELECT count(*) FROM qzpay.import_catalog('{"meters": {"storage_gb": {"name": "Storage"}}}') \gset
SELECT id AS payer FROM qzpay.sync_customer('payer', livemode => false) \gset
SELECT qzpay.attach_payment_method(:'payer', 'sandbox', 'tok_ok') \gset
SELECT id AS s FROM qzpay.subscribe(:'payer'::uuid, 'pro', trial_days => 0) \gset
SELECT id AS i FROM qzpay.invoices WHERE subscription_id = :'s' \gset
SELECT count(*) FROM qzpay.run_due_jobs() \gset
SELECT id AS p FROM qzpay.payments WHERE invoice_id = :'i' \gset
SELECT (qzpay.credit_invoice(:'i', amount => 100, reason => 'sorry')).id AS n \gset
SELECT id AS buyer FROM qzpay.sync_customer('buyer', livemode => false) \gset
SELECT qzpay.attach_payment_method(:'buyer', 'sandbox', 'tok_ok') \gset
INSERT INTO organizations SELECT external_id FROM qzpay.customers;
SELECT 'customer', :'buyer' UNION ALL SELECT 'subscription', :'s' UNION ALL SELECT 'invoice', :'i' UNION ALL SELECT 'credit_note', :'n' UNION ALL SELECT 'payment', :'p';
SQL
for my $page (sort grep { $_ ne 'docs/reference.md' } glob 'docs/*.md')
{
	run_examples($page, %known);
}
is($node->safe_psql('postgres', q{SELECT string_agg(check_name, ' ') FROM qzpay.check_integrity() WHERE status = 'fail'}), '', 'no example spoils the books');

$node->stop;
done_testing();
