# Billing from four sessions at once, of which one is killed with SIGKILL at a random moment of each round: afterwards each period was billed once, the usage
# of each is on its bill, what shares a day's invoice is on one, and the numbers have no gap. QZPAY_SEED repeats the moments.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{QZPAY_SEED} // time;
srand $seed;
note "QZPAY_SEED=$seed";

my $node = PostgreSQL::Test::Cluster->new('billing');
$node->init;
$node->append_conf('postgresql.conf', "restart_after_crash = on\ntimezone = 'UTC'\n");
$node->start;
my $subscribers = 300;
my $pairs = $subscribers / 3;	# have a second subscription, and one invoice for both
$node->safe_psql('postgres', <<"END");
SET client_min_messages = warning;
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install();
SELECT count(*) FROM qzpay.import_catalog('{"meters": {"pages": {"name": "Pages", "aggregation": "sum"}}, "plans": [{"id": "plan", "name": "Plan",
	"prices": {"month": {"amount": 1000, "currency": "USD"}},
	"usage": {"pages": {"included": 10, "overageRate": 7, "unit": 1, "limitType": "soft", "displayName": "Pages"}}},
	{"id": "side", "name": "Side", "prices": {"month": {"amount": 500, "currency": "USD"}}}]}');
SELECT qzpay.attach_payment_method((qzpay.sync_customer('c' || n, livemode => false)).id, 'sandbox', 'tok_ok') FROM generate_series(1, $subscribers) n;
SELECT qzpay.set_billing_details(c.id, invoice_consolidation => 'day') FROM qzpay.customers c WHERE substr(c.external_id, 2)::integer % 3 = 0;
SELECT qzpay.subscribe(c.id, 'plan', trial_days => 0), CASE c.invoice_consolidation WHEN 'day' THEN qzpay.subscribe(c.id, 'side', trial_days => 0, allow_multiple => true) END FROM qzpay.customers c;
SELECT qzpay.record_usage(c.id, 'pages', 10 + substr(c.external_id, 2)::integer, NULL) FROM qzpay.customers c;
-- Two months and an hour ago, so that two periods are due of each, and the usage is of the first.
SET session_replication_role = replica;
UPDATE qzpay.periods SET period_start = period_start - interval '2 months 1 hour', period_end = period_start - interval '2 months 1 hour' + interval '1 month';
UPDATE qzpay.usage_totals SET period_start = period_start - interval '2 months 1 hour';
UPDATE qzpay.usage_events SET period_start = period_start - interval '2 months 1 hour';
UPDATE qzpay.subscription_items SET valid_from = valid_from - interval '2 months 1 hour';
UPDATE qzpay.subscriptions SET anchor = anchor - interval '2 months 1 hour', started_at = started_at - interval '2 months 1 hour',
	current_period_start = current_period_start - interval '2 months 1 hour', current_period_end = current_period_start - interval '2 months 1 hour' + interval '1 month',
	usage_period_start = usage_period_start - interval '2 months 1 hour', usage_period_end = usage_period_start - interval '2 months 1 hour' + interval '1 month';
RESET session_replication_role;
UPDATE qzpay.subscriptions SET updated_at = updated_at;
END
is($node->safe_psql('postgres', 'SELECT count(*) FROM qzpay.subscriptions WHERE next_due_at < now()'), $subscribers + $pairs, 'every subscription is due');

my $killed = 0;
my $round = sub {
	my ($kill) = @_;
	my @runs;
	for (1 .. 4) {
		my ($out, $err) = ('', '');
		push @runs, IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', 'CALL qzpay.run_billing(batch => 7)' ], '<', \undef, '>', \$out, '2>', \$err);
	}
	if ($kill) {
		select undef, undef, undef, 0.05 + rand 0.4;
		my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL qzpay.run_billing%' AND state = 'active' LIMIT 1});
		$killed += kill 'KILL', $pid if $pid;
	}
	$_->finish for @runs;
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server did not come back';
};
$round->(1) for 1 .. 5;
$round->(0);
note "$killed backends were killed";
cmp_ok($killed, '>=', 1, 'backends were killed in the middle');

is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT (customer_id, subscription_id, period_start)), max(series_number) FROM qzpay.invoices'),
	join('|', (3 * $subscribers + $pairs) x 3), 'each period has one invoice, and the numbers no gap');
is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT h.invoice_id), sum(i.line_count), min(i.status), max(i.status) FROM qzpay.invoice_shares h JOIN qzpay.invoices i ON i.id = h.invoice_id}),
	join('|', 4 * $pairs, 2 * $pairs, 2 * 5 * $pairs, 'open', 'open'), 'a day of a pair is on one invoice, with the usage of the first month');
is($node->safe_psql('postgres', q{SELECT count(*), sum(quantity), sum(amount) FROM qzpay.invoice_lines WHERE kind = 'usage'}),
	join('|', $subscribers, 10 * $subscribers + $subscribers * ($subscribers + 1) / 2, 7 * $subscribers * ($subscribers + 1) / 2), 'the usage of each is billed once');
$node->safe_psql('postgres', 'CALL qzpay.deliver()');
is($node->safe_psql('postgres', q{SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> 'pass'}), '', 'the books are in order');
is($node->safe_psql('postgres', q{SELECT count(*) FROM qzpay.payments}), 3 * $subscribers + $pairs, 'and every invoice is paid, once');
$node->stop;
done_testing();
