
=head1 NAME

FakeServer - a PostgreSQL server that says what a test wants it to say, when the test wants it

=head1 SYNOPSIS

    my $fake = FakeServer->start(answer => sub {
        my ($type, $body) = @_;
        return (FakeServer::complete('SELECT 1'), FakeServer::HOLD, FakeServer::ready()) if $type eq 'Q';
        return FakeServer::plain($type);
    });
    ... databases => {app => 'host=127.0.0.1 port=' . $fake->port} ...
    $fake->wait_for(qr/^held/);    # it has said SELECT 1, and reads nothing
    $fake->go;                     # now it says the rest
    $fake->stop;

=head1 DESCRIPTION

One process, which serves all its connections and ends with C<stop>, or with the test.  C<answer> is asked for
each message of a client and returns bytes to send and, among them, HOLD (neither send nor read on before C<go>,
which ends one HOLD of each connection) and CLOSE.  What happens is told line by line, for C<wait_for>: "login",
the type and the text of each message (up to its first NUL), "held", "closed".

Options: C<behind_login>, bytes that come in one packet with the ReadyForQuery of the login; C<flood>, bytes
that are sent again and again behind AuthenticationOk, in place of all else; C<receive_buffer>, in bytes.

=cut

package FakeServer;

use strict;
use warnings;

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use POSIX qw(_exit);
use Socket qw(IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_RCVBUF);
use Time::HiRes qw(time);
use Wire;

our $TIMEOUT = $ENV{PG_TEST_TIMEOUT_DEFAULT} // 60;
my @running;

sub HOLD () { return \'hold'; }
sub CLOSE () { return \'close'; }

# What servers say

