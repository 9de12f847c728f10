# Refunds over real HTTP: every kind of answer, sessions that end between sending and settling, answers out of order, keys that were forgotten. The
# simulator's own books are the oracle: it gave back what the database says, and nothing twice.
use strict;
use warnings;

use IPC::Run qw(start);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use QzpayTest;
use Test::More;

start_simulator();
my $node = new_server('refund', timeout => '1500ms');
install_qzpay($node);

sub deliver { $node->safe_psql('billing', 'CALL qzpay.deliver()') }
sub payment { my ($name) = @_; return $node->safe_psql('billing', "SELECT p.id FROM qzpay.payments p JOIN qzpay.customers c ON c.id = p.customer_id WHERE c.external_id = '$name'") }
# A customer who has paid 99.00.
sub payer { my ($name, $token) = @_; subscriber($node, $name, $token // 'pm_ok'); deliver(); return payment($name) }
sub refund { my ($payment, $amount) = @_; return $node->safe_psql('billing', "SELECT refund_request FROM qzpay.refund('$payment', $amount)") }
# Status and amounts of a request, and its attempts.
sub told {
	my ($request) = @_;
	return $node->safe_psql('billing', qq{SELECT concat_ws(' ', r.status, r.refunded, r.refunding) || ' | ' || (SELECT string_agg(a.status || coalesce(':' || a.decline_code, ''), ' ' ORDER BY a.attempt_no)
		FROM qzpay.payment_attempts a WHERE a.refund_request_id = r.id) FROM qzpay.refund_requests r WHERE r.id = '$request'});
}
# What the simulator gave back against what the database says.
sub agree {
	my ($what) = @_;
	my %given;
	$given{ $_->{payment_intent} } += $_->{amount} for grep { $_->{status} eq 'succeeded' } @{ refunds() };
	is(join(' ', map { "$_=$given{$_}" } sort keys %given), join(' ', split /\n/, $node->safe_psql('billing', q{SELECT provider_ref || '=' || refunded FROM qzpay.payments WHERE refunded > 0 ORDER BY provider_ref})), $what);
}

# Definite answers
my $p = payer('fine');
my $r = refund($p, 4000);
is(told($r), 'requested 0 4000 | planned', 'nothing is sent before the commit');
deliver();
is(told($r), 'done 4000 0 | succeeded', 'deliver() sends it');
$r = refund($p, 5900);
deliver();
is(told($r), 'done 5900 0 | succeeded', 'and the rest');
like(($node->psql('billing', "SELECT qzpay.refund('$p')"))[2], qr/cannot be refunded/, 'then nothing is left');
is($node->safe_psql('billing', q{SELECT count(*) FROM qzpay.payment_attempts WHERE operation = 'refund' AND idempotency_key ~ '^qz1-[A-Za-z0-9_-]{43}$' AND fence = 1 AND next_at IS NULL}), '2', 'each claimed once');
is($node->safe_psql('billing', q{SELECT s.status FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id WHERE c.external_id = 'fine'}), 'active', 'the subscription goes on');
$r = refund(payer('refused', 'pm_ok_refund_fails'), 100);
deliver();
is(told($r), 'requested 0 0 | declined:expired_or_canceled_card', 'one that fails returns to its request');
$node->safe_psql('billing', "SELECT qzpay.record_refund('$r', 'by bank')");
$r = refund(payer('slow', 'pm_ok_refund_pending'), 100);
deliver();
is(told($r), 'requested 0 100 | processing', 'one that is pending');
for (1 .. 2) { due_now($node); deliver() }
is(told($r), 'done 100 0 | succeeded', 'is looked up until it is done');
agree('nothing else was given back');

# Indefinite answers: replayed under the same key while the provider knows it
my @cases = ([ 'lost before', 'drop_before' ], [ 'lost after', 'drop_after' ], [ '500 after', 'error_after' ], [ 'truncated', 'truncate' ], [ 'garbage', 'garbage' ], [ 'executed twice', 'duplicate' ]);
for my $case (@cases) {
	my ($name, $action) = @$case;
	(my $id = $name) =~ s/ /_/g;
	my $payment = payer($id);
	rules({ match => 'refund', action => $action, times => 1 });
	$r = refund($payment, 5000);
	deliver();
	is(told($r), $action eq 'duplicate' ? 'done 5000 0 | succeeded' : 'requested 0 5000 | unknown', "$name: unknown is not shown as failed");
	like(($node->psql('billing', "SELECT qzpay.refund('$payment', 5000)"))[2], qr/cannot be refunded/, "$name: and not given back beside it");
	due_now($node);
	deliver();
	is(told($r), 'done 5000 0 | succeeded', "$name: the same key tells");
}
rules();
agree('each was given back once');

# Keys that the provider has forgotten: what was made is found among the refunds of the payment, what was not waits for an operator.
$p = payer('forgotten');
rules({ match => 'refund', action => 'drop_after', times => 1 });
$r = refund($p, 700);
deliver();
simulate('forget_keys');
my $old = q{UPDATE qzpay.payment_attempts SET first_sent_at = first_sent_at - interval '20 hours 1 minute' WHERE status = 'unknown'};
$node->safe_psql('billing', $old);
due_now($node);
deliver();
is(told($r), 'done 700 0 | succeeded', 'found by our reference');
rules({ match => 'refund', action => 'drop_before', times => 1 });
$r = refund($p, 800);
deliver();
simulate('forget_keys');
$node->safe_psql('billing', $old);
due_now($node);
deliver();
is(told($r), 'requested 0 800 | unknown', 'not found once: perhaps a delay');
$node->safe_psql('billing', q{UPDATE qzpay.payment_attempts SET request = jsonb_set(request, '{not_found,at}', to_jsonb((request #>> '{not_found,at}')::timestamptz - interval '2 hours')) WHERE status = 'unknown'});
due_now($node);
deliver();
is(told($r), 'requested 0 800 | needs_operator', 'twice: nobody makes it afresh by himself');
my $attempt = $node->safe_psql('billing', "SELECT id FROM qzpay.payment_attempts WHERE refund_request_id = '$r'");
$node->safe_psql('billing', "SELECT qzpay.resolve_attempt('$attempt', 'canceled', 'not in the dashboard'); SELECT qzpay.retry_refund('$r')");
deliver();
is(told($r), 'done 800 0 | canceled succeeded', 'a person has it sent again');
agree('and it was given back once');

# Out of order: the holder is slower than its lease, another one asks again and is answered first. What comes late changes nothing.
$p = payer('late');
$r = refund($p, 900);
rules({ match => 'refund', action => 'delay_before', ms => 900, times => 1 });
my ($out, $err);
my $slow = start([ 'psql', '-XAtq', '-d', $node->connstr('billing'), '-c', 'CALL qzpay.deliver()' ], '<', \undef, '>', \$out, '2>', \$err);
$node->poll_query_until('billing', "SELECT count(*) = 1 FROM qzpay.payment_attempts WHERE refund_request_id = '$r' AND status = 'sending'");
for (1 .. 100) { last if grep { $_->{kind} eq 'refund' && $_->{action} eq 'delay_before' } @{ requests() }; select undef, undef, undef, 0.05 }
$node->safe_psql('billing', "UPDATE qzpay.payment_attempts SET next_at = qzpay._real_now(), lease_until = NULL WHERE refund_request_id = '$r'");
deliver();
is(told($r), 'requested 0 900 | unknown', 'the key is in use: 409, so it is asked again later');
$slow->finish;
is(told($r), 'requested 0 900 | unknown', 'the answer to the first one comes under a stale fence');
due_now($node);
deliver();
is(told($r), 'done 900 0 | succeeded', 'and the same key tells it again');
rules();

# Ended between sending and settling
my $killed = 0;
my @requests;
for my $round (1 .. 6) {
	my $payment = payer("killed_$round");
	push @requests, refund($payment, 1000 + $round);
	rules({ match => 'refund', action => (qw(delay_before delay_after drop_after))[ $round % 3 ], ms => 600, times => 1 });
	my $session = start([ 'psql', '-XAtq', '-d', $node->connstr('billing'), '-c', 'CALL qzpay.deliver()' ], '<', \undef, '>', \$out, '2>', \$err);
	for (1 .. 100) { last if $node->safe_psql('billing', "SELECT count(*) FROM qzpay.payment_attempts WHERE refund_request_id = '$requests[-1]' AND status = 'sending'") eq '1'; select undef, undef, undef, 0.02 }
	select undef, undef, undef, 0.1 + rand 0.4;
	my $pid = $node->safe_psql('billing', q{SELECT pid FROM pg_stat_activity WHERE query = 'CALL qzpay.deliver()' AND datname = 'billing'});
	if ($pid) { $node->safe_psql('billing', "SELECT pg_terminate_backend($pid)"); $killed++ }
	$session->finish;
	rules();
	select undef, undef, undef, 0.7;
}
cmp_ok($killed, '>', 3, 'sessions were ended while they waited for answers');
for (1 .. 3) { due_now($node); deliver() }
is(join(' ', map { told($_) } @requests), join(' ', map { 'done ' . (1000 + $_) . ' 0 | succeeded' } 1 .. 6), 'every refund is done, at its first attempt');
$node->stop('immediate');
$node->start;
due_now($node);
deliver();
agree('the provider and the database agree after all of it');
my %keys;
$keys{ $_->{key} }++ for grep { $_->{kind} eq 'refund' } @{ requests() };
is(scalar(keys %keys), $node->safe_psql('billing', q{SELECT count(*) FROM qzpay.payment_attempts WHERE operation = 'refund' AND first_sent_at IS NOT NULL}), 'each attempt has its key, and each key its attempt');
charged_once($node, 'and no refund was taken for a charge');

# Two sessions refund one payment and deliver at once
$p = payer('contested');
my @runs = map { start([ 'psql', '-XAtq', '-d', $node->connstr('billing'), '-c', "SELECT status FROM qzpay.refund('$p', 6000)", '-c', 'CALL qzpay.deliver()' ], '<', \undef, '>', \my $o, '2>', \my $e) } 1 .. 2;
$_->finish for @runs;
deliver();
is($node->safe_psql('billing', "SELECT refunded || ' ' || refunding FROM qzpay.payments WHERE id = '$p'"), '6000 0', 'one of them comes too late');
agree('at the provider too');
is($node->safe_psql('billing', q{SELECT string_agg(check_name, ' ') FROM qzpay.check_integrity() WHERE status <> 'pass'}), '', 'the books agree');
$node->stop;
unlike(slurp_file($node->logfile), qr/sk_test/, 'no secret in the server log');
done_testing();
