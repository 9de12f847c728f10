# A month of every kind of contract (month.sql), billed by four sessions at once while customers act, and disturbed at random instants of the work: backends are killed with
# SIGKILL, the whole server is stopped at once, statements are cancelled, sessions terminated, rows held until one of the four sessions, which waits 50 ms for a lock, gives up.
# Afterwards every row of every table is that of the same month billed by one session undisturbed, but for ids and instants made by the run and for numbers, which have no gap;
# of the customers that acted meanwhile, whose lives differ, the invariants hold.
#     QZPAY_SUBSCRIPTIONS   customers, of which one in twenty has two subscriptions (default 120)
#     QZPAY_KILLS           backends killed; the other disturbances come in proportion (default 5)
#     QZPAY_SEED            repeats the choices, if not the instants
# The acceptance is 10 000 and 50, takes a quarter of an hour, and leaves what it saw in build/log/tap.log:
#     QZPAY_SUBSCRIPTIONS=10000 QZPAY_KILLS=50 PROVE_TESTS=test/t/080_billing_crash.pl make test STAGE=tap
use strict;
use warnings;

use IPC::Run;
use List::Util qw(shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use Time::Local qw(timegm);

my $customers = $ENV{QZPAY_SUBSCRIPTIONS} || 120;
my $kills = $ENV{QZPAY_KILLS} || 5;
my $seed = $ENV{QZPAY_SEED} || int time;
my $batch = $customers < 1000 ? 3 : 40;
srand $seed;
note "QZPAY_SEED=$seed QZPAY_SUBSCRIPTIONS=$customers QZPAY_KILLS=$kills";

my $started = time;
sub stage { note sprintf '%6.1f s  %s', time - $started, $_[0] }

my $node = PostgreSQL::Test::Cluster->new('billing');
$node->init;
$node->append_conf('postgresql.conf', "restart_after_crash = on\ntimezone = 'UTC'\njit = off\nshared_preload_libraries = 'qzpay'\nmax_wal_size = '4GB'\nlog_statement = none\n");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE month');
$node->safe_psql('month', 'SET client_min_messages = warning; CREATE EXTENSION qzpay CASCADE; SELECT qzpay.install()');
$node->safe_psql('month', slurp_file('test/t/month.sql'));
# One in ten acts while billing runs; a few of the others cannot be billed.
my @told;
for my $half (0, 1) {
	my $file = PostgreSQL::Test::Utils::tempdir() . "/lives$half.sql";
	append_to_file($file, join '', map { sprintf "SELECT month.live(%d, %s, %s);\n", $_, $_ % 10 == 7 ? 'true' : 'false', $_ % 10 != 7 && $_ % 83 == 5 ? 'true' : 'false' } grep { $_ % 2 == $half } 1 .. $customers);
	push @told, IPC::Run::start([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', $node->connstr('month'), '-f', $file ]);
}
$_->finish for @told;
is($node->safe_psql('month', 'SELECT count(*) FROM month.life'), $customers, 'every customer has a past');
my $until = $node->safe_psql('month', 'SELECT until FROM month.term');
$node->safe_psql('month', 'CREATE TRIGGER refuse BEFORE INSERT ON qzpay.invoices FOR EACH ROW EXECUTE FUNCTION month.refuse()');
my $due = "FROM qzpay.subscriptions s WHERE s.next_due_at <= '$until' AND s.set_aside_at IS NULL";
stage($node->safe_psql('month', "SELECT count(*) || ' subscriptions are due' $due"));
$node->safe_psql('postgres', 'CREATE DATABASE calm TEMPLATE month');

# Undisturbed.
my $from = time;
my $run = "CALL qzpay.run_billing('$until', $batch)";
$node->psql('calm', $run);
stage('billed undisturbed');
my $bad = $node->safe_psql('calm', 'SELECT count(*) FROM qzpay.billing_errors');
cmp_ok($bad, '>', 0, 'somebody cannot be billed');

# Disturbed.  Each of these begins again whatever ends it, and counts what did.
my $stop = PostgreSQL::Test::Utils::tempdir() . '/stop';
my (@sessions, @complaints);
sub session {
	my ($options, $pause, $sql) = @_;
	my $complaints = PostgreSQL::Test::Utils::tempdir() . '/complaints' . @complaints;
	push @complaints, $complaints;
	push @sessions, IPC::Run::start([ 'sh', '-c', 'while [ ! -e "$0" ]; do PGOPTIONS="$1" psql -X -A -t -q -v VERBOSITY=sqlstate -d "$2" -c "$3" >/dev/null 2>>"$4"; sleep "$5"; done',
		$stop, $options, $node->connstr('month'), $sql, $complaints, $pause ], '<', \undef);
}
session($_ == 1 ? '-c lock_timeout=50ms' : '', 0.02, $run) for 1 .. 4;
session('', 0, "SELECT month.act('$_')") for 1, 2;

# How far the oldest work is, as a part of the time that all of it is due in; and the backends at it with the tables each has written to in its batch.
my @order = qw(subscriptions entitlements periods invoices invoice_lines ledger_transfers payment_attempts);
my $look = qq{
	SELECT extract(epoch FROM (SELECT min(s.next_due_at) $due AND s.tenant_id NOT IN (SELECT l.tenant_id FROM month.life l WHERE l.busy))),
		(SELECT string_agg(a.pid || ':' || coalesce((SELECT string_agg(DISTINCT c.relname, ',') FROM pg_locks k JOIN pg_class c ON c.oid = k.relation
			WHERE k.pid = a.pid AND k.locktype = 'relation' AND k.mode IN ('RowExclusiveLock', 'RowShareLock') AND c.relname IN ('} . join("', '", @order) . q{')), ''), ' ')
		 FROM pg_stat_activity a WHERE a.query LIKE 'CALL qzpay.run_billing%' AND a.state = 'active')};
my $first = $node->safe_psql('calm', q{SELECT extract(epoch FROM min(p.period_start)) FROM qzpay.periods p JOIN qzpay.invoices i ON i.tenant_id = p.tenant_id AND i.id = p.invoice_id WHERE p.ordinal > 0});
my $last = $node->safe_psql('month', "SELECT extract(epoch FROM '$until'::timestamptz)");
my @disturbances = shuffle(('kill') x $kills, ('stop') x (1 + $kills / 20), ('cancel') x (1 + $kills / 10), ('terminate') x (1 + $kills / 10), ('hold') x (1 + $kills / 10));
my @instants = sort { $a <=> $b } map { $first + rand 0.97 * ($last - $first) } @disturbances;
my (%done, %phase, @held);
$done{$_} = 0 for @disturbances;
my $patience = time + 120 + $customers / 10;
while (time < $patience) {
	my ($status, $seen) = $node->psql('month', $look);
	if ($status != 0) { sleep 0.05; next }
	my ($oldest, $backends) = split /\|/, $seen;
	last if $oldest eq '' && !$backends;
	if (!@disturbances || $oldest eq '' || $oldest < $instants[0] || !$backends) { sleep 0.01 + rand 0.04; next }
	sleep rand($customers < 1000 ? 0.02 : 0.2);
	# As late as can be: who is at work now.
	($status, $seen) = $node->psql('month', $look);
	next if $status != 0;
	($oldest, $backends) = split /\|/, $seen;
	my @backends = split / /, $backends // '';
	next if !@backends;
	my $what = shift @disturbances;
	shift @instants;
	my ($pid, $tables) = $backends[ rand @backends ] =~ /^(\d+):(.*)$/;
	my %has = map { $_ => 1 } split /,/, $tables;
	my $phase = (grep { $has{$_} } @order)[-1] // 'between batches';
	if ($what eq 'kill') {
		next if !kill 'KILL', $pid;
		$phase{$phase}++;
	} elsif ($what eq 'stop') {
		$node->stop('immediate');
		$node->start;
	} elsif ($what eq 'hold') {
		push @held, IPC::Run::start([ 'psql', '-X', '-q', '-o', '/dev/null', '-d', $node->connstr('month'), '-c', 'BEGIN', '-c', 'SELECT FROM qzpay.invoice_series FOR UPDATE', '-c', 'SELECT pg_sleep(0.3)' ], '<', \undef, '2>', '/dev/null');
	} else {
		$node->psql('month', "SELECT pg_${what}_backend($pid)");
	}
	$done{$what}++;
}
append_to_file($stop, '');
$_->finish for @sessions, @held;
$node->poll_query_until('month', 'SELECT true') or die 'the server did not come back';
stage('billed disturbed: ' . join ', ', map { "$_ $done{$_}" } sort keys %done);
note 'killed after writing to: ' . join ', ', map { "$_ $phase{$_}" } sort keys %phase;
my %complaints;
for my $n (0 .. $#complaints) {
	$complaints{ ($n < 4 ? 'billing ' : 'acting ') . $_ }++ for slurp_file($complaints[$n]) =~ /^(?:ERROR|FATAL):\s+(\w+)/mg;
}
note 'sessions ended with: ' . join ', ', map { "$_ $complaints{$_}" } sort keys %complaints;
cmp_ok($done{kill}, '>=', 0.8 * $kills, 'backends were killed in the middle');
$node->safe_psql('month', 'SET client_min_messages = warning; ' . $run);
is($node->safe_psql('month', "SELECT count(*) $due"), '0', 'nothing is left to do');
my $to = time;

# Rows as text, with what a run makes by itself taken out: ids and instants of the time of the runs, and days counted from those; numbers.
my %day;
sub plain {
	my ($row) = @_;
	$row =~ s/"number": "[^"]*"/"number"/g;
	$row =~ s/"series_number": \d+/"series_number"/g;
	$row =~ s/\b([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b/hex("$1$2") >= $from * 1000 - 1 ? 'new id' : $&/ge;
	$row =~ s{\b(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d(?:\.\d+)?)\+00:00}{
		my $at = ($day{"$1-$2-$3"} //= timegm(0, 0, 0, $3, $2 - 1, $1)) + 3600 * $4 + 60 * $5 + $6;
		my $days = $at < $from - 1 ? -1 : int(($at - $from + 1) / 86400);
		$days >= 0 && $at - 86400 * $days <= $to + 1 ? "now + $days" : $&}ge;
	return $row;
}

sub rows {
	my ($database, $table, $condition, $count, $sign) = @_;
	open my $psql, '-|', 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-c', "COPY (SELECT to_jsonb(t) FROM qzpay.$table t $condition) TO STDOUT" or die "psql: $!";
	my $rows = 0;
	while (<$psql>) { $count->{ plain($_) } += $sign; $rows++ }
	close $psql or die "psql: $table";
	return $rows;
}

my $busy = join ', ', map { "'$_'" } split /\n/, $node->safe_psql('month', 'SELECT DISTINCT tenant_id FROM month.life WHERE busy');

# Not compared: what tells of the runs themselves, and counters of all customers together, which are proved below.
sub same {
	my ($name) = @_;
	my ($rows, @differ) = (0);
	for my $line (split /\n/, $node->safe_psql('month', q{
		SELECT c.relname, EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id') FROM pg_class c
		WHERE c.relnamespace = 'qzpay'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
		AND c.relname NOT IN ('billing_runs', 'jobs', 'workers', 'epochs', 'invoice_series', 'discounts') ORDER BY 1})) {
		my ($table, $of_tenants) = split /\|/, $line;
		my %count;
		my $condition = $of_tenants eq 't' ? "WHERE (t.tenant_id IS NULL OR t.tenant_id NOT IN ($busy))" : '';
		$condition .= q{ AND t.object <> 'billing_runs'} if $table eq 'audit_entries';
		$rows += rows('calm', $table, $condition, \%count, -1);
		rows('month', $table, $condition, \%count, 1);
		my @wrong = sort { substr($a, 0, 80) cmp substr($b, 0, 80) } grep { $count{$_} } keys %count;
		push @differ, "$table: " . @wrong if @wrong;
		diag "$table $count{$_}: $_" for @wrong[ 0 .. ($#wrong < 5 ? $#wrong : 5) ];
	}
	is(join(', ', @differ), '', $name);
	stage("$rows rows compared");
}
my $numbers = q{SELECT s.livemode, s.document, s.year, s.last_number, k.n, k.d, k.m FROM qzpay.invoice_series s CROSS JOIN LATERAL (
	SELECT count(*) AS n, count(DISTINCT number) AS d, coalesce(max(number), 0) AS m FROM (
		SELECT i.series_number AS number FROM qzpay.invoices i WHERE i.livemode = s.livemode AND i.series_year = s.year AND s.document = 'invoice'
		UNION ALL SELECT c.series_number FROM qzpay.credit_notes c WHERE c.livemode = s.livemode AND c.series_year = s.year AND s.document = 'credit_note') x WHERE number IS NOT NULL) k
	WHERE NOT (s.last_number = k.n AND k.n = k.d AND k.n = k.m)};
same('every row is that of the undisturbed run');
is($node->safe_psql('month', $numbers), '', 'numbers have no gap and no double');
is($node->safe_psql('month', q{SELECT count(*), count(DISTINCT subscription_id) FROM qzpay.billing_errors}), "$bad|$bad", 'whoever cannot be billed was set aside, once, and nobody else');

# Mended and paid, they are equal again.
for my $database ('calm', 'month') {
	$node->safe_psql($database, 'DROP TRIGGER refuse ON qzpay.invoices; SELECT qzpay.retry_billing(s.id) FROM qzpay.subscriptions s WHERE s.set_aside_at IS NOT NULL');
	$node->psql($database, $run);
	$node->safe_psql($database, 'CALL qzpay.deliver()');
}
$to = time;
same('mended and paid, they are equal again');
is($node->safe_psql($_, q{SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> 'pass'}), '', "the books are in order: $_") for 'calm', 'month';
is($node->safe_psql('month', $numbers), '', 'numbers have no gap and no double');
is($node->safe_psql('month', q{
	SELECT i.subscription_id, l.subscription_item_id, l.kind, l.period_start, count(*) FROM qzpay.invoice_lines l JOIN qzpay.invoices i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id
	WHERE i.status <> 'void' AND l.kind IN ('plan', 'addon', 'usage') AND NOT l.proration AND l.amount > 0 AND i.tenant_id NOT IN (SELECT b.tenant_id FROM month.life b WHERE b.busy)
	GROUP BY 1, 2, 3, 4, l.meter_id HAVING count(*) > 1}), '', 'no period is billed twice');
$node->stop;
done_testing();
