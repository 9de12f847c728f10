# Random lives of three years each: afterwards the books hold, no period is missing, overlaps or is billed twice, previews were the bills
# that followed, debits less credits are price x time, and what was used is what was billed. LIVES=n lives n of them (default 16),
# QZPAY_SEED (0 to 1) repeats a run; a life depends on the seed and its own number alone.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{QZPAY_SEED} // 0.20261121;
my $lives = $ENV{LIVES} // 16;
note "QZPAY_SEED=$seed LIVES=$lives";

my $node = PostgreSQL::Test::Cluster->new('lives');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nsynchronous_commit = off\ntimezone = 'UTC'\njit = off\n");
$node->start;
$node->safe_psql('postgres', 'SET client_min_messages = warning; CREATE EXTENSION qzpay CASCADE; SELECT qzpay.install()');
$node->safe_psql('postgres', slurp_file("test/t/lives.sql"));

# Two sessions, each life in a transaction of its own; one that fails leaves its error and what came before it, and the others go on.
# LIFE=n lives that one alone.
my @numbers = defined $ENV{LIFE} ? ($ENV{LIFE}) : 1 .. $lives;
$lives = @numbers;
my $started = time;
my @children;
for my $half (0, 1) {
	my $pid = fork() // die "fork: $!";
	if (!$pid) {
		open my $psql, '|-', 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-o', '/dev/null' or die "psql: $!";
		print $psql "SELECT lives.live($_, ($seed + 0.0437 * $_) % 1);\n" for grep { $_ % 2 == $half } @numbers;
		close $psql;
		require POSIX;
		POSIX::_exit(0);
	}
	push @children, $pid;
}
waitpid $_, 0 for @children;
note sprintf '%d lives in %d s', $lives, time - $started;
note $node->safe_psql('postgres', q{SELECT count(*) || ' places on ' || count(DISTINCT invoice_id) || ' shared invoices' FROM qzpay.invoice_shares});
sub none {
	my ($query, $name) = @_;
	is($node->safe_psql('postgres', $query), '', $name);
}
none("SELECT format(E'life %s (QZPAY_SEED=$seed LIFE=%s) at %s, %s:\\n%s\\nBefore:\\n%s', n, n, at, act, error, right(told, 1500)) FROM lives.death ORDER BY n", 'no life ends by an error');
is($node->safe_psql('postgres', 'SELECT count(*) FROM lives.life'), $lives, 'every life is lived');

none(q{SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> 'pass'}, 'the books are in order');
none('SELECT error_message FROM qzpay.billing_errors', 'no subscription was set aside');
none('SELECT name, at, what, previewed, billed FROM lives.broken_promises', 'every bill is what its preview said');

# Told again from the periods themselves. An end cuts no row, and the next month may not be there yet: a usage week that is
# longer than what is left of a month counts up to the end, or to now.
none(q{SELECT p.subscription_id, p.period_start FROM qzpay.periods p
	JOIN qzpay.subscriptions s ON s.id = p.subscription_id
	WHERE p.cycle = 'usage' AND p.period_start IS DISTINCT FROM CASE WHEN s.trial_end IS NOT NULL THEN s.started_at END
	AND NOT EXISTS (SELECT FROM qzpay.periods m WHERE m.subscription_id = p.subscription_id AND m.cycle <> 'usage' AND m.period_start <= p.period_start AND m.period_end >= least(p.period_end, s.ended_at, CASE WHEN s.usage_unit = 'week' THEN qzpay.now(s.customer_id) END))
	AND NOT EXISTS (SELECT FROM qzpay.periods m JOIN qzpay.periods n ON n.subscription_id = m.subscription_id AND n.cycle = m.cycle AND n.period_start = m.period_end
		WHERE m.subscription_id = p.subscription_id AND m.cycle <> 'usage' AND m.period_start <= p.period_start AND n.period_end >= p.period_end)},
	'no usage period without a period that is billed in advance');
none(q{SELECT g.subscription_id, g.period_end, g.next FROM (
		SELECT p.*, lead(p.period_start) OVER (PARTITION BY p.subscription_id ORDER BY p.period_start) AS next FROM qzpay.periods p WHERE p.cycle = 'usage') g
	WHERE g.next <> g.period_end AND NOT (g.next > g.period_end AND EXISTS (SELECT FROM qzpay.transitions t WHERE t.object_id = g.subscription_id AND t.to_status = 'paused' AND t.occurred_at = g.period_end)
		AND EXISTS (SELECT FROM qzpay.transitions t WHERE t.object_id = g.subscription_id AND t.from_status = 'paused' AND t.occurred_at = g.next))},
	'usage periods follow each other, but for pauses');
