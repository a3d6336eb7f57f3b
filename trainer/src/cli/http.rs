//! As much of HTTP as files on this machine need: a request, an answer, the end of the connection.
//!
//! httparse reads requests. Each has a thread; a client that is silent for long is hung up on.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Bytes of a request's head at most, and headers in it.
const MOST_BYTES: usize = 16_384;
const MOST_HEADERS: usize = 64;

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that are read of what follows a request: a client that still sends might not look at its answer.
const MOST_UNREAD: u64 = 65_536;

/// How long to wait where the system can give no connection or no thread.
const PAUSE: Duration = Duration::from_millis(50);

/// What is answered.
pub(super) struct Answer<'site> {
    /// Code and what it means, as `200 OK`.
    pub(super) status: &'static str,
    /// Headers besides the usual ones.
    pub(super) headers: Vec<(&'static str, &'site str)>,
    /// The contents.
    pub(super) body: &'site [u8],
}

impl Answer<'_> {
    /// A refusal, with a sentence.
    pub(super) fn refusal(status: &'static str, sentence: &'static str) -> Self {
        Self { status, headers: vec![("Content-Type", "text/plain; charset=utf-8")], body: sentence.as_bytes() }
    }
}

/// Who has the answers.
pub(super) trait Site: Send + Sync + 'static {
    /// The answer to a request for this path, made to a host of this name.
    fn answer(&self, path: &str, host: &str) -> Answer<'_>;
}

/// Answers whoever connects, for ever.
pub(super) fn listen(listener: &TcpListener, site: &Arc<impl Site>) {
    loop {
        let served = listener.accept().and_then(|(stream, _)| {
            let site = Arc::clone(site);
            // What goes wrong with one connection is its client's to see.
            thread::Builder::new().name("http".into()).spawn(move || serve(stream, &*site))
        });
        if served.is_err() {
            thread::sleep(PAUSE);
        }
    }
}

fn serve(mut stream: TcpStream, site: &impl Site) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = read_head(&mut stream)?;
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let is_whole = request.parse(&head).is_ok_and(|status| status.is_complete());
    let answer = match (request.method, request.path) {
        (Some("GET" | "HEAD"), Some(target)) if is_whole => {
            let host = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("host"));
            let host = host.and_then(|header| str::from_utf8(header.value).ok()).unwrap_or_default();
            site.answer(target.split('?').next().unwrap_or_default(), host)
        }
        (Some(_), Some(_)) if is_whole => Answer::refusal("405 Method Not Allowed", "only GET and HEAD are answered\n"),
        _ => Answer::refusal("400 Bad Request", "this is no request that can be answered\n"),
    };
    write(&mut stream, &answer, request.method == Some("HEAD"))?;
    stream.shutdown(Shutdown::Write)?;
    io::copy(&mut stream.take(MOST_UNREAD), &mut io::sink())?;
    Ok(())
}

/// What has come up to the empty line, or up to where it is too long.
fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut head, mut piece) = (Vec::new(), [0; 2048]);
    loop {
        let count = match stream.read(&mut piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        head.extend_from_slice(piece.get(..count).unwrap_or_default());
        let is_whole = head.windows(4).any(|window| window == b"\r\n\r\n");
        if count == 0 || is_whole || head.len() >= MOST_BYTES {
            return Ok(head);
        }
    }
}

fn write(stream: &mut TcpStream, answer: &Answer<'_>, is_head: bool) -> io::Result<()> {
    let mut text =
        format!("HTTP/1.1 {}\r\nContent-Length: {}\r\nConnection: close\r\n", answer.status, answer.body.len());
    // A line break would be another header; beyond ASCII, nobody agrees what it means.
    let is_sendable = |value: &str| value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    for (name, value) in answer.headers.iter().filter(|(_, value)| is_sendable(value)) {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    stream.write_all(text.as_bytes())?;
    if is_head { Ok(()) } else { stream.write_all(answer.body) }
}
