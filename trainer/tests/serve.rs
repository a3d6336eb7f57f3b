//! `trishift serve`: what it answers, to whom, and how it ends.
#![cfg(unix)]

mod support;

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::{TRISHIFT, output, trishift, words};

/// A server that ends with its test.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(folder: &Path, line: &str) -> Self {
        let mut command = Command::new(TRISHIFT);
        command.current_dir(folder).args(words(line)).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a process");
        let mut first = String::new();
        BufReader::new(process.stdout.take().expect("its output")).read_line(&mut first).expect("a line");
        let said: Value = serde_json::from_str(&first).unwrap_or_else(|error| panic!("{error}: {first}"));
        let address = said["address"].as_str().expect("an address");
        let address = address.strip_prefix("http://").and_then(|rest| rest.strip_suffix('/')).expect("an address");
        Self { process, address: address.into() }
    }

    /// Sends bytes and gives all that comes back.
    fn say(&self, bytes: &[u8]) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        stream.write_all(bytes).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an empty line");
        (String::from_utf8(answer[..end].to_vec()).expect("text"), answer[end + 4..].to_vec())
    }

    fn get(&self, path: &str) -> (String, Vec<u8>) {
        self.say(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).as_bytes())
    }

    /// Interrupts the server as Ctrl-C does; its exit code.
    fn interrupt(mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill").success());
        self.process.wait().expect("an end").code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_page_its_module_and_a_model_are_served_until_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    output(path, "train --preset digits-mlp --epochs 1 --out run --quiet");
    let server = Server::start(path, "serve run/model.tsm --port 0 --json");
    assert!(server.address.starts_with("127.0.0.1:"), "{}", server.address);
    let (head, page) = server.get("/");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("Content-Type: text/html"), "{head}");
    assert!(head.contains("Content-Security-Policy: default-src 'self';"), "{head}");
    assert!(page.starts_with(b"<!doctype html>"));
    let (head, module) = server.get("/trishift.wasm?again");
    assert!(head.contains("Content-Type: application/wasm") && module.starts_with(b"\0asm"), "{head}");
    let (head, model) = server.get("/model.tsm");
    assert!(head.contains("X-Model-Name: run/model.tsm"), "{head}");
    assert_eq!(model, std::fs::read(path.join("run/model.tsm")).unwrap());
    assert_eq!(server.interrupt(), Some(0));
}

#[test]
fn what_is_not_a_request_for_the_page_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "serve --port 0 --json");
    let status = |bytes: &[u8]| server.say(bytes).0.lines().next().unwrap_or_default().to_string();
    let head = |rest: &str| format!("{rest} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
    assert_eq!(status(&head("GET /../../etc/passwd")), "HTTP/1.1 404 Not Found");
    assert_eq!(status(&head("POST /")), "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(status(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"), "HTTP/1.1 403 Forbidden");
    assert_eq!(status(b"\x16\x03\x01\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(16_384));
    assert_eq!(status(endless.as_bytes()), "HTTP/1.1 400 Bad Request");
    let (head, body) = server.say(&head("HEAD /model.tsm"));
    assert!(head.starts_with("HTTP/1.1 200 OK") && body.is_empty(), "{head}");
    // A connection that says nothing keeps nobody else waiting.
    let silent = TcpStream::connect(&server.address).unwrap();
    assert!(server.get("/app.js").0.starts_with("HTTP/1.1 200 OK"));
    drop(silent);
}

#[test]
fn ports_and_models_that_cannot_be_used_are_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    support::write(folder.path(), "damaged.tsm", b"nothing");
    for (line, part) in [
        (format!("serve --port {port}"), format!("port {port} is taken by another program; choose one with --port")),
        ("serve damaged.tsm".into(), "damaged.tsm cannot be used: the file holds 7 bytes".into()),
        ("serve absent.tsm".into(), "cannot read the model absent.tsm".into()),
    ] {
        let assert = trishift(folder.path(), words(&line)).assert().code(2);
        let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(message.starts_with("error: ") && message.contains(&part), "{line}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}