none(q{SELECT s.id, s.status, s.current_period_end FROM qzpay.subscriptions s
	WHERE s.status IN ('active', 'past_due') AND (s.current_period_end IS NULL OR s.current_period_end <= qzpay.now(s.customer_id))}, 'whoever has a contract has a period');
none(q{SELECT e.customer_id FROM qzpay.events e WHERE e.type = 'trial.started' GROUP BY 1 HAVING count(*) > 1}, 'nobody had two trials');

# Price x time, of the items as they were valid in the periods as they were begun, against the lines. Left out: packs (never prorated), free
# access, changes asked for without proration, first payments never made. Time that was paid and forfeited by an end is taken off.
$node->safe_psql('postgres', q{
	CREATE VIEW lives.lines AS
		SELECT i.tenant_id, coalesce(l.subscription_id, i.subscription_id) AS subscription_id, l.id, l.subscription_item_id, l.product_id, l.quantity, l.unit_amount, l.amount, l.period_start, l.period_end, l.source_line_id
		FROM qzpay.invoice_lines l JOIN qzpay.invoices i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id AND i.status <> 'void' WHERE l.kind IN ('plan', 'addon')
		UNION ALL SELECT l.tenant_id, l.subscription_id, l.id, l.subscription_item_id, l.product_id, l.quantity, l.unit_amount, l.amount, l.period_start, l.period_end, l.source_line_id
		FROM qzpay.pending_lines l WHERE l.kind IN ('plan', 'addon')
		-- What an end or a pause gives back stands on credit notes.
		UNION ALL SELECT i.tenant_id, coalesce(l.subscription_id, i.subscription_id), c.id, l.subscription_item_id, l.product_id, l.quantity, l.unit_amount, -c.amount, c.period_start, c.period_end, l.id
		FROM qzpay.credit_note_lines c JOIN qzpay.credit_notes n ON n.tenant_id = c.tenant_id AND n.id = c.credit_note_id AND n.reason IN ('canceled', 'paused')
		JOIN qzpay.invoice_lines l ON l.tenant_id = c.tenant_id AND l.id = c.invoice_line_id JOIN qzpay.invoices i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id;
	CREATE TABLE lives.items AS
		SELECT i.*, c.interval_count || ' ' || c.interval_unit AS cycle, coalesce(i.unit_amount, c.unit_amount) * i.quantity AS rate
		FROM qzpay.subscription_items i JOIN qzpay.prices c ON c.id = i.price_id;
	CREATE TABLE lives.debits AS
		SELECT d.*, d.unit_amount * d.quantity AS rate, coalesce((SELECT min(c.period_start) FROM lives.lines c WHERE c.source_line_id = d.id), d.period_end) AS until,
			coalesce((SELECT sum(c.amount) FROM lives.lines c WHERE c.source_line_id = d.id), 0) AS credited
		FROM lives.lines d WHERE d.amount > 0 AND d.product_id NOT IN (SELECT p.id FROM qzpay.products p WHERE p.code = 'pack');
	CREATE TABLE lives.judged AS
		SELECT s.id, s.tenant_id FROM qzpay.subscriptions s
		WHERE NOT EXISTS (SELECT FROM qzpay.events e WHERE e.aggregate_id = s.id AND e.type = 'subscription.comped')
		AND NOT EXISTS (SELECT FROM qzpay.subscription_changes h WHERE h.subscription_id = s.id AND h.status = 'applied' AND h.proration = 'none')
		AND NOT EXISTS (SELECT FROM qzpay.transitions t WHERE t.object_id = s.id AND t.from_status = 'incomplete' AND t.to_status IN ('canceled', 'incomplete_expired'))
		-- By the day is not by time; a discount goes with the line; what is void was given; what came from elsewhere was paid there.
		AND NOT EXISTS (SELECT FROM qzpay.subscription_items i JOIN qzpay.products p ON p.id = i.product_id AND p.proration_unit = 'day' WHERE i.subscription_id = s.id)
		AND NOT EXISTS (SELECT FROM qzpay.redemptions r WHERE r.subscription_id = s.id)
		AND NOT EXISTS (SELECT FROM qzpay.invoices i WHERE i.subscription_id = s.id AND i.status = 'void' AND NOT EXISTS (SELECT FROM qzpay.invoices n WHERE n.replaces = i.id))
		AND EXISTS (SELECT FROM qzpay.events e WHERE e.aggregate_id = s.id AND e.type = 'subscription.created' AND NOT e.data ? 'imported')
		-- Goodwill takes from lines whatever their time.
		AND NOT EXISTS (SELECT FROM qzpay.credit_notes n JOIN qzpay.invoice_subscriptions i ON i.tenant_id = n.tenant_id AND i.invoice_id = n.invoice_id
			WHERE i.subscription_id = s.id AND (n.reason IS NULL OR n.reason NOT IN ('canceled', 'paused')));
	CREATE INDEX ON lives.debits (subscription_id); CREATE INDEX ON lives.items (subscription_id); ANALYZE lives.debits; ANALYZE lives.items;});
