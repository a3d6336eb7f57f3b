//! `trishift serve`: a page on this machine that runs a model in a browser.

use super::output::{self, say};
use super::Ending;
use anyhow::Context;
use clap::Args;
use serde_json::json;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tiny_http::{Header, Method, Request, Response, Server};
use trishift::Model;
use trishift_web::page::{FILES, MODEL};

/// Options of `serve`.
#[derive(Args)]
#[command(after_help = "\
The page runs the model by the runtime itself, compiled to WebAssembly: draw a digit, and see the integers
of every layer. Other model files are opened on the page. Nothing is sent anywhere: only programs of this
machine reach the server, and once loaded the page works without it.

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

/// A model of the caller's choice, in the place of the built-in one.
struct Chosen {
    name: String,
    file: Vec<u8>,
}

/// How often the server looks whether it should end.
const PATIENCE: Duration = Duration::from_millis(100);

/// The page needs no other place than its own, and a browser holds it to that.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
                      object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let chosen = arguments.model.as_deref().map(read).transpose()?;
    let asked = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let listener = std::net::TcpListener::bind(asked).map_err(|error| refused(&error, arguments.port))?;
    let server = Server::from_listener(listener, None).map_err(|error| anyhow::anyhow!("cannot serve: {error}"))?;
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ended)).context("cannot listen for Ctrl-C")?;
    }
    let address = format!("http://{}/", server.server_addr());
    let name = chosen.as_ref().map_or("the built-in digits", |chosen| &chosen.name);
    if arguments.json {
        output::json(&json!({ "address": address, "model": name }))?;
    } else {
        say!("{address}  {name}; Ctrl-C ends");
    }
    while !ended.load(Ordering::Relaxed) {
        if let Some(request) = server.recv_timeout(PATIENCE).context("cannot serve any more")? {
            respond(request, chosen.as_ref());
        }
    }
    Ok(Ending::Done)
}

/// A model file, checked.
fn read(path: &std::path::Path) -> anyhow::Result<Chosen> {
    let shown = path.display();
    let file = std::fs::read(path).with_context(|| format!("cannot read the model {shown}"))?;
    Model::parse(&file).with_context(|| format!("{shown} cannot be used"))?;
    Ok(Chosen { name: shown.to_string(), file })
}

fn refused(error: &std::io::Error, port: u16) -> anyhow::Error {
    match error.kind() {
        ErrorKind::AddrInUse => anyhow::anyhow!("port {port} is taken by another program; choose one with --port, or --port 0"),
        ErrorKind::PermissionDenied => anyhow::anyhow!("port {port} is not for ordinary users; choose one above 1023 with --port"),
        _ => anyhow::anyhow!("cannot listen on port {port}: {error}"),
    }
}

/// Answers a request. Who hangs up meanwhile needs no answer.
fn respond(request: Request, chosen: Option<&Chosen>) {
    let path = request.url().split(['?', '#']).next().unwrap_or_default().trim_start_matches('/');
    let file = FILES.iter().find(|file| file.path == path);
    if !matches!(request.method(), Method::Get | Method::Head) {
        let _ = request.respond(Response::from_string("only GET\n").with_status_code(405));
        return;
    }
    // A page elsewhere may have a name that leads here; it is not given the model.
    if !is_local(&request) {
        let _ = request.respond(Response::from_string("this server answers to 127.0.0.1 and localhost\n").with_status_code(403));
        return;
    }
    let Some(file) = file else {
        let _ = request.respond(Response::from_string("there is no such file\n").with_status_code(404));
        return;
    };
    let (contents, name) = match chosen {
        Some(chosen) if file.path == MODEL => (chosen.file.as_slice(), chosen.name.as_str()),
        _ => (file.contents, "model.tsm"),
    };
    let mut response = Response::from_data(contents);
    let headers = [
        ("Content-Type", file.content_type),
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-cache"),
        // Other than ASCII, a name does not fit a header: the page shows the file's usual one then.
        ("X-Model-Name", name),
    ];
    for (field, value) in headers {
        if let Ok(header) = Header::from_bytes(field, value) {
            response.add_header(header);
        }
    }
    let _ = request.respond(response);
}

/// True where the request was made to this machine by its own name.
fn is_local(request: &Request) -> bool {
    let host = request.headers().iter().find(|header| header.field.equiv("Host"));
    let host = host.map_or("", |header| header.value.as_str());
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost")
}
