//! How ranks come together: rank 0 listens, the others knock until it does, and nobody begins before all are there.
//!
//! Whatever shows that these are not the ranks of one run ends the start on every side with rank 0's sentence: which of two
//! ranks 1 is the stray one, nobody can tell. A connection that does not begin with the right bytes is another program's,
//! such as a port scanner's, and is dropped.

use super::error::GroupError;
use super::message::{self, Answer, Hello, PROTOCOL};
use super::{Limits, WRITE_PATIENCE};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// Time between two looks at who has come, and between two attempts to reach rank 0.
const LOOK: Duration = Duration::from_millis(50);

/// Longest wait for a new connection's first message, and for one attempt to connect.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who meets, and where.
pub(super) struct Meeting<'a> {
    pub(super) address: &'a str,
    pub(super) rank: usize,
    pub(super) world: usize,
    pub(super) version: &'a str,
    pub(super) limits: Limits,
}

/// A connection that has said who it is.
type Arrival = (TcpStream, Hello);

impl Meeting<'_> {
    /// Rank 0: where the others come to.
    pub(super) fn listen(&self) -> Result<TcpListener, GroupError> {
        listen(self.address).map_err(|source| GroupError::Listen { address: self.address.into(), source })
    }

    /// Rank 0: the connections of ranks 1, 2, ….
    pub(super) fn gather(&self, listener: &TcpListener) -> Result<Vec<TcpStream>, GroupError> {
        let mut there: Vec<Option<TcpStream>> = (1..self.world).map(|_| None).collect();
        let ended = self.wait_for_all(listener, &mut there);
        let answer = match &ended {
            Ok(()) => Answer::Welcome,
            Err(error) => Answer::CalledOff(message::sentence(&error.to_string())),
        };
        for stream in there.iter_mut().flatten() {
            // One that has ended meanwhile is noticed by who watches it.
            let _ = message::send_first(stream, &answer);
        }
        ended.map(|()| there.into_iter().flatten().collect())
    }

    fn wait_for_all(&self, listener: &TcpListener, there: &mut [Option<TcpStream>]) -> Result<(), GroupError> {
        listener.set_nonblocking(true)?;
        let started = Instant::now();
        let (sender, arrivals) = mpsc::channel();
        while there.iter().any(Option::is_none) {
            self.accept(listener, &sender)?;
            self.let_in(&arrivals, there)?;
            if let Some(index) = there.iter().position(|stream| stream.as_ref().is_some_and(has_ended)) {
                there[index] = None;
                return Err(GroupError::LeftEarly { rank: index + 1 });
            }
            if started.elapsed() > self.limits.start_up {
                return Err(self.missing(there));
            }
        }
        Ok(())
    }

    /// Takes new connections. Each is heard in a thread of its own, so that one that says nothing holds up nobody.
    fn accept(&self, listener: &TcpListener, sender: &Sender<Arrival>) -> Result<(), GroupError> {
        while let Ok((stream, from)) = listener.accept() {
            let sender = sender.clone();
            let hear = move || match first_words(stream) {
                // Nobody waits for it any more where the meeting is over.
                Ok(arrival) => drop(sender.send(arrival)),
                Err(error) => tracing::debug!(%from, "not a rank: {error}"),
            };
            thread::Builder::new().name("arrival".into()).spawn(hear)?;
        }
        Ok(())
    }

    /// Waits a moment for arrivals and gives them their places.
    fn let_in(&self, arrivals: &Receiver<Arrival>, there: &mut [Option<TcpStream>]) -> Result<(), GroupError> {
        let Ok((mut stream, hello)) = arrivals.recv_timeout(LOOK) else { return Ok(()) };
        let place = self.judge(&hello).and_then(|()| match &mut there[hello.rank - 1] {
            Some(_) => Err(GroupError::Twice { rank: hello.rank, address: self.address.into() }),
            place => Ok(place),
        });
        match place {
            Ok(place) => *place = Some(stream),
            Err(error) => {
                let _ = message::send_first(&mut stream, &Answer::CalledOff(message::sentence(&error.to_string())));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether this is another rank of this run.
    fn judge(&self, hello: &Hello) -> Result<(), GroupError> {
        let &Hello { rank, world, .. } = hello;
        if hello.protocol != PROTOCOL || hello.version != self.version {
            let version = |hello: &Hello| format!("{} (messages {})", hello.version, hello.protocol);
            let expected = version(&self.hello());
            return Err(GroupError::OtherVersion { rank, version: version(hello), expected });
        }
        if world != self.world || rank >= world {
            let address = self.address.into();
            return Err(GroupError::OtherWorld { rank, world, address, expected: self.world });
        }
        if rank == 0 {
            return Err(GroupError::Twice { rank, address: self.address.into() });
        }
        Ok(())
    }

    fn missing(&self, there: &[Option<TcpStream>]) -> GroupError {
        let absent = there.iter().enumerate().filter(|(_, stream)| stream.is_none());
        let absent: Vec<_> = absent.map(|(index, _)| (index + 1).to_string()).collect();
        let ranks = match absent.split_last() {
            Some((last, [])) => format!("rank {last}"),
            Some((last, others)) => format!("ranks {} and {last}", others.join(", ")),
            None => String::new(),
        };
        let (address, seconds) = (self.address.into(), self.limits.start_up.as_secs());
        GroupError::Missing { ranks, world: self.world, address, seconds }
    }

    fn hello(&self) -> Hello {
        Hello { protocol: PROTOCOL, version: self.version.into(), world: self.world, rank: self.rank }
    }

    /// Ranks 1, 2, …: the connection to rank 0.
    pub(super) fn reach(&self) -> Result<TcpStream, GroupError> {
        let started = Instant::now();
        let mut stream = loop {
            match connect(self.address) {
                Ok(stream) => break stream,
                Err(source) if started.elapsed() > self.limits.start_up => {
                    let (address, seconds) = (self.address.into(), self.limits.start_up.as_secs());
                    return Err(GroupError::Unreachable { address, seconds, source });
                }
                Err(_) => thread::sleep(LOOK),
            }
        };
        let broken_off = |_| GroupError::BrokenOff { address: self.address.into() };
        prepare(&stream)?;
        // Rank 0 may have begun to wait only now; it says when its time is up.
        stream.set_read_timeout(Some(self.limits.start_up + 2 * PATIENCE))?;
        message::send_first(&mut stream, &self.hello()).map_err(broken_off)?;
        match message::receive_first(&mut stream).map_err(broken_off)? {
            Answer::Welcome => {
                stream.set_read_timeout(None)?;
                Ok(stream)
            }
            Answer::CalledOff(message) => Err(GroupError::CalledOff { message: message::sentence(&message) }),
        }
    }
}

/// A listener for the ranks of this machine alone, or of all machines: the name by which others find this one may be an
/// address that it does not have itself.
fn listen(address: &str) -> io::Result<TcpListener> {
    let (host, port) = address.rsplit_once(':').ok_or(ErrorKind::InvalidInput)?;
    let port: u16 = port.parse().map_err(|_| ErrorKind::InvalidInput)?;
    let is_local = host == "localhost" || address.parse().is_ok_and(|address: SocketAddr| address.ip().is_loopback());
    if is_local {
        return TcpListener::bind(address);
    }
    // IPv6's takes IPv4's connections, too, where there is IPv6.
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|error| match error.kind() {
        ErrorKind::AddrInUse | ErrorKind::PermissionDenied => Err(error),
        _ => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)),
    })
}

/// One attempt at every address of a name.
fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = ErrorKind::AddrNotAvailable.into();
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            // A port that nobody listens on yet may be given to the very connection that knocks there.
            Ok(stream) if stream.local_addr()? == stream.peer_addr()? => last = ErrorKind::ConnectionRefused.into(),
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What a new connection says first.
fn first_words(mut stream: TcpStream) -> io::Result<Arrival> {
    stream.set_nonblocking(false)?;
    prepare(&stream)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let hello = message::receive_first(&mut stream)?;
    stream.set_read_timeout(None)?;
    Ok((stream, hello))
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(WRITE_PATIENCE))
}

/// Whether the other side of a connection on which nothing is expected has ended.
fn has_ended(stream: &TcpStream) -> bool {
    let look = || {
        stream.set_nonblocking(true)?;
        let seen = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        seen
    };
    match look() {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}
