# Twenty random lives of three years each: afterwards the books hold, no period is missing, overlaps or is billed twice, and
# what was used is what was billed. QZPAY_SEED (0 to 1) repeats a run.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{QZPAY_SEED} // 0.20261121;
note "QZPAY_SEED=$seed";

my $node = PostgreSQL::Test::Cluster->new('lives');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nsynchronous_commit = off\ntimezone = 'UTC'\njit = off\n");
$node->start;
$node->safe_psql('postgres', 'SET client_min_messages = warning; CREATE EXTENSION qzpay CASCADE; SELECT qzpay.install()');
$node->safe_psql('postgres', slurp_file("test/t/lives.sql"));

my $failed = 0;
my $at = $seed;
for my $n (1 .. 20) {
	my ($rc, $out, $err) = $node->psql('postgres', "SELECT setseed(($at + 0.0437 * $n)::numeric % 1); SELECT lives.live($n);");
	next if $rc == 0;
	$failed++;
	diag "life $n: $err";
}
is($failed, 0, 'twenty lives are lived');

sub none {
	my ($query, $name) = @_;
	is($node->safe_psql('postgres', $query), '', $name);
}
none(q{SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> 'pass'}, 'the books are in order');
none('SELECT error_message FROM qzpay.billing_errors', 'no subscription was set aside');

# Told again from the periods themselves.
none(q{SELECT a.subscription_id, a.cycle, a.period_start FROM qzpay.periods a
	JOIN qzpay.periods b ON b.subscription_id = a.subscription_id AND b.cycle = a.cycle AND b.period_start > a.period_start AND b.period_start < a.period_end
	WHERE b.ordinal > 0}, 'no two periods of a subscription overlap');
none(q{SELECT p.subscription_id FROM qzpay.periods p WHERE p.cycle <> 'usage'
	GROUP BY p.subscription_id HAVING max(p.period_end) - min(p.period_start) <> sum(p.period_end - p.period_start)}, 'and none is missing between the first and the last');
none(q{SELECT s.id, s.status, s.current_period_end FROM qzpay.subscriptions s
	WHERE s.status IN ('active', 'past_due') AND (s.current_period_end IS NULL OR s.current_period_end <= qzpay.now(s.customer_id))}, 'whoever has a contract has a period');
none(q{SELECT l.subscription_item_id, l.period_start FROM qzpay.invoice_lines l JOIN qzpay.invoices v ON v.id = l.invoice_id AND v.status <> 'void' WHERE l.kind = 'plan' GROUP BY 1, 2 HAVING count(*) > 1}, 'no period is billed twice');

# Usage by a count of our own, for contracts that were paid, outside of their trial and with no other contract beside them.
none(q{SELECT p.subscription_id, p.period_start, u.quantity, b.quantity
	FROM qzpay.periods p
	JOIN qzpay.subscriptions s ON s.id = p.subscription_id
	JOIN qzpay.subscription_items i ON i.subscription_id = s.id
	JOIN qzpay.charges c ON c.product_id = i.product_id
	CROSS JOIN LATERAL (SELECT sum(u.quantity) AS quantity FROM lives.used u
		WHERE u.customer = s.customer_id AND u.at >= p.period_start AND u.at < least(p.period_end, s.ended_at)) u
	CROSS JOIN LATERAL (SELECT coalesce(sum(l.quantity), 0) AS quantity FROM qzpay.invoice_lines l JOIN qzpay.invoices v ON v.id = l.invoice_id AND v.status <> 'void'
		WHERE v.customer_id = s.customer_id AND l.kind = 'usage' AND l.period_start = p.period_start) b
	WHERE p.cycle = 'usage' AND least(p.period_end, s.ended_at) <= qzpay.now(s.customer_id) AND u.quantity > c.included AND u.quantity <> b.quantity
	AND p.period_start IS DISTINCT FROM CASE WHEN s.trial_end IS NOT NULL THEN s.started_at END
	AND NOT EXISTS (SELECT FROM qzpay.transitions t WHERE t.object_id = s.id AND t.from_status = 'incomplete' AND t.to_status IN ('canceled', 'incomplete_expired'))
	AND NOT EXISTS (SELECT FROM qzpay.subscriptions o WHERE o.customer_id = s.customer_id AND o.id <> s.id
		AND o.started_at < coalesce(s.ended_at, 'infinity') AND s.started_at < coalesce(o.ended_at, 'infinity'))}, 'what was used is what was billed');
is($node->safe_psql('postgres', q{SELECT count(*) > 500, (SELECT count(*) > 10 FROM qzpay.invoice_lines WHERE kind = 'usage' AND amount > 0),
	(SELECT count(DISTINCT status) > 2 FROM qzpay.subscriptions) FROM qzpay.invoices}), 't|t|t', 'the lives were eventful');
my ($rc, undef, $err) = $node->psql('postgres', 'TRUNCATE qzpay.usage_events', on_error_die => 0);
like($err, qr/rows of qzpay\.usage_events are never removed/, 'usage is not truncated');
$node->stop;
done_testing();