none(q{SELECT a.subscription_id, a.id, b.id, a.period_start, a.until, b.period_start FROM lives.judged j JOIN lives.debits a ON a.subscription_id = j.id
	JOIN lives.debits b ON b.subscription_id = a.subscription_id AND b.subscription_item_id = a.subscription_item_id AND b.id <> a.id
	WHERE a.period_start < b.until AND b.period_start < a.until AND (a.period_start, a.id) < (b.period_start, b.id)}, 'no time of an item is billed twice');
my $judged = q{
	WITH spans AS (
		SELECT p.subscription_id, p.cycle, p.period_start, p.period_end, -- Of a first part, the whole period that it is a part of.
			extract(epoch FROM coalesce(max(d.period_end), p.period_end) - CASE WHEN p.ordinal < 0 OR max(d.period_end) - p.cycle::interval < p.period_start - CASE WHEN p.cycle ~ 'week' THEN interval '17 hours' ELSE interval '4 days' END
				THEN qzpay.period_boundary(max(d.period_end), split_part(p.cycle, ' ', 2), split_part(p.cycle, ' ', 1)::integer, -1, s.timezone) ELSE p.period_start END) AS whole
		FROM lives.judged j JOIN qzpay.periods p ON p.subscription_id = j.id AND p.cycle <> 'usage' JOIN qzpay.subscriptions s ON s.id = j.id
		LEFT JOIN (lives.debits d JOIN lives.items i ON i.id = d.subscription_item_id) ON d.subscription_id = p.subscription_id AND i.cycle = p.cycle AND d.period_start >= p.period_start AND d.period_start < p.period_end
		GROUP BY 1, 2, 3, 4, p.ordinal, s.timezone
	), due AS (
		SELECT i.subscription_id, sum(i.rate * extract(epoch FROM least(i.valid_until, p.period_end) - greatest(i.valid_from, p.period_start)) / p.whole) AS amount, count(*) AS n
		FROM lives.items i JOIN spans p ON p.subscription_id = i.subscription_id AND p.cycle = i.cycle AND i.valid_from < p.period_end AND i.valid_until > p.period_start
		WHERE i.product_id NOT IN (SELECT p.id FROM qzpay.products p WHERE p.code = 'pack') AND i.valid_from <= (SELECT qzpay.now(s.customer_id) FROM qzpay.subscriptions s WHERE s.id = i.subscription_id)
		GROUP BY 1
	), billed AS (
		SELECT d.subscription_id, sum(d.amount + d.credited - CASE WHEN i.id IS NOT NULL AND d.until > least(i.valid_until, p.period_end)
			THEN d.rate * extract(epoch FROM d.until - least(i.valid_until, p.period_end)) / p.whole ELSE 0 END) AS amount, count(*) AS n
		FROM lives.debits d LEFT JOIN lives.items i ON i.id = d.subscription_item_id
		LEFT JOIN spans p ON p.subscription_id = d.subscription_id AND p.cycle = i.cycle AND p.period_start <= d.period_start AND p.period_end > d.period_start
		GROUP BY 1
	)
	SELECT j.id, round(coalesce(due.amount, 0), 2) AS due, round(coalesce(billed.amount, 0), 2) AS billed, coalesce(due.n, 0) + coalesce(billed.n, 0) AS n
	FROM lives.judged j LEFT JOIN due ON due.subscription_id = j.id LEFT JOIN billed ON billed.subscription_id = j.id};
none("SELECT * FROM ($judged) x WHERE abs(due - billed) > n", 'debits less credits are price x time, to a minor unit for each line');
is($node->safe_psql('postgres', "SELECT count(*) > $lives / 4 FROM ($judged) x WHERE due > 0"), 't', 'and many were judged');

# What was billed counts though it was given back by making it void. Usage by a count of our own, for contracts that were paid, outside of their trial, with no other contract beside them and the plan they began with.
my $plain = q{p.period_start IS DISTINCT FROM CASE WHEN s.trial_end IS NOT NULL THEN s.started_at END
	AND NOT EXISTS (SELECT FROM qzpay.subscription_changes h WHERE h.subscription_id = s.id AND h.status = 'applied')
	AND NOT EXISTS (SELECT FROM qzpay.events e WHERE e.aggregate_id = s.id AND e.type = 'subscription.comped')
	AND NOT EXISTS (SELECT FROM qzpay.transitions t WHERE t.object_id = s.id AND t.from_status = 'incomplete' AND t.to_status IN ('canceled', 'incomplete_expired'))
	AND NOT EXISTS (SELECT FROM qzpay.subscriptions o WHERE o.customer_id = s.customer_id AND o.id <> s.id
		AND o.started_at < coalesce(s.ended_at, 'infinity') AND s.started_at < coalesce(o.ended_at, 'infinity'))};
