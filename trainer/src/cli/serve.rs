//! `trishift serve`: a page on this machine that runs a model in a browser.

use super::Ending;
use super::http::{self, Answer, Site};
use super::output::{self, say};
use anyhow::Context;
use clap::Args;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use trishift::Model;
use trishift_web::page::{FILES, MODEL};

/// Options of `serve`.
#[derive(Args)]
#[command(after_help = "\
The page runs the model by the runtime itself, compiled to WebAssembly: draw a digit, and see the \
integers of every layer. Other model files are opened on the page. Nothing is sent anywhere: only programs \
of this machine reach the server, and once loaded the page works without it.

Examples:
  trishift serve                              # a digit classifier
  trishift serve runs/mnist/model.tsm
  trishift serve runs/mine/model.tsm --port 0 # any free port; the address is printed")]
pub(super) struct Arguments {
    /// The model file that the page begins with; without one, a classifier of handwritten digits.
    model: Option<PathBuf>,
    /// Port of 127.0.0.1 to listen on; 0 takes a free one.
    #[arg(long, value_name = "P", default_value_t = 8017)]
    port: u16,
    /// Print the address as one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is served.
struct Page {
    chosen: Option<Chosen>,
}

/// A model of the caller's choice, in the place of the built-in one.
struct Chosen {
    name: String,
    file: Vec<u8>,
}

/// How often the command looks whether it should end.
const PATIENCE: Duration = Duration::from_millis(100);

/// The page needs no other place than its own, and a browser holds it to that.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
                      object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let chosen = arguments.model.as_deref().map(read).transpose()?;
    let asked = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let listener = TcpListener::bind(asked).map_err(|error| refused(&error, arguments.port))?;
    let address = format!("http://{}/", listener.local_addr().context("cannot serve")?);
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ended)).context("cannot listen for Ctrl-C")?;
    }
    let page = Arc::new(Page { chosen });
    let name = page.chosen.as_ref().map_or("the built-in digits", |chosen| &chosen.name);
    if arguments.json {
        output::json(&json!({ "address": address, "model": name }))?;
    } else {
        say!("{address}  {name}; Ctrl-C ends");
    }
    let site = Arc::clone(&page);
    thread::Builder::new().name("listener".into()).spawn(move || http::listen(&listener, &site))?;
    while !ended.load(Ordering::Relaxed) {
        thread::sleep(PATIENCE);
    }
    Ok(Ending::Done)
}

/// A model file, checked.
fn read(path: &Path) -> anyhow::Result<Chosen> {
    let shown = path.display();
    let file = std::fs::read(path).with_context(|| format!("cannot read the model {shown}"))?;
    Model::parse(&file).with_context(|| format!("{shown} cannot be used"))?;
    Ok(Chosen { name: shown.to_string(), file })
}

fn refused(error: &std::io::Error, port: u16) -> anyhow::Error {
    match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow::anyhow!("port {port} is taken by another program; choose one with --port, or --port 0")
        }
        ErrorKind::PermissionDenied => {
            anyhow::anyhow!("port {port} is not for ordinary users; choose one above 1023 with --port")
        }
        _ => anyhow::anyhow!("cannot listen on port {port}: {error}"),
    }
}

impl Site for Page {
    fn answer(&self, path: &str, host: &str) -> Answer<'_> {
        // A page elsewhere may have a name that leads here; it is not given the model.
        if !is_local(host) {
            return Answer::refusal("403 Forbidden", "this server answers to 127.0.0.1 and localhost\n");
        }
        let path = path.trim_start_matches('/');
        let Some(file) = FILES.iter().find(|file| file.path == path) else {
            return Answer::refusal("404 Not Found", "there is no such file\n");
        };
        let mut headers = vec![
            ("Content-Type", file.content_type),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-cache"),
        ];
        match &self.chosen {
            Some(chosen) if path == MODEL => {
                headers.push(("X-Model-Name", &chosen.name));
                Answer { status: "200 OK", headers, body: &chosen.file }
            }
            _ => Answer { status: "200 OK", headers, body: file.contents },
        }
    }
}

/// True where the request was made to this machine by its own name.
fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let page = Page { chosen: None };
        for host in ["127.0.0.1:8017", "localhost:8017", "LocalHost"] {
            assert_eq!(page.answer("/", host).status, "200 OK", "{host}");
        }
        for host in ["", "example.org", "example.org:8017", "127.0.0.1.example.org", "localhost.example.org:1"] {
            assert_eq!(page.answer("/", host).status, "403 Forbidden", "{host}");
        }
        assert_eq!(page.answer("/../Cargo.toml", "localhost").status, "404 Not Found");
    }

    #[test]
    fn a_model_of_ones_own_takes_the_place_of_the_built_in_one() {
        let page = Page { chosen: Some(Chosen { name: "mine.tsm".into(), file: vec![1, 2, 3] }) };
        let answer = page.answer("/model.tsm", "localhost");
        assert_eq!(answer.body, [1, 2, 3]);
        assert!(answer.headers.contains(&("X-Model-Name", "mine.tsm")));
        let module = page.answer("/trishift.wasm", "localhost");
        assert!(module.body.starts_with(b"\0asm") && module.headers.contains(&("Content-Type", "application/wasm")));
    }
}
