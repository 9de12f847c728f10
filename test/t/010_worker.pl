# The background worker against a provider over HTTP: every kind of answer, and its own death.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use QzpayTest;
use Test::More;

start_simulator();
my $node = new_server('worker', preload => 1, timeout => '1500ms');
install_qzpay($node);
my $pid = wait_for_worker($node);
ok($pid, 'a worker runs in the database');
is($node->safe_psql('billing', "SELECT usename, (SELECT rolsuper FROM pg_roles r WHERE r.rolname = usename) FROM pg_stat_activity WHERE pid = $pid"), 'qzpay_runner|f', 'as a role that is no superuser');

# Definite answers
subscriber($node, 'fine', 'pm_ok');
settled($node, 'fine', 'succeeded', 'a card is charged');
is($node->safe_psql('billing', q{SELECT s.status FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id WHERE c.external_id = 'fine'}), 'active', 'the subscription is active by it');
is($node->safe_psql('billing', q{SELECT string_agg(p.amount || ' ' || p.status, ',') FROM qzpay.payments p}), '9900 succeeded', 'the payment is recorded');
is($node->safe_psql('billing', q{SELECT count(*) FROM qzpay.payment_attempts a WHERE a.idempotency_key ~ '^qz1-[A-Za-z0-9_-]{43}$' AND a.fence = 1 AND a.crash_count = 0 AND a.next_at IS NULL}), '1', 'under one key, claimed once');
$node->safe_psql('billing', q{SELECT qzpay.refund(p.id, 100) FROM qzpay.payments p});
ok($node->poll_query_until('billing', q{SELECT string_agg(status || ' ' || refunded, ',') FROM qzpay.refund_requests}, 'done 100'), 'a part of it is refunded');
is(join(' ', map { $_->{amount} } @{ refunds() }), '100', 'by the provider');
subscriber($node, 'poor', 'pm_decline');
settled($node, 'poor', 'declined:insufficient_funds', 'a decline is definite');
is($node->safe_psql('billing', q{SELECT a.decline_class FROM qzpay.payment_attempts a WHERE a.status = 'declined'}), 'later', 'and may be tried later');
subscriber($node, 'strong', 'pm_3ds');
settled($node, 'strong', 'declined:authentication_required', 'off session, authentication is a decline');
subscriber($node, 'mistaken', 'no_such_method');
settled($node, 'mistaken', 'rejected:resource_missing', 'a request that makes no sense is rejected');
subscriber($node, 'slow_bank', 'pm_processing');
settled($node, 'slow_bank', 'processing', 'a payment can be processing');
for (1 .. 3) { due_now($node); $node->poll_query_until('billing', q{SELECT count(*) = 0 FROM qzpay.payment_attempts WHERE next_at <= qzpay._real_now()}) }
settled($node, 'slow_bank', 'succeeded', 'and is looked up until it is done');

# On session: 3-D Secure
my $invoice = $node->safe_psql('billing', q{SELECT i.id FROM qzpay.invoices i JOIN qzpay.customers c ON c.id = i.customer_id WHERE c.external_id = 'strong'});
is($node->safe_psql('billing', "SELECT status FROM qzpay.pay_invoice('$invoice')"), 'planned', 'the customer pays by hand');
settled($node, 'strong', 'declined:authentication_required requires_action:authentication_required', 'and is asked to authenticate');
is($node->safe_psql('billing', q{SELECT next_action ->> 'type' FROM qzpay.payment_attempts WHERE status = 'requires_action'}), 'redirect_to_url', 'with what to do');
like(($node->psql('billing', "SELECT qzpay.pay_invoice('$invoice')"))[2], qr/under way/, 'a second payment meanwhile is refused');
simulate('authenticate', { succeed => 1 });
due_now($node);
settled($node, 'strong', 'declined:authentication_required succeeded', 'which completes the payment');
subscriber($node, 'undecided', 'pm_3ds');
settled($node, 'undecided', 'declined:authentication_required', 'another one');
$invoice = $node->safe_psql('billing', q{SELECT i.id FROM qzpay.invoices i JOIN qzpay.customers c ON c.id = i.customer_id WHERE c.external_id = 'undecided'});
$node->safe_psql('billing', "SELECT qzpay.pay_invoice('$invoice')");
settled($node, 'undecided', 'declined:authentication_required requires_action:authentication_required', 'is asked as well');
$node->safe_psql('billing', q{SELECT qzpay.attach_payment_method(c.id, 'stripe', 'pm_ok_2') FROM qzpay.customers c WHERE c.external_id = 'undecided'});
settled($node, 'undecided', 'declined:authentication_required canceled:authentication_required succeeded', 'a new card takes over once the provider has called the first payment off');