sub complete { return Wire::message('C', "$_[0]\0"); }
sub ready { return Wire::message('Z', $_[0] // 'I'); }
sub notice { return Wire::message('N', "SNOTICE\0C00000\0M$_[0]\0\0"); }

sub error
{
    my ($severity, $sqlstate, $text) = @_;
    return Wire::message('E', "S$severity\0V$severity\0C$sqlstate\0M$text\0\0");
}

# The shortest good answer to a message of this type.
sub plain
{
    my ($type) = @_;
    my %answer = (
        Q => complete('SELECT 1') . ready(), P => Wire::message('1', ''), B => Wire::message('2', ''),
        C => Wire::message('3', ''), D => Wire::message('n', ''), E => complete('SELECT 1'), S => ready());
    return $answer{$type} // '';
}

my %PARAMETERS = (client_encoding => 'UTF8', DateStyle => 'ISO, MDY', TimeZone => 'UTC',
    standard_conforming_strings => 'on', application_name => '', server_version => '15.0');

sub welcome
{
    my ($pid) = @_;
    return Wire::message('R', pack('N', 0))
      . join('', map { Wire::message('S', "$_\0$PARAMETERS{$_}\0") } sort keys %PARAMETERS)
      . Wire::message('K', pack('NN', $pid, $pid)) . ready();
}

# The test's side

sub start
{
    my ($class, %options) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 100, Blocking => 0)
      or die "could not listen: $@";
    setsockopt($listener, SOL_SOCKET, SO_RCVBUF, $options{receive_buffer}) if $options{receive_buffer};
    pipe(my $told, my $tell) or die "pipe: $!";
    pipe(my $wait, my $go) or die "pipe: $!";
    my $pid = fork() // die "could not fork: $!";
    if ($pid == 0) {
        $SIG{TERM} = 'DEFAULT';
        $SIG{PIPE} = 'IGNORE';
        $tell->autoflush(1);
        my $self = bless {%options, listener => $listener, wait => $wait, tell => $tell, connections => {}, count => 0}, $class;
        eval { $self->serve; };
        print {*STDERR} "FakeServer: $@";
        _exit(1);
    }
    my $self = bless {pid => $pid, port => $listener->sockport, told => $told, go => $go, log => ''}, $class;
    push @running, $self;
    return $self;
}

sub port { return $_[0]{port}; }
sub go { syswrite($_[0]{go}, '.'); return; }

# What has been told up to the first line that matches is forgotten.
sub wait_for
{
    my ($self, $regex) = @_;
    my $deadline = time + $TIMEOUT;
    for (;;) {
        while ($self->{log} =~ s/^(.*)\n//) {
            my $line = $1;
            return $line if $line =~ $regex;
        }
        my $left = $deadline - time;
        die "timed out waiting until the fake server tells $regex\n"
          if $left <= 0 || !IO::Select->new($self->{told})->can_read($left);
        sysread($self->{told}, $self->{log}, 65536, length($self->{log})) or die "the fake server has ended\n";
    }
}

sub stop
{
    my ($self) = @_;
    return if !$self->{pid};
    kill('KILL', $self->{pid});
    waitpid(delete $self->{pid}, 0);
    return;
}

END {
    my $status = $?;
    $_->stop for @running;
    $? = $status;
}

# The server's side

sub tell
{
    my ($self, $line) = @_;
    print {$self->{tell}} "$line\n" if IO::Select->new($self->{tell})->can_write(0);
    return;
}

sub serve
{
    my ($self) = @_;
    for (;;) {
        my @all = values %{$self->{connections}};
        my ($readable, $writable) = IO::Select->select(
            IO::Select->new($self->{listener}, $self->{wait}, map { $_->{socket} } grep { !$_->{held} } @all),
            IO::Select->new(map { $_->{socket} } grep { length($_->{out}) } @all), undef);
        $self->write($self->{connections}{$_}) for @{$writable // []};
        for my $handle (@{$readable // []}) {
            if ($handle == $self->{listener}) { $self->accept; }
            elsif ($handle == $self->{wait}) { $self->resume; }
            elsif ($self->{connections}{$handle}) { $self->read($self->{connections}{$handle}); }
        }
    }
}

sub accept
{
    my ($self) = @_;
    my $socket = $self->{listener}->accept or return;
    $socket->blocking(0);
    setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1);
    $self->{connections}{$socket} = {socket => $socket, in => '', out => '', queue => [], held => 0, number => ++$self->{count}};
    return;
}

# Ends one HOLD of each connection.
sub resume
{
    my ($self) = @_;
    sysread($self->{wait}, my $byte, 1) or _exit(0);    # the test has ended
    for my $connection (values %{$self->{connections}}) {
        next if !$connection->{held};
        $connection->{held} = 0;
        $self->work($connection);
    }
    return;
}

sub close
{
    my ($self, $connection) = @_;
    delete $self->{connections}{$connection->{socket}};
    CORE::close($connection->{socket});
    $self->tell('closed');
    return;
}

sub read
{
    my ($self, $connection) = @_;
    my $got = sysread($connection->{socket}, $connection->{in}, 65536, length($connection->{in}));
    return if !defined $got && ($! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR);
    return $got ? $self->work($connection) : $self->close($connection);
}

sub write
{
    my ($self, $connection) = @_;
    my $sent = syswrite($connection->{socket}, $connection->{out});
    return $self->close($connection) if !defined $sent && $! != EAGAIN && $! != EWOULDBLOCK && $! != EINTR;
    substr($connection->{out}, 0, $sent // 0, '');
    $connection->{out} .= $self->{flood} if $self->{flood} && $connection->{in_session} && !length($connection->{out});
    return;
}

# Answers what has come, as far as nothing holds it.
sub work
{
    my ($self, $connection) = @_;
    my $held = $connection->{held};
    while (!$held) {
        if (!@{$connection->{queue}}) {
            my @answer = $self->take($connection) or last;
            push @{$connection->{queue}}, grep { ref || length } @answer;
            next;
        }
        my $piece = shift @{$connection->{queue}};
        if (!ref $piece) {
            $connection->{out} .= $piece;
            next;
        }
        $self->write($connection) if length($connection->{out});
        return $self->close($connection) if $$piece eq 'close';
        $held = $connection->{held} = 1;
        $self->tell('held');
    }
    $self->write($connection) if length($connection->{out});
    return;
}

# The answer to the next message; nothing if there is none.
sub take
{
    my ($self, $connection) = @_;
    my $skip = $connection->{in_session} ? 1 : 0;    # a startup packet has no type
    return if length($connection->{in}) < 4 + $skip;
    my $length = unpack('N', substr($connection->{in}, $skip, 4));
    return if length($connection->{in}) < $skip + $length;
    my $message = substr($connection->{in}, 0, $skip + $length, '');
    my $body = substr($message, 4 + $skip);
    return $self->login($connection, $body) if !$connection->{in_session};
    my $type = substr($message, 0, 1);
    $self->tell("$type " . substr($body =~ s/\0.*//sr, 0, 100) =~ s/\s+/ /gr);
    return CLOSE if $type eq 'X';
    return $self->{answer} ? $self->{answer}->($type, $body, $connection->{number}) : plain($type);
}

sub login
{
    my ($self, $connection, $body) = @_;
    return CLOSE if unpack('N', $body) == 80877102;    # a cancel request
    $connection->{in_session} = 1;
    $self->tell('login');
    return Wire::message('R', pack('N', 0)) . $self->{flood} if $self->{flood};
    return welcome($connection->{number}) . ($self->{behind_login} // '');
}

1;
