
=head1 NAME

Wire - PostgreSQL's protocol 3.0 by hand, for what no driver would send

=head1 SYNOPSIS

    my $c = Wire->tcp('127.0.0.1', $port);          # or Wire->unix($path), Wire->to($howdah)
    $c->login(user => 'app', database => 'app');    # until ReadyForQuery; dies on ErrorResponse
    $c->send(Wire::parse('', 'select $1::int'), Wire::bind('', '', [7]), Wire::execute(''), Wire::sync());
    my @messages = $c->recv_until('Z');             # ([type, body], ...)
    is(Wire::types(@messages), '12DCZ');

=head1 DESCRIPTION

Builders return the bytes of one message; C<send> takes any number of them, so a pipeline goes out in one
packet, or byte by byte after C<< $c->slowly(1) >>.  Every receive has a deadline and dies with what it waited for.

=cut

package Wire;

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha256 hmac_sha256);
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use MIME::Base64 qw(encode_base64 decode_base64);
use Socket qw(IPPROTO_TCP TCP_NODELAY SOCK_STREAM);
use Time::HiRes qw(time);

our $TIMEOUT = $ENV{PG_TEST_TIMEOUT_DEFAULT} // 60;

# Connecting

sub tcp
{
    my ($class, $host, $port) = @_;
    my $socket = IO::Socket::IP->new(PeerHost => $host, PeerPort => $port, Type => SOCK_STREAM,
        Timeout => $TIMEOUT)
      or die "could not connect to $host port $port: $@";
    setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1);
    return $class->new($socket);
}

sub unix
{
    my ($class, $path) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => $path, Type => SOCK_STREAM)
      or die "could not connect to $path: $!";
    return $class->new($socket);
}

sub to
{
    my ($class, $howdah) = @_;
    return $class->tcp('127.0.0.1', $howdah->port);
}

sub new
{
    my ($class, $socket) = @_;
    return bless {socket => $socket, input => '', parameters => {}, slowly => 0}, $class;
}

sub socket { return $_[0]{socket}; }
sub parameters { return $_[0]{parameters}; }    # what ParameterStatus said last
sub key { return $_[0]{key}; }                  # [process id, secret] of BackendKeyData

# From now on every byte is a write of its own.
sub slowly
{
    my ($self, $slowly) = @_;
    $self->{slowly} = $slowly;
    return $self;
}

# Sending

sub send
{
    my ($self, @messages) = @_;
    return $self->raw(join('', @messages));
}

