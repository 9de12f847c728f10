# The worker is killed with SIGKILL at ten moments, while answers are slow: afterwards each invoice was charged once and is paid.
# The moments are random; QZPAY_SEED repeats a run.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use QzpayTest;
use Test::More;

my $seed = $ENV{QZPAY_SEED} || time;
srand $seed;
note "QZPAY_SEED=$seed";

start_simulator();
my $node = new_server('crash', preload => 1, timeout => '3s');
install_qzpay($node);
my $pid = wait_for_worker($node);
ok($pid, 'a worker runs');

my $customers = 0;
my @places = qw(create confirm lookup any);
my $killed = 0;
for my $round (1 .. 10) {
	# Slow on both sides of the execution, so that the kill falls before, into and after it.
	rules(map { { match => $places[ rand @places ], action => (qw(delay_before delay_after drop_after error_after))[ rand 4 ], ms => 100 + int rand 700, times => 2 } } 1 .. 3);
	subscriber($node, 'c' . ++$customers, 'pm_ok') for 1 .. 2;
	$node->safe_psql('billing', 'UPDATE qzpay.payment_attempts SET next_at = qzpay._real_now() WHERE next_at IS NOT NULL AND lease_until IS NULL');
	select undef, undef, undef, 0.1 + rand 1.6;
	$pid = worker_pid($node);
	if ($pid) { $killed += kill 'KILL', $pid }
	$pid = wait_for_worker($node, $pid);
	last if !$pid;
}
is($killed, 10, 'the worker was killed ten times');
rules();
for (1 .. 60) {
	last if $node->safe_psql('billing', q{SELECT count(*) FROM qzpay.payment_attempts WHERE status NOT IN ('succeeded')}) eq '0';
	due_now($node);
	select undef, undef, undef, 0.5;
}
is($node->safe_psql('billing', q{SELECT string_agg(DISTINCT status::text, ' ') FROM qzpay.payment_attempts}), 'succeeded', 'every attempt has succeeded');
is($node->safe_psql('billing', q{SELECT count(*) FROM qzpay.payment_attempts WHERE attempt_no > 1}), '0', 'at the first number');
is($node->safe_psql('billing', q{SELECT count(*) FROM qzpay.invoices WHERE status = 'paid' AND amount_in_flight = 0}), "$customers", 'every invoice is paid');
charged_once($node, 'the provider charged each invoice exactly once');
is($node->safe_psql('billing', q{SELECT count(*) FROM qzpay.ledger_transfers WHERE cause = 'payment'}), "$customers", 'and the ledger has each payment once');
my %sent;
$sent{ $_->{key} }++ for grep { defined $_->{key} } @{ requests() };
my $again = grep { $_ > 1 } values %sent;
note "$again keys were sent more than once";
$node->stop;
done_testing();
