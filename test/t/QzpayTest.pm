# What the TAP tests share: a server with qzpay, the provider's simulator, customers to charge.
package QzpayTest;
use strict;
use warnings;

use Exporter 'import';
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(start_simulator simulate ledger refunds requests rules new_server install_qzpay subscriber due_now attempts settled charged_once worker_pid wait_for_worker);

my $json = JSON::PP->new->utf8;
my ($simulator_pid, $port);

# Starts the simulator; it ends with this process.
sub start_simulator {
	my $file = PostgreSQL::Test::Utils::tempdir() . '/port';
	$simulator_pid = fork() // die "fork: $!";
	if ($simulator_pid == 0) { exec $^X, 'test/simulator/stripe.pl', '--port-file', $file or die "exec: $!" }
	for (1 .. 100) { last if -e $file; select undef, undef, undef, 0.1 }
	$port = slurp_file($file);
	chomp $port;
	return $port;
}

END { if ($simulator_pid) { my $status = $?; kill 'TERM', $simulator_pid; waitpid $simulator_pid, 0; $? = $status } }

# Asks the simulator's own URLs.
sub simulate {
	my ($what, $in) = @_;
	my $answer = HTTP::Tiny->new(timeout => 10)->post("http://127.0.0.1:$port/_$what", { content => $in ? $json->encode($in) : '' });
	die "simulator: $answer->{status} $answer->{content}" if !$answer->{success};
	return $json->decode($answer->{content});
}
sub ledger { return simulate('ledger')->{charges} }
sub refunds { return simulate('ledger')->{refunds} }
sub requests { return simulate('log')->{requests} }
sub rules { simulate('rules', { rules => [@_] }) }

# A running server; preload => 1 with a worker in database billing.
sub new_server {
	my ($name, %option) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	my $secrets = $node->basedir . '/secrets';
	append_to_file($secrets, "STRIPE_SECRET_KEY=sk_test_simulator\n");
	chmod 0600, $secrets or die "chmod: $!";
	$node->append_conf('postgresql.conf', "qzpay.secrets_file = '$secrets'\nqzpay.allow_loopback_http = on\nqzpay.http_timeout = '" . ($option{timeout} // '3s') . "'\n"
		. "log_statement = 'all'\nautovacuum = off\n");
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'qzpay'\nqzpay.databases = 'billing'\nrestart_after_crash = on\n") if $option{preload};
	$node->start;
	return $node;
}

# Installs qzpay with the example's catalog, and Stripe at the simulator.
sub install_qzpay {
	my ($node) = @_;
	$node->safe_psql('postgres', 'CREATE DATABASE billing');
	my $catalog = slurp_file('examples/asistia/catalog.json');
	my $quote = '$catalog$';
	$node->safe_psql('billing', "SET client_min_messages = warning; CREATE EXTENSION qzpay CASCADE; SELECT qzpay.install();");
	$node->safe_psql('billing', "SELECT count(*) FROM qzpay.import_catalog($quote$catalog$quote)");
	$node->safe_psql('billing', "UPDATE qzpay.providers SET base_url = 'http://127.0.0.1:$port' WHERE code = 'stripe'");
	return;
}

# A customer with a card who subscribes without a trial: an open invoice and a planned attempt.
sub subscriber {
	my ($node, $name, $token, %option) = @_;
	my $live = $option{live} ? 'true' : 'false';
	return $node->safe_psql('billing', qq{
		BEGIN;
		SELECT id AS c FROM qzpay.sync_customer('$name', '$name\@example.org', livemode => $live) \\gset
		SELECT qzpay.attach_payment_method(:'c', 'stripe', '$token') AS m \\gset
		SELECT (qzpay.subscribe(:'c', 'pro', trial_days => 0)).id AS s \\gset
		COMMIT;
		\\echo :s});
}

# Lookups that would be made in a while are made now.
sub due_now {
	my ($node) = @_;
	$node->safe_psql('billing', 'UPDATE qzpay.payment_attempts SET next_at = qzpay._real_now() WHERE next_at IS NOT NULL AND lease_until IS NULL');
	return;
}

# "status:reason" of a customer's attempts, in order.
sub attempts {
	my ($node, $name) = @_;
	return $node->safe_psql('billing', qq{SELECT string_agg(a.status || coalesce(':' || a.decline_code, ''), ' ' ORDER BY a.attempt_no)
		FROM qzpay.payment_attempts a JOIN qzpay.customers c ON c.id = a.customer_id WHERE c.external_id = '$name'});
}

sub settled {
	my ($node, $name, $expected, $what) = @_;
	my $query = qq{SELECT string_agg(a.status || coalesce(':' || a.decline_code, ''), ' ' ORDER BY a.attempt_no)
		FROM qzpay.payment_attempts a JOIN qzpay.customers c ON c.id = a.customer_id WHERE c.external_id = '$name'};
	my $ok = $node->poll_query_until('billing', $query, $expected);
	is(attempts($node, $name), $expected, $what);
	return $ok;
}

# The simulator's books against the database's: one charge for each paid invoice and none besides.
sub charged_once {
	my ($node, $what) = @_;
	my %charged;
	$charged{ $_->{invoice} }++ for @{ ledger() };
	my $paid = $node->safe_psql('billing', q{SELECT i.id FROM qzpay.invoices i WHERE i.status = 'paid' AND i.amount_in_flight = 0 AND i.amount_paid = i.amount_due
		AND (SELECT count(*) FROM qzpay.payments p WHERE p.invoice_id = i.id) = 1 ORDER BY 1});
	is(join(' ', map { "$_=$charged{$_}" } sort keys %charged), join(' ', map { "$_=1" } split /\n/, $paid), $what);
	return;
}

sub worker_pid { my ($node) = @_; return $node->safe_psql('billing', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'qzpay worker' AND datname = 'billing'}) }

# Waits until the database is up and a worker other than this one is at work; returns its pid.
sub wait_for_worker {
	my ($node, $not) = @_;
	$not = $not || 0;
	for (1 .. 400) {
		my ($status, $pid) = $node->psql('billing', qq{SELECT a.pid FROM pg_stat_activity a JOIN qzpay.workers w ON w.pid = a.pid WHERE a.backend_type = 'qzpay worker' AND a.pid <> $not});
		return $pid if $status == 0 && $pid;
		select undef, undef, undef, 0.1;
	}
	return;
}

1;