sub raw
{
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my @pieces = $self->{slowly} ? split(//, $bytes) : ($bytes);
    for my $piece (@pieces) {
        while (length($piece)) {
            my $sent = syswrite($self->{socket}, $piece);
            die "could not send: $!\n" if !defined $sent;
            substr($piece, 0, $sent, '');
        }
    }
    return $self;
}

# No more from us, but the answers are still read.
sub shut_write { return shutdown($_[0]{socket}, 1); }
sub close { return CORE::close($_[0]{socket}); }

sub message { my ($type, $body) = @_; return $type . pack('N', length($body) + 4) . $body; }

sub startup
{
    my (%parameters) = @_;
    my $version = delete $parameters{_version} // 0x00030000;
    my $body = pack('N', $version) . join('', map { "$_\0$parameters{$_}\0" } sort keys %parameters) . "\0";
    return pack('N', length($body) + 4) . $body;
}

sub cancel { my ($pid, $secret) = @_; return pack('N4', 16, 80877102, $pid, $secret); }
sub ssl_request { return pack('NN', 8, 80877103); }
sub gss_request { return pack('NN', 8, 80877104); }
sub query { return message('Q', "$_[0]\0"); }
sub sync { return message('S', ''); }
sub flush { return message('H', ''); }
sub terminate { return message('X', ''); }
sub copy_data { return message('d', $_[0]); }
sub copy_done { return message('c', ''); }
sub copy_fail { return message('f', "$_[0]\0"); }
sub password { return message('p', "$_[0]\0"); }
sub describe { return message('D', "$_[0]$_[1]\0"); }        # 'S' or 'P', name
sub close_object { return message('C', "$_[0]$_[1]\0"); }    # the same
sub execute { return message('E', "$_[0]\0" . pack('N', $_[1] // 0)); }    # portal, rows

sub parse
{
    my ($name, $sql, @types) = @_;
    return message('P', "$name\0$sql\0" . pack('n N*', scalar(@types), @types));
}

# Parameters and results in text format; undef is NULL.
sub bind
{
    my ($portal, $statement, $values, @result_formats) = @_;
    my @values = map { defined($_) ? pack('N/a*', $_) : pack('N', 0xffffffff) } @{$values // []};
    return message('B', "$portal\0$statement\0" . pack('n', 0) . pack('n', scalar(@values))
          . join('', @values) . pack('n n*', scalar(@result_formats), @result_formats));
}

sub function_call
{
    my ($oid, @arguments) = @_;
    my $arguments = join('', map { pack('N/a*', $_) } @arguments);
    return message('F', pack('N n n', $oid, 0, scalar(@arguments)) . $arguments . pack('n', 0));
}

# Receiving

# The next message, [type, body]; undef when the other side has closed.
sub recv
{
    my ($self, $timeout) = @_;
    $self->fill(5, $timeout) or return undef;
    my ($type, $length) = unpack('a N', $self->{input});
    die "broken message: type $type, length $length" if $length < 4;
    $self->fill(1 + $length, $timeout) or die "closed in the middle of message $type\n";
    my $message = substr($self->{input}, 0, 1 + $length, '');
    my $body = substr($message, 5);
    if ($type eq 'S') {
        my ($name, $value) = split(/\0/, $body, -1);
        $self->{parameters}{$name} = $value;
    }
    $self->{key} = [unpack('N N', $body)] if $type eq 'K';
    return [$type, $body];
}

# Messages up to and with the first of one of these types.  Dies when the other side closes first.
sub recv_until
{
    my ($self, $types, $timeout) = @_;
    my @messages;
    for (;;) {
        my $message = $self->recv($timeout);
        die "closed after \"" . types(@messages) . "\", waiting for one of \"$types\"\n" if !$message;
        push @messages, $message;
        return @messages if index($types, $message->[0]) >= 0;
    }
}

# Everything until the other side closes.
sub recv_all
{
    my ($self, $timeout) = @_;
    my @messages;
    while (my $message = $self->recv($timeout)) {
        push @messages, $message;
    }
    return @messages;
}

# One byte that is not a message: the answer to SSLRequest.
sub recv_byte
{
    my ($self, $timeout) = @_;
    return $self->fill(1, $timeout) ? substr($self->{input}, 0, 1, '') : undef;
}

# Whether something is there to be read within so many seconds (0: now).
sub readable
{
    my ($self, $seconds) = @_;
    return length($self->{input}) || IO::Select->new($self->{socket})->can_read($seconds // 0) ? 1 : 0;
}

sub fill
{
    my ($self, $wanted, $timeout) = @_;
    my $deadline = time + ($timeout // $TIMEOUT);
    while (length($self->{input}) < $wanted) {
        my $left = $deadline - time;
        die sprintf("timed out: %d of %d bytes came\n", length($self->{input}), $wanted)
          if $left <= 0 || !IO::Select->new($self->{socket})->can_read($left);
        my $got = sysread($self->{socket}, $self->{input}, 65536, length($self->{input}));
        return 0 if !$got;    # the end, or a reset
    }
    return 1;
}

# Whole conversations

# Start-up and authentication (trust, cleartext, MD5, SCRAM-SHA-256): the messages up to ReadyForQuery
# or ErrorResponse.
sub try_login
{
    my ($self, %parameters) = @_;
    my $password = delete $parameters{password};
    $self->raw(startup(%parameters));
    my @messages;
    while (my $message = $self->recv) {
        push @messages, $message;
        last if $message->[0] =~ /[ZE]/;
        $self->answer($message->[1], $parameters{user}, $password // '') if $message->[0] eq 'R';
    }
    return @messages;
}

sub login
{
    my ($self, %parameters) = @_;
    my @messages = $self->try_login(%parameters);
    my $last = $messages[-1] or die "closed during login\n";
    die "login failed: " . error_fields($last->[1])->{M} . "\n" if $last->[0] eq 'E';
    return $self;
}

sub answer
{
    my ($self, $body, $user, $password) = @_;
    my ($kind, $rest) = unpack('N a*', $body);
    $self->send(password($password)) if $kind == 3;
    $self->send(password('md5' . md5_hex(md5_hex($password . $user) . $rest))) if $kind == 5;
    if ($kind == 10) {
        $self->{scram} = {password => $password, nonce => encode_base64(join('', map { chr(int(rand(256))) } 1 .. 18), '')};
        $self->{scram}{first} = "n=,r=$self->{scram}{nonce}";
        $self->send(message('p', "SCRAM-SHA-256\0" . pack('N/a*', "n,,$self->{scram}{first}")));
    }
    $self->send(message('p', scram_final($self->{scram}, $rest))) if $kind == 11;
    return;
}

# RFC 5802's client-final-message for a password of plain ASCII.
sub scram_final
{
    my ($scram, $server_first) = @_;
    my ($nonce, $salt, $count) = $server_first =~ /^r=([^,]+),s=([^,]+),i=(\d+)/ or die "not SCRAM: $server_first";
    my $round = hmac_sha256(decode_base64($salt) . pack('N', 1), $scram->{password});
    my $salted = $round;
    for (2 .. $count) {
        $round = hmac_sha256($round, $scram->{password});
        $salted ^= $round;
    }
    my $client_key = hmac_sha256('Client Key', $salted);
    my $bare = "c=biws,r=$nonce";
    my $signature = hmac_sha256("$scram->{first},$server_first,$bare", sha256($client_key));
    return "$bare,p=" . encode_base64($client_key ^ $signature, '');
}

# Sends a simple query; returns the rows (lists of columns), or dies with the server's error.
sub rows
{
    my ($self, $sql, $timeout) = @_;
    $self->send(query($sql));
    my @messages = $self->recv_until('Z', $timeout);
    my ($error) = grep { $_->[0] eq 'E' } @messages;
    die error_fields($error->[1])->{C} . ' ' . error_fields($error->[1])->{M} . "\n" if $error;
    return map { [data_row($_->[1])] } grep { $_->[0] eq 'D' } @messages;
}

sub value { my ($self, @arguments) = @_; return ($self->rows(@arguments))[0][0]; }

# Reading bodies

sub types { return join('', map { $_->[0] } @_); }

# {S => severity, C => SQLSTATE, M => text, ...} of an ErrorResponse or NoticeResponse.
sub error_fields { return {map { substr($_, 0, 1) => substr($_, 1) } grep { length } split(/\0/, $_[0])}; }

# The fields of the first error among the messages; undef if there is none.
sub first_error
{
    my ($error) = grep { $_->[0] eq 'E' } @_;
    return $error ? error_fields($error->[1]) : undef;
}

sub data_row
{
    my ($body) = @_;
    my $count = unpack('n', substr($body, 0, 2, ''));
    my @values;
    for (1 .. $count) {
        my $length = unpack('l>', substr($body, 0, 4, ''));
        push @values, $length < 0 ? undef : substr($body, 0, $length, '');
    }
    return @values;
}

1;
