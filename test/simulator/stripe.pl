#!/usr/bin/perl
# stripe.pl --port-file FILE [--key SECRET]: a payment provider on the loopback interface, to be tested against over real HTTP.
#
# It has books of its own, and those are the oracle: what it says was charged was charged, whatever the database believes.  It speaks the
# part of Stripe's API that the adapter uses: PaymentIntents (create, confirm, cancel, retrieve, list) and Refunds (create, retrieve, list)
# with idempotency keys.  What is unusual about a run is asked for over URLs of its own (below /_).  It ends when its parent does.
#
# Payment methods: pm_ok, pm_decline, pm_lost, pm_expired, pm_3ds, pm_processing (succeeds at the third look), pm_wrong_amount.
# Refunds of what pm_ok_refund_fails paid fail, of pm_ok_refund_pending succeed at the second look, all others at once.
use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use Getopt::Long;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Time::HiRes qw(time);

my ($port_file, $secret) = (undef, 'sk_test_simulator');
GetOptions('port-file=s' => \$port_file, 'key=s' => \$secret) or die "usage: stripe.pl --port-file FILE [--key SECRET]\n";

my $json = JSON::PP->new->canonical->utf8;
my $parent = getppid();
my (%intents, @order, %refunds, @refund_order, %keys, @rules, @charges, @log);
my ($next_id, $alive) = (1, 1);
my (%connections, @timers);

$SIG{TERM} = $SIG{INT} = sub { $alive = 0 };
$SIG{PIPE} = 'IGNORE';

