# Five sessions act for the customers of a test clock while it is being advanced: nobody waits in a circle (with deadlock_timeout at 50 ms, no 40P01), and the books hold.
# QZPAY_CLOCKS is how many times the clock moves on, ten days each (default 4).
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $steps = $ENV{QZPAY_CLOCKS} || 4;

my $node = PostgreSQL::Test::Cluster->new('clock');
$node->init;
$node->append_conf('postgresql.conf', "timezone = 'UTC'\njit = off\ndeadlock_timeout = 50ms\nlog_lock_waits = on\nlog_statement = none\n");
$node->start;
$node->safe_psql('postgres', 'SET client_min_messages = warning; CREATE EXTENSION qzpay CASCADE; SELECT qzpay.install()');
$node->safe_psql('postgres', slurp_file('test/t/month.sql'));
$node->safe_psql('postgres', q{
	SELECT qzpay.create_test_clock('2026-01-05 09:00+00', 'storm');
	INSERT INTO month.life SELECT n, c.id, c.tenant_id, 'storm', true FROM generate_series(1, 12) n
		CROSS JOIN LATERAL qzpay.sync_customer('storm' || n, test_clock => (SELECT t.id FROM qzpay.test_clocks t)) c;
	SELECT qzpay.attach_payment_method(l.customer, 'sandbox', 'tok_ok') FROM month.life l;
	SELECT qzpay.subscribe(l.customer, 'tiered', trial_days => 0) FROM month.life l;});

my $stop = PostgreSQL::Test::Utils::tempdir() . '/stop';
my (@sessions, @complaints);
for my $n (1 .. 5) {
	push @complaints, PostgreSQL::Test::Utils::tempdir() . "/complaints$n";
	push @sessions, IPC::Run::start([ 'sh', '-c', 'while [ ! -e "$0" ]; do psql -X -A -t -q -v VERBOSITY=sqlstate -d "$1" -c "$2" -c "$2" -c "$2" -c "$2" -c "$2" >/dev/null 2>>"$3"; done',
		$stop, $node->connstr('postgres'), "SELECT month.act('$n')", $complaints[-1] ], '<', \undef);
}
my @advance;
for (1 .. $steps) {
	my ($status, $out, $err) = $node->psql('postgres', q{\set VERBOSITY sqlstate
		SELECT a.instants FROM qzpay.test_clocks t, qzpay.advance_test_clock(t.id, t.now_at + interval '10 days') a});
	push @advance, $err if $status != 0;
}
append_to_file($stop, '');
$_->finish for @sessions;
is("@advance", '', 'the clock moved on each time');
my %complaints;
for my $file (@complaints) { $complaints{$_}++ for slurp_file($file) =~ /^(?:ERROR|FATAL):\s+(\w+)/mg }
is(join(', ', map { "$_ $complaints{$_}" } sort keys %complaints), '', 'and whoever acted meanwhile was served or refused');
note $node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM qzpay.invoices) || ' invoices, ' || (SELECT count(*) FROM qzpay.subscriptions) || ' subscriptions'});
is($node->safe_psql('postgres', q{SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> 'pass'}), '', 'the books are in order');
$node->stop;
done_testing();