none(q{SELECT p.subscription_id, p.period_start, u.quantity, b.quantity
	FROM qzpay.periods p
	JOIN qzpay.subscriptions s ON s.id = p.subscription_id
	JOIN qzpay.subscription_items i ON i.subscription_id = s.id AND i.kind = 'plan' AND i.valid_from <= p.period_start AND i.valid_until >= least(p.period_end, s.ended_at)
	JOIN qzpay.charges c ON c.product_id = i.product_id AND c.currency = s.currency
	JOIN qzpay.meters m ON m.id = c.meter_id AND m.code = 'messages'
	CROSS JOIN LATERAL (SELECT sum(u.quantity) AS quantity FROM lives.used u
		WHERE u.customer = s.customer_id AND u.at >= p.period_start AND u.at < least(p.period_end, s.ended_at)) u
	CROSS JOIN LATERAL (SELECT coalesce(sum(l.quantity), 0) AS quantity FROM qzpay.invoice_lines l JOIN qzpay.invoices v ON v.id = l.invoice_id AND NOT EXISTS (SELECT FROM qzpay.invoices n WHERE n.replaces = v.id)
		WHERE v.customer_id = s.customer_id AND l.kind = 'usage' AND l.meter_id = m.id AND l.period_start = p.period_start) b
	WHERE p.cycle = 'usage' AND least(p.period_end + coalesce(s.usage_late_hours, 0) * interval '1 hour', s.ended_at) <= qzpay.now(s.customer_id) AND u.quantity > c.included AND u.quantity <> b.quantity
	AND } . $plain . q{}, 'what was used is what was billed');
# Of a meter whose totals are stated, the last statement.
none(q{SELECT p.subscription_id, p.period_start, u.quantity, b.quantity
	FROM qzpay.periods p
	JOIN qzpay.subscriptions s ON s.id = p.subscription_id
	JOIN qzpay.subscription_items i ON i.subscription_id = s.id AND i.kind = 'plan' AND i.valid_from <= p.period_start AND i.valid_until >= least(p.period_end, s.ended_at)
	JOIN qzpay.charges c ON c.product_id = i.product_id AND c.currency = s.currency
	JOIN qzpay.meters m ON m.id = c.meter_id AND m.code = 'storage'
	CROSS JOIN LATERAL (SELECT coalesce((SELECT u.quantity FROM lives.stated u WHERE u.customer = s.customer_id AND u.at >= p.period_start AND u.at < least(p.period_end, s.ended_at) ORDER BY u.at DESC, u.ctid DESC LIMIT 1), 0) AS quantity) u
	CROSS JOIN LATERAL (SELECT coalesce(sum(l.quantity), 0) AS quantity FROM qzpay.invoice_lines l JOIN qzpay.invoices v ON v.id = l.invoice_id AND NOT EXISTS (SELECT FROM qzpay.invoices n WHERE n.replaces = v.id)
		WHERE v.customer_id = s.customer_id AND l.kind = 'usage' AND l.meter_id = m.id AND l.period_start = p.period_start) b
	WHERE p.cycle = 'usage' AND least(p.period_end + coalesce(s.usage_late_hours, 0) * interval '1 hour', s.ended_at) <= qzpay.now(s.customer_id) AND u.quantity > c.included AND u.quantity <> b.quantity
	AND } . $plain . q{}, 'what was stated is what was billed');
is($node->safe_psql('postgres', q{SELECT count(*) > 10 * (SELECT count(*) FROM lives.life), (SELECT count(*) > 5 FROM qzpay.invoice_lines WHERE kind = 'usage' AND amount > 0),
	(SELECT count(DISTINCT status) > 2 FROM qzpay.subscriptions), (SELECT count(DISTINCT split_part(t, ' ', 3)) > 40 FROM lives.life, regexp_split_to_table(told, E'\\n') t WHERE t !~ 'refused'),
	(SELECT last_value > 20 FROM lives.kept_promises), (SELECT count(*) > 0 FROM qzpay.invoice_shares) FROM qzpay.invoices}), 't|t|t|t|t|t', 'the lives were eventful');
my ($rc, undef, $err) = $node->psql('postgres', 'TRUNCATE qzpay.usage_events', on_error_die => 0);
like($err, qr/rows of qzpay\.usage_events are never removed/, 'usage is not truncated');
$node->stop;
done_testing();