# Indefinite answers: none of them charges twice, none is shown as failed.
my @cases = (
	[ 'lost before create', { match => 'create', action => 'drop_before' } ],
	[ 'lost after create', { match => 'create', action => 'drop_after' } ],
	[ 'lost before confirm', { match => 'confirm', action => 'drop_before' } ],
	[ 'lost after confirm', { match => 'confirm', action => 'drop_after' } ],
	[ '500 after confirm', { match => 'confirm', action => 'error_after' } ],
	[ 'truncated', { match => 'confirm', action => 'truncate' } ],
	[ 'maintenance page in a 200', { match => 'confirm', action => 'garbage' } ],
	[ 'too slow', { match => 'confirm', action => 'delay_after', ms => 2500 } ],
	[ 'too slow to begin', { match => 'confirm', action => 'delay_before', ms => 2500 } ],
	[ 'sent twice by the network', { match => 'confirm', action => 'duplicate' } ],
	[ 'redirected', { match => 'confirm', action => 'error_before', status => 302, headers => { Location => 'https://example.org/' } } ],
	[ 'too many requests', { match => 'create', action => 'error_before', status => 429, headers => { 'Retry-After' => '1' } } ],
	[ 'key in use', { match => 'confirm', action => 'error_before', status => 409 } ]);
my $n = 0;
for my $case (@cases) {
	my $name = 'case_' . ++$n;
	rules({ times => 1, %{ $case->[1] } });
	subscriber($node, $name, 'pm_ok');
	$node->poll_query_until('billing', qq{SELECT a.status NOT IN ('planned', 'sending', 'confirming') OR a.status_reason IS NOT NULL FROM qzpay.payment_attempts a JOIN qzpay.customers c ON c.id = a.customer_id WHERE c.external_id = '$name'});
	my $first = attempts($node, $name);
	for (1 .. 12) {
		last if attempts($node, $name) eq 'succeeded';
		due_now($node);
		select undef, undef, undef, 0.5;
	}
	is(attempts($node, $name), 'succeeded', "$case->[0]: from $first to succeeded");
}
rules({ match => 'lookup', action => 'garbage' });
subscriber($node, 'wrong', 'pm_wrong_amount');
settled($node, 'wrong', 'unknown', 'an answer with another amount is unknown');
is($node->safe_psql('billing', q{SELECT data ->> 'message' FROM qzpay.events WHERE type = 'alert.raised' AND data ->> 'message' LIKE '%match%'}), "the provider's answer does not match the attempt: amount", 'with an alert');
rules();

# Credentials refused: the lane waits, and loses nothing.
simulate('key', { key => 'another' });
subscriber($node, 'waiting', 'pm_ok');
$node->poll_query_until('billing', q{SELECT paused_at IS NOT NULL FROM qzpay.providers WHERE code = 'stripe'});
is(attempts($node, 'waiting'), 'planned', '401 pauses the lane, and the attempt is planned again');
is($node->safe_psql('billing', q{SELECT amount_in_flight FROM qzpay.invoices i JOIN qzpay.customers c ON c.id = i.customer_id WHERE c.external_id = 'waiting'}), '0', 'with nothing in flight');
simulate('key', { key => 'sk_test_simulator' });
is($node->safe_psql('billing', q{SELECT qzpay.resume_provider('stripe')}), 't', 'the lane is resumed');
settled($node, 'waiting', 'succeeded', 'and the attempt goes out');
is($node->safe_psql('billing', q{SELECT attempt_no FROM qzpay.payment_attempts a JOIN qzpay.customers c ON c.id = a.customer_id WHERE c.external_id = 'waiting'}), '1', 'under the same number');

# An operator ends what nobody can look up.
is($node->safe_psql('billing', q{SELECT qzpay.resolve_attempt(a.id, 'declined', 'seen in the dashboard') FROM qzpay.payment_attempts a JOIN qzpay.customers c ON c.id = a.customer_id WHERE c.external_id = 'wrong'}),
	'declined', 'an operator resolves what is unknown');

# The worker's own death
$pid = worker_pid($node);
kill 'TERM', $pid;
my $next = wait_for_worker($node, $pid);
ok($next && $next != $pid, 'after SIGTERM it comes back');
kill 'INT', $next;
select undef, undef, undef, 0.3;
is(worker_pid($node), $next, 'SIGINT does nothing to it');
kill 'KILL', $next;
my $third = wait_for_worker($node, $next);
ok($third && $third != $next, 'after SIGKILL it comes back with the server');
subscriber($node, 'after', 'pm_ok');
settled($node, 'after', 'succeeded', 'and works');
# It has no database, so the server does not list it.
my ($launcher) = map { /^\s*(\d+) .*qzpay launcher/ ? $1 : () } split /\n/, scalar `ps -o pid=,args= --ppid ${\ $node->{_pid}}`;
ok($launcher, 'there is a launcher');
kill 'TERM', $launcher;
my $fourth = wait_for_worker($node, $third);
ok($fourth && $fourth != $third, 'after the launcher\'s end there is another worker');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'qzpay worker'}), '1', 'and only one');

# Books
my $ledger = ledger();
my %charged;
$charged{ $_->{invoice} }++ for @$ledger;
is(scalar(grep { $_ != 1 } values %charged), 0, 'no invoice was charged twice');
is($node->safe_psql('billing', q{SELECT count(*) FROM qzpay.invoices WHERE status = 'paid'}), scalar(keys %charged) - 1, 'what was charged is paid, but for the one with the wrong amount');
is($node->safe_psql('billing', q{SELECT count(*) FROM qzpay.payments p WHERE p.amount <> (SELECT sum(t.amount) FROM qzpay.ledger_transfers t WHERE t.cause_id = p.id)}), '0', 'every payment is in the ledger');
$node->stop;
unlike(slurp_file($node->logfile), qr/sk_test/, 'no secret in the server log');
done_testing();
