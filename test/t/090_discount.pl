# A promo code under 64 sessions at once, at every isolation level; and the guard against guessing, which no ROLLBACK and no new session resets.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $catalog = <<'JSON';
{"meters": {"calls": {"name": "Calls"}}, "plans": [{"id": "p", "name": "P", "prices": {"month": {"amount": 1000, "currency": "USD"}}}],
 "promoCodes": {"TEN": {"type": "percentage", "value": 10, "restrictions": {"maxUses": 10}}, "FOREVER": {"type": "percentage", "value": 10, "config": {"forever": true}}}}
JSON

sub new_server
{
	my ($name, $conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', "fsync = off\nmax_connections = 100\nmax_pred_locks_per_transaction = 256\n$conf");
	$node->start;
	$node->safe_psql('postgres', "CREATE EXTENSION qzpay CASCADE; SELECT qzpay.install(); SELECT qzpay.import_catalog('$catalog');");
	return $node;
}

my $node = new_server('discount', "shared_preload_libraries = 'qzpay'\n");
my $scripts = 0;

# Sessions run the script once each; what fails with one of the serialization errors is tried again, anything else ends its session.
sub at_once
{
	my ($level, $script, $sessions) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/discount' . ++$scripts;
	append_to_file($file, "BEGIN ISOLATION LEVEL $level;\n$script");
	$node->run_log([ 'pgbench', '-n', '-c', $sessions // 64, '-j', '4', '-t', 1, '--max-tries=1000', '-f', $file, 'postgres' ]);
	return;
}

# Above READ COMMITTED every commit fails all who wait, so fewer do.
foreach my $case ([ 'READ COMMITTED', 64 ], [ 'REPEATABLE READ', 20 ], [ 'SERIALIZABLE', 20 ])
{
	my ($level, $sessions) = @$case;
	(my $prefix = lc $level) =~ s/ /_/g;
	$node->safe_psql('postgres', <<"SQL");
UPDATE qzpay.discounts SET max_uses = uses + 10 WHERE code = 'TEN';
SELECT qzpay.attach_payment_method(c.id, 'sandbox', 'tok_ok') FROM generate_series(0, 63) n, qzpay.sync_customer('${prefix}_' || n, livemode => false) c;
SQL
	at_once($level, "SELECT (qzpay.subscribe(qzpay._customer_id(tenant_id, external_id), 'p', promo_code => 'TEN')).status FROM qzpay.customers WHERE external_id = '${prefix}_' || :client_id;\nCOMMIT;\n", $sessions);
	is($node->safe_psql('postgres', <<"SQL"), '10|10|10|0|t', "$level: $sessions sessions, ten uses");
SELECT count(r), count(s), count(i) FILTER (WHERE i.discount_total = 100 AND i.status = 'paid'), count(i) FILTER (WHERE i.discount_total <> 100), (SELECT uses = max_uses FROM qzpay.discounts WHERE code = 'TEN')
FROM qzpay.customers c LEFT JOIN qzpay.subscriptions s ON s.customer_id = c.id LEFT JOIN qzpay.redemptions r ON r.subscription_id = s.id LEFT JOIN qzpay.invoices i ON i.subscription_id = s.id
WHERE c.external_id LIKE '${prefix}%'
SQL
}

# Every purchase is rolled back: so is its use.
$node->safe_psql('postgres', q{UPDATE qzpay.discounts SET max_uses = uses + 10 WHERE code = 'TEN'});
at_once('READ COMMITTED', "SELECT (qzpay.subscribe((SELECT id FROM qzpay.customers ORDER BY id OFFSET :client_id LIMIT 1), 'p', promo_code => 'TEN', allow_multiple => true)).status;\nROLLBACK;\n");
is($node->safe_psql('postgres', q{SELECT max_uses - uses FROM qzpay.discounts WHERE code = 'TEN'}), '10', 'what is rolled back gives its use back');
# Half of them.
at_once('READ COMMITTED', "SELECT (qzpay.subscribe((SELECT id FROM qzpay.customers ORDER BY id OFFSET :client_id LIMIT 1), 'p', promo_code => 'TEN', allow_multiple => true)).status;\n\\if :client_id % 2\nROLLBACK;\n\\else\nCOMMIT;\n\\endif\n");
is($node->safe_psql('postgres', q{SELECT max_uses - uses FROM qzpay.discounts WHERE code = 'TEN'}), '0', 'the others take all ten');
# Redeemed and removed, on one subscription, again and again.
$node->safe_psql('postgres', q{SELECT qzpay.subscribe(c.id, 'p') FROM qzpay.sync_customer('one', livemode => false) c, LATERAL (SELECT qzpay.attach_payment_method(c.id, 'sandbox', 'tok_ok')) m});
at_once('READ COMMITTED', "SELECT (qzpay.redeem_promo_code(id, 'FOREVER')).code FROM qzpay.subscriptions WHERE customer_id = (SELECT id FROM qzpay.customers WHERE external_id = 'one');\nCOMMIT;\n");
is($node->safe_psql('postgres', q{SELECT d.uses, count(*), count(*) FILTER (WHERE r.ended_at IS NULL) FROM qzpay.discounts d JOIN qzpay.redemptions r ON r.discount_id = d.id WHERE d.code = 'FOREVER' GROUP BY d.uses}),
	'1|1|1', '64 sessions redeem one code for one subscription: once');
is($node->safe_psql('postgres', q{SELECT string_agg(check_name, ', ') FROM qzpay.check_integrity() WHERE status <> 'pass'}), '', 'the books are right');
unlike(slurp_file($node->logfile), qr/PANIC|XX000|deadlock|unique constraint/, 'nothing went wrong underneath');

# Guessing: sessions share the counter, and a ROLLBACK does not take it back.
foreach my $n (1 .. 19)
{
	$node->safe_psql('postgres', "BEGIN; SELECT valid FROM qzpay.validate_promo_code('one', 'GUESS$n', 'p'); ROLLBACK;");
}
is($node->safe_psql('postgres', q{SELECT valid FROM qzpay.validate_promo_code('one', 'FOREVER', 'p')}), 't', 'a right code after 19 wrong ones');
$node->safe_psql('postgres', q{SELECT valid FROM qzpay.validate_promo_code('one', 'GUESS', 'p')});
is($node->safe_psql('postgres', q{SELECT valid, reason FROM qzpay.validate_promo_code('one', 'FOREVER', 'p')}), 'f|too_many_attempts', 'not after 20, each in a session of its own, rolled back');
is($node->safe_psql('postgres', q{SELECT valid FROM qzpay.validate_promo_code('serializable_1', 'FOREVER', 'p')}), 't', 'other tenants go on');
is($node->safe_psql('postgres', q{SELECT count(*) FROM qzpay.doctor() WHERE detail LIKE '%throttles are per session%'}), '0', 'doctor() has nothing to say about it');
$node->stop;

# Not preloaded: each session counts for itself, and doctor() says so.
$node = new_server('alone', '');
$node->safe_psql('postgres', q{SELECT qzpay.sync_customer('one', livemode => false)});
is($node->safe_psql('postgres', q{BEGIN; SELECT count(*) FROM generate_series(1, 20) n, LATERAL qzpay.validate_promo_code('one', 'GUESS' || n, 'p') v WHERE v.reason = 'unknown_code'; ROLLBACK;
SELECT reason FROM qzpay.validate_promo_code('one', 'FOREVER', 'p')}), "20\ntoo_many_attempts", 'within a session');
is($node->safe_psql('postgres', q{SELECT valid FROM qzpay.validate_promo_code('one', 'FOREVER', 'p')}), 't', 'but not in another');
is($node->safe_psql('postgres', q{SELECT count(*) FROM qzpay.doctor() WHERE detail LIKE '%throttles are per session%'}), '1', 'doctor() says so');
$node->stop;
done_testing();
