//! What ranks send each other: JSON behind its length. There is one message a second and rank; what matters is that a later
//! version can still read that it met another one.

use super::Fault;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

/// How connections begin, on both sides: other programs' connections are told by it.
pub(super) const MAGIC: [u8; 8] = *b"trishift";

/// Version of the messages.
pub(super) const PROTOCOL: u32 = 1;

/// Longest message in bytes. A length beyond it is no length.
const LONGEST: usize = 1 << 19;

/// Most bytes of a broadcast, which may take four bytes of JSON each.
pub(super) const LONGEST_BROADCAST: usize = 1 << 16;

/// Most bytes of a sentence.
const LONGEST_SENTENCE: usize = 4096;

/// The first message of a rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) protocol: u32,
    pub(super) version: String,
    pub(super) world: usize,
    pub(super) rank: usize,
}

/// Rank 0's answer, once it knows whether all have come.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Welcome,
    CalledOff(String),
}

/// All that follows.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Message {
    /// The sender lives; its training last moved on so long ago.
    Beat { idle: Duration },
    /// A broadcast.
    Bytes(Vec<u8>),
    /// Rank 0's news of another rank or of itself.
    Fault(Fault),
    /// The sender ends by an error of its own.
    Failed(String),
    /// The sender has done its work.
    Leave,
}

/// A message as it is sent, in one piece.
pub(super) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = (frame.len() - 4) as u32;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// The next message. [`ErrorKind::InvalidData`] where it is none, [`ErrorKind::UnexpectedEof`] at the stream's end.
pub(super) fn receive<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(|_| ErrorKind::InvalidData.into())
}

/// Sends [`MAGIC`] and a message.
pub(super) fn send_first(stream: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    stream.write_all(&[&MAGIC[..], &encode(message)?].concat())
}

/// A message behind [`MAGIC`].
pub(super) fn receive_first<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<T> {
    let mut magic = [0; MAGIC.len()];
    stream.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err(ErrorKind::InvalidData.into());
    }
    receive(stream)
}

/// A sentence on one line, cut where it is very long.
pub(super) fn sentence(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = (0..=LONGEST_SENTENCE.min(line.len())).rev().find(|end| line.is_char_boundary(*end));
    line.truncate(end.unwrap_or(0));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_as_they_were_sent() {
        let mut stream = Vec::new();
        let messages = [
            Message::Beat { idle: Duration::from_millis(1234) },
            Message::Bytes((0..128).collect()),
            Message::Fault(Fault::Silent { rank: 3, seconds: 15 }),
            Message::Failed("no".into()),
            Message::Leave,
        ];
        messages.iter().for_each(|message| stream.extend(encode(message).unwrap()));
        let mut rest = &stream[..];
        for message in &messages {
            assert_eq!(receive::<Message>(&mut rest).unwrap(), *message);
        }
        assert_eq!(receive::<Message>(&mut rest).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        // The longest broadcast fits.
        assert!(encode(&Message::Bytes(vec![255; LONGEST_BROADCAST])).unwrap().len() <= LONGEST);
    }

    #[test]
    fn other_bytes_are_no_messages() {
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[2, 0, 0, 0, b'{', b'}'], &[255; 64]] {
            assert_eq!(receive::<Message>(&mut &bytes[..]).unwrap_err().kind(), ErrorKind::InvalidData);
            assert_eq!(
                receive_first::<Hello>(&mut &[bytes, bytes].concat()[..]).unwrap_err().kind(),
                ErrorKind::InvalidData
            );
        }
    }

    #[test]
    fn sentences_are_one_short_line() {
        assert_eq!(sentence(" the disk\nis  full\n"), "the disk is full");
        assert!(sentence(&"ä".repeat(5000)).len() <= LONGEST_SENTENCE);
    }
}