sub decode_form {
	my ($text) = @_;
	my %form;
	for my $pair (split /&/, $text // '') {
		my ($name, $value) = split /=/, $pair, 2;
		for ($name, $value) { $_ //= ''; s/\+/ /g; s/%([0-9A-Fa-f]{2})/chr hex $1/ge }
		$form{$name} = $value;
	}
	return \%form;
}

sub error_of {
	my ($status, $type, $code, $message, %more) = @_;
	return [ $status, { error => { type => $type, code => $code, message => $message, %more } } ];
}

sub public { my ($intent) = @_; return { map { $_ => $intent->{$_} } grep { !/^_/ } keys %$intent } }

sub create_intent {
	my ($form) = @_;
	my %metadata = map { /^metadata\[(.+)\]$/ ? ($1 => $form->{$_}) : () } keys %$form;
	return error_of(400, 'invalid_request_error', 'parameter_invalid_integer', 'Invalid integer')
		if ($form->{amount} // '') !~ /^[1-9][0-9]*$/;
	return error_of(400, 'invalid_request_error', 'resource_missing', 'No such PaymentMethod')
		if ($form->{payment_method} // '') !~ /^pm_(ok|decline|lost|expired|3ds|processing|wrong_amount)/;
	my $id = sprintf 'pi_%06d', $next_id++;
	my $intent = $intents{$id} = {
		id => $id, object => 'payment_intent', amount => $form->{amount} + 0, amount_received => 0, currency => $form->{currency},
		status => 'requires_confirmation', payment_method => $form->{payment_method}, metadata => \%metadata, livemode => JSON::PP::false,
		created => int(time), last_payment_error => undef, next_action => undef, _looks => 0 };
	push @order, $id;
	return [ 200, public($intent) ];
}

sub capture {
	my ($intent) = @_;
	$intent->{status} = 'succeeded';
	$intent->{amount_received} = $intent->{payment_method} =~ /^pm_wrong_amount/ ? $intent->{amount} - 1 : $intent->{amount};
	$intent->{next_action} = undef;
	push @charges, { intent => $intent->{id}, amount => $intent->{amount}, currency => $intent->{currency}, at => time,
		invoice => $intent->{metadata}{qzpay_invoice}, attempt => $intent->{metadata}{qzpay_attempt} };
}

sub decline {
	my ($intent, $code, $decline_code) = @_;
	my %error = (type => 'card_error', code => $code, message => 'Your card was declined.', ($decline_code ? (decline_code => $decline_code) : ()));
	$intent->{status} = 'requires_payment_method';
	$intent->{last_payment_error} = \%error;
	return [ 402, { error => { %error, payment_intent => public($intent) } } ];
}

sub confirm_intent {
	my ($intent, $form) = @_;
	return error_of(400, 'invalid_request_error', 'payment_intent_unexpected_state', 'The state does not allow this', payment_intent => public($intent))
		if $intent->{status} !~ /^requires_(confirmation|payment_method)$/;
	my $method = $intent->{payment_method};
	return decline($intent, 'card_declined', 'insufficient_funds') if $method =~ /^pm_decline/;
	return decline($intent, 'card_declined', 'lost_card') if $method =~ /^pm_lost/;
	return decline($intent, 'expired_card') if $method =~ /^pm_expired/;
	if ($method =~ /^pm_3ds/) {
		return decline($intent, 'authentication_required', 'authentication_required') if ($form->{off_session} // '') eq 'true';
		$intent->{status} = 'requires_action';
		$intent->{next_action} = { type => 'redirect_to_url', redirect_to_url => { url => 'https://simulator.invalid/3ds/' . $intent->{id} } };
	}
	elsif ($method =~ /^pm_processing/) { $intent->{status} = 'processing' }
	else { capture($intent) }
	return [ 200, public($intent) ];
}

sub refund_of {
	my ($form) = @_;
	my %metadata = map { /^metadata\[(.+)\]$/ ? ($1 => $form->{$_}) : () } keys %$form;
	my $intent = $intents{ $form->{payment_intent} // '' };
	return error_of(404, 'invalid_request_error', 'resource_missing', 'No such payment_intent') if !$intent;
	my $left = $intent->{amount_received};
	$left -= $_->{amount} for grep { $_->{payment_intent} eq $intent->{id} && $_->{status} ne 'failed' } values %refunds;
	return error_of(400, 'invalid_request_error', $left ? undef : 'charge_already_refunded', 'More than is left')
		if ($form->{amount} // '') !~ /^[1-9][0-9]*$/ || $form->{amount} > $left;
	my $id = sprintf 're_%06d', $next_id++;
	my $how = $intent->{payment_method} =~ /_refund_(fails|pending)/ ? $1 : '';
	my $refund = $refunds{$id} = { id => $id, object => 'refund', amount => $form->{amount} + 0, currency => $intent->{currency}, payment_intent => $intent->{id},
		status => $how eq 'fails' ? 'failed' : $how eq 'pending' ? 'pending' : 'succeeded', metadata => \%metadata, created => int(time), _looks => 0,
		($how eq 'fails' ? (failure_reason => 'expired_or_canceled_card') : ()) };
	push @refund_order, $id;
	return [ 200, public($refund) ];
}

# The request as the provider understands it, once its turn has come.
sub execute {
	my ($request) = @_;
	my ($method, $path, $form) = @$request{qw(method path form)};
	return error_of(401, 'invalid_request_error', 'api_key_invalid', 'Invalid API Key')
		if ($request->{headers}{authorization} // '') ne "Bearer $secret";
	if ($method eq 'POST' && $path eq '/v1/payment_intents') { return create_intent($form) }
	if ($method eq 'GET' && $path eq '/v1/payment_intents') {
		my @found = grep { $_->{created} >= ($form->{'created[gte]'} // 0) && $_->{created} <= ($form->{'created[lte]'} // 9e12) } map { $intents{$_} } reverse @order;
		return [ 200, { object => 'list', has_more => JSON::PP::false, data => [ map { public($_) } @found ] } ];
	}
	if ($method eq 'POST' && $path eq '/v1/refunds') { return refund_of($form) }
	if ($method eq 'GET' && $path eq '/v1/refunds') {
		return [ 200, { object => 'list', has_more => JSON::PP::false, data => [ map { public($_) } grep { $_->{payment_intent} eq ($form->{payment_intent} // '') } map { $refunds{$_} } reverse @refund_order ] } ];
	}
	if ($method eq 'GET' && $path =~ m{^/v1/refunds/(re_\d+)$} && $refunds{$1}) {
		my $refund = $refunds{$1};
		$refund->{status} = 'succeeded' if $refund->{status} eq 'pending' && ++$refund->{_looks} >= 2;
		return [ 200, public($refund) ];
	}
	if ($path =~ m{^/v1/payment_intents/(pi_\d+)(?:/(confirm|cancel))?$} && $intents{$1}) {
		my ($intent, $action) = ($intents{$1}, $2);
		if ($method eq 'GET' && !$action) {
			capture($intent) if $intent->{status} eq 'processing' && ++$intent->{_looks} >= 3;
			return [ 200, public($intent) ];
		}
		return confirm_intent($intent, $form) if $method eq 'POST' && ($action // '') eq 'confirm';
		if ($method eq 'POST' && ($action // '') eq 'cancel') {
			return error_of(400, 'invalid_request_error', 'payment_intent_unexpected_state', 'The state does not allow this', payment_intent => public($intent))
				if $intent->{status} !~ /^requires_/;
			$intent->{status} = 'canceled';
			return [ 200, public($intent) ];
		}
	}
	return error_of(404, 'invalid_request_error', 'resource_missing', 'No such object');
}

# The same key gets the same answer, if the request is the same.
sub execute_once {
	my ($request) = @_;
	my $key = $request->{headers}{'idempotency-key'};
	return execute($request) if $request->{method} ne 'POST' || !defined $key;
	my $print = sha256_hex($json->encode([ $request->{path}, $request->{form} ]));
	if (my $known = $keys{$key}) {
		return error_of(400, 'idempotency_error', undef, 'Keys for idempotent requests can only be used with the same parameters') if $known->{print} ne $print;
		return error_of(409, 'idempotency_error', 'idempotency_key_in_use', 'Another request with this key is in progress') if !$known->{answer};
		return $known->{answer};
	}
	my $answer = execute($request);
	$keys{$key} = { print => $print, answer => $answer } if $answer->[0] != 401;
	return $answer;
}

sub kind_of {
	my ($request) = @_;
	return ($request->{method} eq 'POST' ? 'refund' : $request->{path} eq '/v1/refunds' ? 'refund_list' : 'refund_lookup') if $request->{path} =~ m{^/v1/refunds};
	return 'create' if $request->{method} eq 'POST' && $request->{path} eq '/v1/payment_intents';
	return 'list' if $request->{path} eq '/v1/payment_intents';
	return $1 if $request->{path} =~ m{/(confirm|cancel)$};
	return 'lookup';
}

# The first rule that fits, counted down.
sub rule_for {
	my ($kind) = @_;
	for my $i (0 .. $#rules) {
		my $rule = $rules[$i];
		next if ($rule->{match} // 'any') ne 'any' && $rule->{match} ne $kind;
		splice @rules, $i, 1 if defined $rule->{times} && --$rule->{times} <= 0;
		return $rule;
	}
	return { action => 'none' };
}

my %reason = (200 => 'OK', 400 => 'Bad Request', 401 => 'Unauthorized', 402 => 'Payment Required', 403 => 'Forbidden', 404 => 'Not Found', 409 => 'Conflict', 429 => 'Too Many Requests', 500 => 'Internal Server Error', 503 => 'Service Unavailable');

sub render {
	my ($status, $body, %headers) = @_;
	$headers{'Content-Type'} //= 'application/json';
	return "HTTP/1.1 $status " . ($reason{$status} // 'Status') . "\r\n" . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers)
		. 'Content-Length: ' . length($body) . "\r\nConnection: close\r\n\r\n$body";
}

sub close_connection { my ($c) = @_; delete $connections{ fileno $c->{socket} } if defined fileno $c->{socket}; close $c->{socket}; $c->{closed} = 1 }
sub answer { my ($c, $bytes) = @_; return if $c->{closed}; $c->{socket}->blocking(1); print { $c->{socket} } $bytes; $c->{socket}->flush; close_connection($c) }
sub later { my ($ms, $code) = @_; push @timers, [ time + $ms / 1000, $code ] }

# A request of the API, bent by the rule that applies.
sub serve {
	my ($c, $request) = @_;
	my $kind = kind_of($request);
	my $rule = rule_for($kind);
	my $action = $rule->{action};
	push @log, { kind => $kind, action => $action, key => $request->{headers}{'idempotency-key'}, path => $request->{path}, at => time };
	my $reply = sub {
		my $result = execute_once($request);
		execute_once($request) if $action eq 'duplicate';
		my $bytes = render($result->[0], $json->encode($result->[1]));
		if ($action eq 'drop_after') { close_connection($c) }
		elsif ($action eq 'error_after') { answer($c, render($rule->{status} // 500, '{"error":{"type":"api_error","message":"internal"}}')) }
		elsif ($action eq 'truncate') { answer($c, substr($bytes, 0, length($bytes) - 20)) }
		elsif ($action eq 'garbage') { answer($c, render(200, '<html>maintenance</html>', 'Content-Type' => 'text/html')) }
		elsif ($action eq 'delay_after') { later($rule->{ms}, sub { answer($c, $bytes) }) }
		else { answer($c, $bytes) }
	};
	if ($action eq 'drop_before') { close_connection($c) }
	elsif ($action eq 'error_before') { answer($c, render($rule->{status} // 503, '{"error":{"type":"api_error","message":"not now"}}', %{ $rule->{headers} // {} })) }
	elsif ($action eq 'delay_before') {
		# In progress from now on, as far as the key is concerned.
		my $key = $request->{headers}{'idempotency-key'};
		if (defined $key && !$keys{$key}) {
			$keys{$key} = { print => sha256_hex($json->encode([ $request->{path}, $request->{form} ])) };
			later($rule->{ms}, sub { delete $keys{$key}; $reply->() });
		}
		else { later($rule->{ms}, $reply) }
	}
	else { $reply->() }
}

sub control {
	my ($c, $request) = @_;
	my $in = length $request->{body} ? $json->decode($request->{body}) : {};
	my $out = { ok => JSON::PP::true };
	if ($request->{path} eq '/_rules') { @rules = @{ $in->{rules} // [] } }
	elsif ($request->{path} eq '/_key') { $secret = $in->{key} }
	elsif ($request->{path} eq '/_forget_keys') { %keys = () }
	elsif ($request->{path} eq '/_forget_refunds') { %refunds = (); @refund_order = () }
	elsif ($request->{path} eq '/_forget_intents') { %intents = (); @order = () }
	elsif ($request->{path} eq '/_authenticate') {
		for my $intent (grep { $_->{status} eq 'requires_action' } values %intents) {
			if ($in->{succeed}) { capture($intent) } else { decline($intent, 'payment_intent_authentication_failure') }
		}
	}
	elsif ($request->{path} eq '/_ledger') { $out = { charges => \@charges, intents => [ map { public($intents{$_}) } @order ], refunds => [ map { public($refunds{$_}) } @refund_order ] } }
	elsif ($request->{path} eq '/_log') { $out = { requests => \@log } }
	else { return answer($c, render(404, '{}')) }
	answer($c, render(200, $json->encode($out)));
}

# Reads what has come; a complete request is served.
sub receive {
	my ($c) = @_;
	my $n = sysread $c->{socket}, $c->{in}, 65536, length $c->{in};
	return close_connection($c) if !$n && !$c->{served};
	return if $c->{served} || $c->{in} !~ /\r\n\r\n/;
	my ($head, $body) = split /\r\n\r\n/, $c->{in}, 2;
	my ($first, @lines) = split /\r\n/, $head;
	my %headers = map { /^([^:]+):\s*(.*)$/ ? (lc $1 => $2) : () } @lines;
	return if length $body < ($headers{'content-length'} // 0);
	my ($method, $target) = split / /, $first;
	my ($path, $query) = split /\?/, $target, 2;
	$c->{served} = 1;
	my %request = (method => $method, path => $path, headers => \%headers, body => $body, form => decode_form($method eq 'GET' ? $query : $body));
	if ($path =~ m{^/_}) { control($c, \%request) } else { serve($c, \%request) }
}

my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 128, ReuseAddr => 1) or die "cannot listen: $!";
open my $fh, '>', "$port_file.new" or die "$port_file: $!";
print $fh $listen->sockport, "\n";
close $fh;
rename "$port_file.new", $port_file or die "$port_file: $!";

while ($alive && getppid() == $parent) {
	my $wait = 0.5;
	for (@timers) { my $left = $_->[0] - time; $wait = $left < 0 ? 0 : $left if $left < $wait }
	my $select = IO::Select->new($listen, map { $_->{socket} } grep { !$_->{served} } values %connections);
	for my $socket ($select->can_read($wait)) {
		if ($socket == $listen) {
			my $client = $listen->accept or next;
			$client->blocking(0);
			$connections{ fileno $client } = { socket => $client, in => '' };
		}
		elsif (my $c = $connections{ fileno $socket }) { receive($c) }
	}
	my $now = time;
	my @due = grep { $_->[0] <= $now } @timers;
	@timers = grep { $_->[0] > $now } @timers;
	$_->[1]->() for @due;
}
