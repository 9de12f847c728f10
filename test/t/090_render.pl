# Invoices as PDF: what readers of PDF find in it, a server without the module, sessions that are interrupted, and a long life.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('render');
$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', "fsync = off\n");
$node->start;
my $catalog = '{"plans": [{"id": "pro", "name": "Pro", "prices": {"month": {"amount": 9900, "currency": "EUR"}}}]}';
$node->safe_psql('postgres', <<"SQL");
SET client_min_messages = warning;
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install();
SELECT count(*) FROM qzpay.import_catalog('$catalog');
UPDATE qzpay.sellers SET name = 'Vendedor S.A.', tax_id = '30-7';
INSERT INTO qzpay.document_texts (seller_id, locale, name, value) SELECT id, '', 'footer', 'El pie legal.' FROM qzpay.sellers;
SELECT qzpay.create_test_clock('2026-01-19 09:00+00') AS clock \\gset
SELECT id AS c FROM qzpay.sync_customer('org', 'a\@b.example', 'Muñoz Ünlü Ω Жук', currency => 'EUR', locale => 'es', test_clock => :'clock') \\gset
SELECT (qzpay.subscribe(:'c'::uuid, 'pro', trial_days => 0)).id;
-- A document of so many lines, from the first invoice.
CREATE FUNCTION long_document(lines integer) RETURNS jsonb LANGUAGE sql AS \$\$
    SELECT jsonb_set(d, '{lines}', (SELECT jsonb_agg(jsonb_set(d #> '{lines,0}', '{description}', to_jsonb('Line ' || n))) FROM generate_series(1, lines) n))
    FROM (SELECT qzpay.invoice_document(id, 'en') FROM qzpay.invoices ORDER BY series_number LIMIT 1) x (d)
\$\$;
SQL
my $invoice = $node->safe_psql('postgres', 'SELECT id FROM qzpay.invoices');

# The bytes that a query returns, as a file.
my $files = 0;
sub pdf
{
	my ($query) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/' . ++$files . '.pdf';
	my $hex = $node->safe_psql('postgres', "SELECT encode(($query), 'hex')");
	open my $fh, '>:raw', $file or die "$file: $!";
	print $fh pack('H*', $hex);
	close $fh;
	return $file;
}
sub tool { my ($out) = run_command([@_]); return $out }

SKIP:
{
	skip 'no module qzpay_pdf', 1 if !-e $node->config_data('--pkglibdir') . '/qzpay_pdf.so';
	skip 'no poppler-utils', 1 if system('which pdftotext pdfinfo pdffonts >' . PostgreSQL::Test::Utils::tempdir() . '/which') != 0;

	my $file = pdf("qzpay.invoice_pdf('$invoice')");
	my $info = tool('pdfinfo', $file);
	like($info, qr/^Title:\s+Factura 2026-000001$/m, 'the title');
	like($info, qr/^Author:\s+Vendedor S\.A\.$/m, 'the author');
	like($info, qr/^Creator:\s+qzpay /m, 'the program');
	like($info, qr/^Tagged:\s+yes$/m, 'tagged for readers');
	like($info, qr/^Pages:\s+1$/m, 'one page');
	like($info, qr/^Page size:.*\(A4\)$/m, 'A4');
	like(tool('pdfinfo', pdf("qzpay.invoice_pdf('$invoice', 'en-US')")), qr/^Page size:.*\(letter\)$/m, 'Letter');
	my @fonts = grep { !/^(name|-)/ } split /\n/, tool('pdffonts', $file);
	cmp_ok(scalar @fonts, '>', 0, 'there are fonts');
	is(scalar(grep { !/\byes yes yes\b/ } @fonts), 0, 'each embedded, cut to what is used, and readable as text');
	my $text = tool('pdftotext', '-layout', $file, '-');
	$text =~ s/\xC2\xA0/ /g;
	for my $part ('Factura 2026-000001', 'Muñoz Ünlü Ω Жук', 'Vendedor S.A.', 'NIF/CIF: 30-7', '19 de enero de 2026', '99,00 €', 'El pie legal.', 'Página 1 de 1')
	{
		like($text, qr/\Q$part\E/, "it says $part");
	}
	like($text, qr/Total\s+99,00 €$/m, 'amounts are at the right');
	is($node->safe_psql('postgres', "SELECT qzpay.invoice_pdf('$invoice') = qzpay.invoice_pdf('$invoice')"), 't', 'the same document, the same bytes');

	# Pages
	my $long = pdf('qzpay._document_pdf(long_document(200))');
	my ($pages) = tool('pdfinfo', $long) =~ /^Pages:\s+(\d+)$/m;
	cmp_ok($pages, '>', 5, '200 lines take pages');
	my $all = tool('pdftotext', '-layout', $long, '-');
	is(scalar(grep { /^ *Line \d/m && !/^\s*Description\s+Quantity/m } split /\f/, $all), 0, 'each with the head of the table');
	is(scalar(() = $all =~ /Page \d+ of $pages$/mg), $pages, 'and its number');
	is(join(' ', $all =~ /^ *Line (\d+)\b/mg), join(' ', 1 .. 200), 'no line is lost, and none is twice');
	my $tall = pdf(q{qzpay._document_pdf(jsonb_set(long_document(3), '{lines,1,description}', to_jsonb(repeat('word ', 3900) || 'end')))});
	like(tool('pdftotext', $tall, '-'), qr/end.*Line 3/s, 'a line longer than a page goes on at the next');
	my $shared = pdf(q{qzpay._document_pdf(jsonb_set(jsonb_set(long_document(3), '{lines,0,group}', '"Shop – North"'), '{lines,2,group}', '"Site"'))});
	like(tool('pdftotext', '-layout', $shared, '-'), qr/^ *Shop – North\n.*^ *Line 1 .*^ *Line 2 .*^ *Site\n.*^ *Line 3 /ms, 'lines stand under the names of their subscriptions');

	# What a document should not be
	for my $odd ('{}', '{"lines": 1, "columns": [1, null, {"name": "x"}], "parties": [null], "facts": {}, "totals": [[]], "accent": "#zz", "logo": "data:image/png;base64,AAAA"}',
		'{"heading": "x", "lang": "%s%n", "page": "{page}{pages}{page", "logo": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUv////8AAAABCAYAAAA=", "notes": ["\u202e\u0001\u0007"]}')
	{
		like($node->safe_psql('postgres', "SELECT qzpay._document_pdf('$odd')"), qr/^\\x25504446/, "a document all the same: $odd");
	}
	my ($stdout, $stderr);
	$node->psql('postgres', q{SELECT qzpay._document_pdf('[1]')}, stderr => \$stderr);
	like($stderr, qr/a document must be a JSON object/, 'but it is an object');

	# Interrupted, the session goes on.
	$node->safe_psql('postgres', 'CREATE TABLE huge AS SELECT long_document(30000) AS d');
	my $huge = "SET statement_timeout = '300ms';\nSELECT length(qzpay._document_pdf(d)) FROM huge;";
	$node->psql('postgres', $huge, stderr => \$stderr);
	like($stderr, qr/canceling statement due to statement timeout/, 'a timeout ends it');
	$node->psql('postgres', "$huge\nSET statement_timeout = 0;\nSELECT length(qzpay.invoice_pdf('$invoice')) > 1000", stdout => \$stdout, on_error_stop => 0);
	is($stdout, 't', 'and the next one is made');

	# A long life: no memory is lost, no signal stays blocked.
	my $life = $node->safe_psql('postgres', <<"SQL");
CREATE FUNCTION resident() RETURNS bigint LANGUAGE sql AS 'SELECT substring(pg_read_file(''/proc/self/status'') FROM ''VmRSS:\\s+(\\d+)'')::bigint';
CREATE FUNCTION blocked() RETURNS text LANGUAGE sql AS 'SELECT substring(pg_read_file(''/proc/self/status'') FROM ''SigBlk:\\s+(\\w+)'')';
SELECT blocked() AS before \\gset
SELECT count(qzpay.invoice_pdf('$invoice')) FROM generate_series(1, 50) \\g /dev/stderr
SELECT resident() AS warm \\gset
SELECT count(qzpay.invoice_pdf('$invoice')) FROM generate_series(1, 300) \\g /dev/stderr
SELECT resident() - :warm < 4000, blocked() = :'before';
SQL
	is($life, 't|t', '300 more take no memory, and signals are as before');
}

# Without the module there is no PDF, and all else as ever.
my $bare = PostgreSQL::Test::Utils::tempdir();
symlink $node->config_data('--pkglibdir') . "/$_", "$bare/$_" for ('qzpay.so', 'plpgsql.so');
chmod 0755, $bare;
my ($stdout, $stderr);
$node->psql('postgres', "\\set VERBOSITY verbose\nSET dynamic_library_path = '$bare';\nSELECT qzpay.invoice_html('$invoice') LIKE '<!DOCTYPE html>%';\nSELECT qzpay.invoice_pdf('$invoice')",
	stdout => \$stdout, stderr => \$stderr);
is($stdout, 't', 'without the module: HTML');
like($stderr, qr/ERROR:  0A000: there is no PDF on this server\nDETAIL:  The module qzpay_pdf is not there or cannot be loaded: could not access file "qzpay_pdf"/, 'without the module: no PDF, and why');
$node->psql('postgres', "SET dynamic_library_path = '$bare';\n\\set ON_ERROR_STOP off\nSELECT qzpay.invoice_pdf('$invoice');\nRESET dynamic_library_path;\nSELECT count(qzpay.invoice_document('$invoice'))",
	stdout => \$stdout, on_error_stop => 0);
is($stdout, '1', 'the session goes on');

# Texts that the seller has changed are the seller's.
is($node->safe_psql('postgres', <<'SQL'), 't|Bill', 'an upgrade adds no text twice, and leaves changed ones as they are');
UPDATE qzpay.document_texts SET value = 'Bill' WHERE seller_id IS NULL AND locale = 'en' AND name = 'title.invoice';
SELECT count(*) AS texts FROM qzpay.document_texts \gset
SELECT qzpay.upgrade() \g /dev/stderr
SELECT (SELECT count(*) FROM qzpay.document_texts) = :texts, (SELECT qzpay.invoice_document(id, 'en') ->> 'title' FROM qzpay.invoices);
SQL

$node->stop;
done_testing();
